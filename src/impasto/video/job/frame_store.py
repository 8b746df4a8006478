"""Store the frames of a film, each completely or not at all, so that it can resume."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, PngImagePlugin

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import (
    is_temporary,
    lock_file,
    make_folder,
    open_without_link,
    remove_orphans,
    write_atomically,
)
from impasto.video.clip.film_writer import FilmFrame
from impasto.video.clip.frames import Levels

JOB_FILE, OUTPUTS_FILE, LOCK_FILE = "job.json", "part.json", "lock"
SHOWN, RAW, SOURCE = "", "-raw", "-source"
"""Suffixes of a frame's pictures: the frame of the film, the result to remember where that differs,
and the frame of the clip."""
REPAINTED = "-again"
"""Goes before these suffixes in the second pass."""
FORMAT = "impasto video 1"
FRAME_FILE = re.compile(rf"\d{{8}}(?:{REPAINTED})?(?:{RAW}|{SOURCE})?\.png")
"""Names of the pictures of frames."""


@dataclass(frozen=True)
class StoredFrame:
    """A painted frame.

    Attributes:
        time: time in the clip, in seconds.
        shot: index of the first frame of its shot.
        result: [H, W, 3] uint8, the result that later frames remember.
        fingerprint: :func:`fingerprint_frame` of the clip's frame.
    """

    time: Fraction
    shot: int
    result: Levels
    fingerprint: str


def fingerprint_frame(frame: Levels) -> str:
    """Compute a short hash of a frame, to recognize frames of another clip."""
    return hashlib.sha256(frame.tobytes()).hexdigest()[:16]


class FrameStore:
    """The frames of one film, in a folder, numbered from 0."""

    def __init__(
        self,
        folder: Path,
        job: dict[str, Any],
        *,
        restart: bool = False,
        exclusive: bool = False,
    ) -> None:
        """Open the folder of a film, or create it.

        Args:
            folder: folder of this film, or one that does not exist or is empty.
            job: everything that the frames depend on, as JSON values.
            restart: delete frames of another film instead of refusing them.
            exclusive: refuse the folder while another process has it open in this way, until
                :meth:`close`.

        Raises:
            InputError: the folder holds frames of another film, or other files.
            ResourceError: the folder cannot be created or written.
        """
        self.folder = folder
        self._dropped = 0
        self._lock: IO[bytes] | None = None
        self._job = json.loads(json.dumps({"format": FORMAT, **job}))
        try:
            self._open(restart=restart, exclusive=exclusive)
        except BaseException:
            self.close()
            raise

    def _open(self, *, restart: bool, exclusive: bool) -> None:
        folder = self.folder
        if folder.exists() and not folder.is_dir():
            raise InputError("is a file; choose a folder for `work`", where=folder, field="work")
        if exclusive and self._is_ours():
            self._lock_folder()
        existing = self._read_job()
        if existing is not None and existing != self._job:
            if not str(existing.get("format", "")).startswith("impasto video"):
                raise InputError(
                    f"its {JOB_FILE} does not belong to a film; choose another folder for `work`",
                    where=folder,
                    field="work",
                )
            if self.frame_count and not restart:
                difference = _describe_difference(existing, self._job)
                raise InputError(difference, where=folder, field="restart")
            self.remove()
            existing = None
            if exclusive:
                self._lock_folder()
        make_folder(folder)
        try:
            remove_orphans(folder)
            there = [] if existing is not None else list(folder.iterdir())
            foreign = [each for each in there if self._lock is None or each.name != LOCK_FILE]
        except OSError as error:
            raise ResourceError(f"cannot store frames ({error.strerror})", where=folder) from None
        if not all(map(is_temporary, foreign)):
            raise InputError(
                "is not empty; choose another folder for `work`", where=folder, field="work"
            )
        if existing is None:
            self._write(JOB_FILE, json.dumps(self._job, indent=1).encode())

    def _is_ours(self) -> bool:
        """Tell whether the folder is empty, does not exist, or holds a film."""
        job = self._read_job()
        if job is not None:
            return str(job.get("format", "")).startswith("impasto video")
        if not self.folder.exists():
            return True
        return all(path.name == LOCK_FILE or is_temporary(path) for path in self.folder.iterdir())

    def close(self) -> None:
        """Let other processes use the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _lock_folder(self) -> None:
        """Lock the folder against other processes.

        Raises:
            InputError: another process has locked it.
            ResourceError: the folder cannot be created or written.
        """
        make_folder(self.folder)
        try:
            self._lock = open_without_link(self.folder / LOCK_FILE, append=True)
        except OSError as error:
            raise ResourceError(
                f"cannot store frames ({error.strerror})", where=self.folder
            ) from None
        if not lock_file(self._lock):
            self.close()
            raise InputError(
                "another run is painting into this folder; wait for it, or choose another folder "
                "for `work`",
                where=self.folder,
                field="work",
            )

    @property
    def frame_count(self) -> int:
        """Number of painted frames, from the first one to the first gap."""
        begin = self._dropped
        return next(
            index for index in itertools.count(begin) if not self._name_file(index).exists()
        )

    def drop(self, index: int) -> None:
        """Delete a frame that is no longer needed; all frames up to it still count as painted."""
        for suffix in (SHOWN, RAW, SOURCE):
            self._name_file(index, suffix).unlink(missing_ok=True)
        self._dropped = index + 1

    def is_repainted(self, index: int) -> bool:
        """Tell whether the second pass has painted a frame."""
        return self._name_file(index, REPAINTED).exists()

    def save(
        self,
        index: int,
        frame: StoredFrame,
        film_frame: Levels,
        source: Levels | None = None,
        *,
        repainted: bool = False,
    ) -> None:
        """Store a frame.

        Args:
            index: index of the frame.
            frame: what the film needs to resume after it.
            film_frame: the frame of the film, [H, W, 3] uint8.
            source: the clip's frame, if a second pass will need it.
            repainted: store the result of the second pass.

        Raises:
            ResourceError: the disk is full or the folder is not writable.
        """
        texts = {"time": str(frame.time), "shot": str(frame.shot), "seen": frame.fingerprint}
        prefix = REPAINTED if repainted else ""
        if source is not None:
            self._write(self._name_file(index, SOURCE).name, _encode_png(source, {}))
        if not np.array_equal(frame.result, film_frame):
            self._write(self._name_file(index, prefix + RAW).name, _encode_png(frame.result, {}))
        # This file comes last: its existence marks the frame as painted.
        self._write(self._name_file(index, prefix + SHOWN).name, _encode_png(film_frame, texts))

    def read(self, index: int, *, repainted: bool = False) -> StoredFrame:
        """Read a frame, or its result of the second pass.

        Raises:
            InputError: the file is damaged.
        """
        prefix = REPAINTED if repainted else ""
        time, shot, fingerprint = self._read_texts(index)
        file, raw = self._name_file(index, prefix + SHOWN), self._name_file(index, prefix + RAW)
        result = self._read_picture(raw if raw.exists() else file)
        return StoredFrame(time, shot, result, fingerprint)

    def read_source(self, index: int) -> Levels:
        """Read the clip's frame that was stored for the second pass, [H, W, 3] uint8."""
        return self._read_picture(self._name_file(index, SOURCE))

    def read_film_frames(self) -> Iterator[FilmFrame]:
        """Yield the frames of the film that have been painted."""
        for index in range(self.frame_count):
            yield FilmFrame(self.read_time(index), partial(self.read_pixels, index))

    def read_time(self, index: int) -> Fraction:
        """Read the time of a frame in the clip, in seconds."""
        return self._read_texts(index)[0]

    def read_pixels(self, index: int) -> Levels:
        """Read a frame of the film, [H, W, 3] uint8."""
        return self._read_picture(
            self._name_file(index, REPAINTED if self.is_repainted(index) else SHOWN)
        )

    def note_output(self, target: Path, file: Path | None = None) -> None:
        """Note that a file is an output of this film, so that it may be replaced later.

        Args:
            target: the output. If it does not exist yet, whatever is there later may be replaced.
            file: the complete output, which is about to get the target's name. None: it has it.
        """
        outputs = {**self._read_outputs(), str(target.absolute()): _read_stamp(file or target)}
        self._write(OUTPUTS_FILE, json.dumps(outputs).encode())

    def is_own_output(self, target: Path) -> bool:
        """Tell whether a file was noted by :meth:`note_output` and has not been changed since."""
        name, outputs = str(target.absolute()), self._read_outputs()
        return name in outputs and outputs[name] in (None, _read_stamp(target))

    def remove(self) -> None:
        """Delete the frames, and the folder unless it holds other files."""
        self.close()
        # The last frame goes first, so that after a kill the film goes on from those that are left.
        # The job comes last: without it, they would be somebody else's.
        last = (OUTPUTS_FILE, JOB_FILE)
        paths = sorted(self.folder.iterdir(), reverse=True)
        for path in sorted(paths, key=lambda path: path.name in last and last.index(path.name) + 1):
            name = path.name
            is_own = name in (JOB_FILE, OUTPUTS_FILE, LOCK_FILE) or FRAME_FILE.fullmatch(name)
            if (is_own or is_temporary(path)) and path.is_file():
                path.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _read_job(self) -> dict[str, Any] | None:
        """Read the job in the folder. None: there is none. Empty: it is not a film's."""
        try:
            job = json.loads((self.folder / JOB_FILE).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {}
        return job if isinstance(job, dict) else {}

    def _read_outputs(self) -> dict[str, list[int] | None]:
        try:
            outputs: dict[str, list[int] | None] = json.loads(
                (self.folder / OUTPUTS_FILE).read_text()
            )
        except (OSError, ValueError):
            return {}
        return outputs

    def _name_file(self, index: int, suffix: str = SHOWN) -> Path:
        return self.folder / f"{index:08d}{suffix}.png"

    def _read_texts(self, index: int) -> tuple[Fraction, int, str]:
        """Read a frame's time, the first frame of its shot, and its fingerprint."""
        with self._open_picture(self._name_file(index)) as image:
            return Fraction(image.info["time"]), int(image.info["shot"]), str(image.info["seen"])

    def _read_picture(self, path: Path) -> Levels:
        with self._open_picture(path) as image:
            return np.array(image.convert("RGB"))

    @contextmanager
    def _open_picture(self, path: Path) -> Iterator[Image.Image]:
        try:
            with Image.open(path) as image:
                yield image
        except (OSError, KeyError, ValueError, SyntaxError):
            raise InputError("damaged; delete its folder to start again", where=path) from None

    def _write(self, name: str, data: bytes) -> None:
        write_atomically(self.folder / name, data)


def _encode_png(pixels: Levels, texts: dict[str, str]) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1, pnginfo=info)
    return stream.getvalue()


def _read_stamp(path: Path) -> list[int] | None:
    """Return a file's size and time of change, by which changes are noticed. None: no such file."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime_ns]


def _describe_difference(existing: dict[str, Any], expected: dict[str, Any]) -> str:
    names = [key for key in expected if existing.get(key) != expected[key]]
    what = f"the {names[0]} differs" if names else "its record is damaged"
    return (
        f"holds the frames of another film ({what}); `restart` deletes them, or choose "
        "another folder"
    )
