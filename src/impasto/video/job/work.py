"""The folder of a job: its frames, each whole or not there, so that a kill loses one at most."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import write_atomically
from impasto.video.clip.clip import Levels
from impasto.video.clip.film import Timed

JOB, PART = "job.json", "part.json"
SHOWN, RAW, SOURCE = "", "-raw", "-source"
AGAIN = "-again"
"""Of the second pass, before the above."""
FORMAT = "impasto video 1"


@dataclass(frozen=True)
class Saved:
    """A frame that is done.

    Attributes:
        time: in seconds, in the clip.
        shot: index of the frame that its shot began with.
        result: [H, W, 3] uint8, what later frames remember.
        seen: :func:`fingerprint` of what the clip shows there.
    """

    time: Fraction
    shot: int
    result: Levels
    seen: str


def fingerprint(frame: Levels) -> str:
    """Tells what a clip shows from what another does."""
    return hashlib.sha256(frame.tobytes()).hexdigest()[:16]


class Work:
    """Frames in a folder, numbered from 0."""

    def __init__(self, folder: Path, job: dict[str, Any], *, restart: bool = False) -> None:
        """Go on with a job, or begin it.

        Args:
            folder: of this job, or of none yet.
            job: everything that the frames depend on, as JSON has it.
            restart: whether what is there of another job may go.

        Raises:
            InputError: the folder holds another job's frames, or something else.
            ResourceError: it cannot be made or written.
        """
        self.folder = folder
        self._forgotten = 0
        self._job = json.loads(json.dumps({"format": FORMAT, **job}))
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; choose a `work` folder", field="work")
        there = self._there()
        if there is not None and there != self._job:
            if self.done and not restart:
                raise InputError(f"{folder}: {_difference(there, self._job)}", field="restart")
            self.remove()
            there = None
        try:
            folder.mkdir(exist_ok=True)
            foreign = [each for each in folder.iterdir() if there is None]
        except OSError as error:
            raise ResourceError(f"{folder}: cannot hold frames ({error.strerror})") from None
        if foreign:
            raise InputError(f"{folder}: is not empty; choose another `work` folder", field="work")
        if there is None:
            self._write(JOB, json.dumps(self._job, indent=1).encode())

    @property
    def done(self) -> int:
        """How many frames are, from the first without a gap."""
        begin = self._forgotten
        return next(index for index in itertools.count(begin) if not self._file(index).exists())

    def forget(self, index: int) -> None:
        """Delete a frame that nobody will ask for again; it and those before it count as done."""
        for of in (SHOWN, RAW, SOURCE):
            self._file(index, of).unlink(missing_ok=True)
        self._forgotten = index + 1

    def again(self, index: int) -> bool:
        """Whether the second pass is done with a frame."""
        return self._file(index, AGAIN).exists()

    def save(
        self,
        index: int,
        saved: Saved,
        shown: Levels,
        source: Levels | None = None,
        *,
        again: bool = False,
    ) -> None:
        """Keep a frame.

        Args:
            index: of it.
            saved: what the job goes on from.
            shown: what the user gets.
            source: what the clip shows, if a second pass will want it.
            again: whether this is of the second pass.

        Raises:
            ResourceError: the disk is full or the folder not writable.
        """
        text = {"time": str(saved.time), "shot": str(saved.shot), "seen": saved.seen}
        of = AGAIN if again else ""
        if source is not None:
            self._write(self._file(index, SOURCE).name, _png(source, {}))
        if not np.array_equal(saved.result, shown):
            self._write(self._file(index, of + RAW).name, _png(saved.result, {}))
        # The last, for it is what says that the frame is done.
        self._write(self._file(index, of + SHOWN).name, _png(shown, text))

    def read(self, index: int, *, again: bool = False) -> Saved:
        """A frame that is done, or done again.

        Raises:
            InputError: it is damaged.
        """
        of = AGAIN if again else ""
        time, shot, seen = self._facts(index)
        path, raw = self._file(index, of + SHOWN), self._file(index, of + RAW)
        return Saved(time, shot, self._pixels(raw if raw.exists() else path), seen)

    def source(self, index: int) -> Levels:
        """What the clip shows, kept for the second pass."""
        return self._pixels(self._file(index, SOURCE))

    def shown(self) -> Iterator[Timed]:
        """What the user gets of every frame that is done."""
        for index, time in enumerate(self.times()):
            yield Timed(time, partial(self.levels, index))

    def times(self) -> Iterator[Fraction]:
        """When each frame that is done is seen, in the clip."""
        for index in range(self.done):
            yield self.time(index)

    def time(self, index: int) -> Fraction:
        """Of one of them."""
        return self._facts(index)[0]

    def levels(self, index: int) -> Levels:
        """What the user gets of a frame that is done."""
        return self._pixels(self._file(index, AGAIN if self.again(index) else SHOWN))

    def note_part(self, target: Path) -> None:
        """Remember that a file is made of this job's frames; one not there yet, that it will be."""
        noted = {**self._noted(), str(target.absolute()): _mark(target)}
        self._write(PART, json.dumps(noted).encode())

    def made_part(self, target: Path) -> bool:
        """Whether a file is what :meth:`note_part` was told of, unchanged since."""
        name, noted = str(target.absolute()), self._noted()
        return name in noted and noted[name] in (None, _mark(target))

    def _noted(self) -> dict[str, list[int] | None]:
        try:
            noted: dict[str, list[int] | None] = json.loads((self.folder / PART).read_text())
        except (OSError, ValueError):
            return {}
        return noted

    def remove(self) -> None:
        """Delete the folder and what this class puts there."""
        for pattern in (JOB, PART, "*.png", ".impasto-*"):
            for path in self.folder.glob(pattern):
                path.unlink()
        if not any(self.folder.iterdir()):
            shutil.rmtree(self.folder)

    def _there(self) -> Any:
        """The job in the folder; none: there is none."""
        try:
            return json.loads((self.folder / JOB).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {}

    def _file(self, index: int, of: str = SHOWN) -> Path:
        return self.folder / f"{index:08d}{of}.png"

    def _facts(self, index: int) -> tuple[Fraction, int, str]:
        """A frame's time and shot, and the fingerprint of what the clip shows."""
        with self._opened(self._file(index)) as image:
            return Fraction(image.info["time"]), int(image.info["shot"]), str(image.info["seen"])

    def _pixels(self, path: Path) -> Levels:
        with self._opened(path) as image:
            return np.array(image.convert("RGB"))

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Image.Image]:
        try:
            with Image.open(path) as image:
                yield image
        except (OSError, KeyError, ValueError, SyntaxError):
            raise InputError(
                f"{path}: is damaged; `restart` begins again", field="restart"
            ) from None

    def _write(self, name: str, data: bytes) -> None:
        write_atomically(self.folder / name, data)


def _png(pixels: Levels, texts: dict[str, str]) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1, pnginfo=info)
    return stream.getvalue()


def _mark(path: Path) -> list[int] | None:
    """What tells a file from what it may be changed to; none: it is not there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime_ns]


def _difference(there: dict[str, Any], here: dict[str, Any]) -> str:
    """What tells two jobs apart, in a line."""
    names = [key for key in here if there.get(key) != here[key]]
    what = f"the {names[0]} is another" if names else "it is damaged"
    return (
        f"holds the frames of another job ({what}); `restart` discards them, "
        "or choose another folder"
    )
