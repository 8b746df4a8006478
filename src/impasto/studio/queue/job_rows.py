"""Define a job as the queue stores it."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.studio.problems import Problem
from impasto.studio.queue import job_files
from impasto.video.clip.selection import PREVIEW_S, SHEET_CELLS

ENDED = ("done", "stopped", "failed", "cancelled")
"""States that a job does not leave by itself."""
STATES = ("queued", "running", *ENDED)
ID = re.compile(r"[0-9a-f]{32}")
"""A job's id, which the server chooses."""
UNREADABLE = "the queue's entry of this job is damaged; delete the job and send it again"


@dataclass(frozen=True)
class FilmSpec:
    """How a clip is to be painted.

    Attributes:
        frames: number of frames of the clip.
        rate: frames per second, as a fraction.
        suffix: suffix of the film's file.
        stability: in [0, 1].
        preview: whether only a contact sheet and the first seconds are painted.
    """

    frames: int
    rate: str
    suffix: str
    stability: float
    preview: bool

    @property
    def frames_to_paint(self) -> int:
        """Approximate number of frames to paint."""
        if not self.preview:
            return self.frames
        first = math.ceil(PREVIEW_S * Fraction(self.rate))
        return min(SHEET_CELLS, self.frames) + min(first, self.frames)


@dataclass(frozen=True)
class JobSpec:
    """What a job makes; its pictures are files in the job's folder.

    Attributes:
        recipe: the recipe as JSON.
        names: names of the photo, or clip, and of each painting, as the client gave them, without
            folders.
        shipped: name of each painting that ships with impasto. None: the client sent it.
        sizes: (width, height) in the order of ``names``.
        masks: masks of the photo: a word that finds the mask. None: the client sent it.
        style_masks: masks of the paintings: a word, ``True`` for one that the client sent, or
            ``False`` for no mask. Empty: no painting has a mask.
        init: whether the run starts from a picture.
        depth: bits per channel of the result.
        keep_metadata: whether the photo's EXIF is copied into the result.
        film: how the clip is painted. None: the job has a photo.
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
    film: FilmSpec | None = None

    @property
    def kind(self) -> str:
        """``picture`` or ``film``."""
        return "picture" if self.film is None else "film"

    @property
    def result(self) -> str:
        """Name of the result's file."""
        return job_files.RESULT if self.film is None else f"result{self.film.suffix}"

    @property
    def styles(self) -> int:
        """Number of paintings."""
        return len(self.names) - 1

    def to_json(self) -> str:
        """Write one line that :meth:`from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> JobSpec:
        """Read what :meth:`to_json` wrote, in this version or an earlier one.

        Raises:
            ValueError: the text describes no job.
        """
        try:
            data = json.loads(text)
            spec = cls(
                **data
                | {
                    "names": tuple(data["names"]),
                    "shipped": tuple(data["shipped"]),
                    "sizes": tuple((int(width), int(height)) for width, height in data["sizes"]),
                    "masks": _read_mask_words(data["masks"]),
                    "style_masks": tuple(data["style_masks"]),
                    "film": FilmSpec(**data["film"]) if data.get("film") else None,
                }
            )
            if spec.film is not None and (spec.film.frames_to_paint < 0 or not spec.film.suffix):
                raise ValueError("film")
        except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"not a job: {error}") from None
        spec._check()
        return spec

    def _check(self) -> None:
        is_sound = (
            isinstance(self.recipe, dict)
            and len(self.names) >= 1
            and len(self.sizes) == len(self.names) == len(self.shipped) + 1
            and all(isinstance(name, str) for name in self.names)
            and all(isinstance(name, str | None) for name in self.shipped)
            and isinstance(self.depth, int)
        )
        if not is_sound:
            raise ValueError("not a job: its fields contradict each other")


def _read_mask_words(masks: list[str | None] | int) -> tuple[str | None, ...]:
    """Read the words of masks; earlier versions stored the number of masks."""
    return (None,) * masks if isinstance(masks, int) else tuple(masks)


@dataclass(frozen=True)
class JobRow:
    """One job.

    Attributes:
        seq: place in the order of arrival.
        id: 32 hexadecimal digits, chosen by the server.
        state: one of :data:`STATES`.
        draft: whether the job goes ahead of others.
        title: the client's title.
        spec: what the job makes.
        created, started, ended: seconds since 1970. None: not yet.
        attempt: number of times that a worker took the job; only the latest worker may write.
        worker: name of the worker. None: no worker has the job.
        asked: ``stop`` or ``cancel``, until the worker has obeyed. None: neither.
        used: seconds worked over all attempts, as last reported.
        used_before: the same at the start of this attempt.
        progress: progress at the last report. None: no report yet.
        width, height: size of the result. None: there is no result.
        preview: iteration of the latest preview. None: there is none.
        problem: why the job failed. None: it did not fail.
        losses: workers that died at the job without making progress.
        lost_at: the furthest iteration at which a worker died.
        version: number of changes of the row.
    """

    seq: int
    id: str
    state: str
    draft: bool
    title: str
    spec: JobSpec
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
    def parse(cls, row: sqlite3.Row) -> JobRow:
        """Read a row of the table.

        Raises:
            ValueError: the row is damaged.
        """
        try:
            fields = {key: row[key] for key in cls.__dataclass_fields__}
            fields["draft"] = bool(row["draft"])
            fields["spec"] = JobSpec.from_json(row["spec"])
            for key in ("progress", "problem"):
                fields[key] = None if row[key] is None else json.loads(row[key])
            job = cls(**fields)
        except (KeyError, TypeError, IndexError, RecursionError) as error:
            raise ValueError(f"damaged: {error}") from None
        job._check()
        return job

    @classmethod
    def read(cls, row: sqlite3.Row) -> JobRow:
        """Read a row of the table, or stand in for it with a failed job where it is damaged."""
        try:
            return cls.parse(row)
        except ValueError:
            return cls._make_placeholder(row)

    @classmethod
    def _make_placeholder(cls, row: sqlite3.Row) -> JobRow:
        def number(key: str) -> float:
            return float(row[key]) if _is_time(row[key]) else 0.0

        return cls(
            seq=row["seq"],
            id=str(row["id"]),
            state="failed",
            draft=False,
            title=row["title"] if isinstance(row["title"], str) else "",
            spec=JobSpec(recipe={}, names=("unknown",), shipped=(), sizes=((0, 0),)),
            created=number("created"),
            started=None,
            ended=number("ended") or number("created"),
            attempt=int(number("attempt")),
            worker=None,
            asked=None,
            used=number("used"),
            used_before=0.0,
            progress=None,
            width=None,
            height=None,
            preview=None,
            problem=Problem("internal", UNREADABLE).to_body(),
            losses=0,
            lost_at=-1,
            version=int(number("version")),
        )

    def _check(self) -> None:
        times = (self.created, self.started, self.ended, self.used, self.used_before)
        counts = (self.seq, self.attempt, self.losses, self.lost_at, self.version)
        texts = (self.title, self.worker, self.asked)
        is_sound = (
            isinstance(self.id, str)
            and ID.fullmatch(self.id) is not None
            and self.state in STATES
            and all(isinstance(each, str | None) for each in texts)
            and all(isinstance(each, int) for each in counts)
            and all(each is None or _is_time(each) for each in times)
            and all(isinstance(each, int | None) for each in (self.width, self.height))
            and isinstance(self.preview, int | None)
            and isinstance(self.problem, dict | None)
            and isinstance(self.progress, dict | None)
            and isinstance((self.progress or {}).get("iteration", 0), int)
        )
        if not is_sound:
            raise ValueError("damaged: a column has a value of the wrong type")


def _is_time(value: Any) -> bool:
    """Tell whether a value can be a number of seconds since 1970, or a duration."""
    return isinstance(value, int | float) and 0 <= value < 2**37


def has_result(row: JobRow, place: Path) -> bool:
    """Tell whether a job has a result that is not about to be replaced."""
    return row.state in ("done", "stopped") and (place / row.spec.result).is_file()
