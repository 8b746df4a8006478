"""A job as the queue keeps it."""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from impasto.studio.queue.folder import RESULT
from impasto.video.clip.selection import PREVIEW_S, SHEET_CELLS

ENDED = ("done", "stopped", "failed", "cancelled")
"""States that a job does not leave by itself."""


@dataclass(frozen=True)
class Film:
    """What is to be done with a clip.

    Attributes:
        frames: of the clip.
        rate: of them, a second, as a fraction.
        suffix: of the film's file.
        stability: in [0, 1].
        preview: whether only a contact sheet and the first seconds are wanted.
    """

    frames: int
    rate: str
    suffix: str
    stability: float
    preview: bool

    @property
    def wanted(self) -> int:
        """Frames that are to be painted, about."""
        if not self.preview:
            return self.frames
        first = math.ceil(PREVIEW_S * Fraction(self.rate))
        return min(SHEET_CELLS, self.frames) + min(first, self.frames)


@dataclass(frozen=True)
class Spec:
    """What is to be done; the pictures are files in the job's folder.

    Attributes:
        recipe: as JSON.
        names: of the photo, or clip, and each painting, as the client had them, without folders.
        shipped: name of each painting that impasto came with.
        sizes: (width, height) of the same.
        masks: of the photo: a word that finds it, or none for one that was sent.
        style_masks: likewise of each painting, ``False`` where there is none; empty: none has.
        init: whether there is a picture to begin with.
        depth: bits a channel of the result.
        keep_metadata: whether the photo's EXIF goes into it.
        film: what is to be done with a clip; none: there is a photo.
    """

    recipe: dict[str, Any]
    names: tuple[str, ...]
    shipped: tuple[str | None, ...]
    sizes: tuple[tuple[int, int], ...]
    masks: tuple[str | None, ...] = ()
    style_masks: tuple[str | bool, ...] = ()
    init: bool = False
    depth: int = 8
    keep_metadata: bool = False
    film: Film | None = None

    @property
    def result(self) -> str:
        """Name of its file."""
        return RESULT if self.film is None else f"result{self.film.suffix}"

    @property
    def styles(self) -> int:
        return len(self.names) - 1

    def to_json(self) -> str:
        """One line that :meth:`from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Spec:
        data = json.loads(text)
        return cls(
            **data
            | {
                "names": tuple(data["names"]),
                "shipped": tuple(data["shipped"]),
                "sizes": tuple((width, height) for width, height in data["sizes"]),
                "masks": _words(data["masks"]),
                "style_masks": tuple(data["style_masks"]),
                "film": Film(**data["film"]) if data.get("film") else None,
            }
        )


def _words(masks: list[str | None] | int) -> tuple[str | None, ...]:
    """Earlier versions wrote down how many there are."""
    return (None,) * masks if isinstance(masks, int) else tuple(masks)


@dataclass(frozen=True)
class Row:
    """One job.

    Attributes:
        seq: place in the order of arrival.
        id: made by the server, 32 hexadecimal digits.
        state: ``queued``, ``running`` or one of :data:`ENDED`.
        draft: whether it goes ahead of others.
        title: of the client's.
        spec: what to do.
        created, started, ended: seconds since 1970.
        attempt: how often it was taken up; only the worker of the latest may write.
        worker: its name.
        asked: ``stop`` or ``cancel``, until the worker has done so.
        used: seconds worked, over all attempts, as last reported.
        used_before: likewise, when this attempt began.
        progress: of the last step seen.
        width, height: of the result; none: there is none.
        preview: iteration of the picture so far; none: there is none.
        problem: why it failed.
        losses: workers lost at it without getting any further.
        lost_at: the furthest iteration at which one was lost.
        version: counts the changes.
    """

    seq: int
    id: str
    state: str
    draft: bool
    title: str
    spec: Spec
    created: float
    started: float | None
    ended: float | None
    attempt: int
    worker: str | None
    asked: str | None
    used: float
    used_before: float
    progress: dict[str, Any] | None
    width: int | None
    height: int | None
    preview: int | None
    problem: dict[str, Any] | None
    losses: int
    lost_at: int
    version: int

    @classmethod
    def of(cls, row: sqlite3.Row) -> Row:
        """From the table."""
        fields = {key: row[key] for key in cls.__dataclass_fields__}
        fields["draft"] = bool(row["draft"])
        fields["spec"] = Spec.from_json(row["spec"])
        for key in ("progress", "problem"):
            fields[key] = None if row[key] is None else json.loads(row[key])
        return cls(**fields)
