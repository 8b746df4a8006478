"""Decodes pictures and clips of clients in a separate process with limits of memory and time.

If a file kills the process or takes too long, the file is refused and a new process starts.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from impasto.batch.workers.local_machine import block_interrupts
from impasto.errors import ClipError, ImageError, InputError, LimitError, ResourceError
from impasto.image.files.limits import Limits
from impasto.image.picture import Metadata, Picture
from impasto.studio.decoding import decoder_process
from impasto.video.clip.frames import Format, Frame, Levels

Ask = Callable[..., dict[str, Any]]
START_S = 60.0
"""Seconds for the process to start."""
_KINDS = {kind.__name__: kind for kind in (ClipError, ImageError, LimitError, ResourceError)}


@dataclass(frozen=True)
class FilmOrder:
    """A film to be written.

    Attributes:
        target: file of the film.
        store: folder of the painted frames.
        facts: what the frames depend on, as the folder has it.
        size: (width, height) of the frames.
        end: end of the selected frames, in seconds as a fraction. None: the end of the clip.
        record: text to embed. None: none.
        keep_metadata: whether the clip's metadata is copied into the film.
    """

    target: str
    store: str
    facts: dict[str, Any]
    size: tuple[int, int]
    end: str | None
    record: str | None
    keep_metadata: bool


class Decoder:
    """The decoder process, which answers one question at a time."""

    def __init__(self, limits: Limits, memory: int, seconds: float) -> None:
        """Prepare; the process starts with the first question.

        Args:
            limits: limits of a picture.
            memory: bytes of address space that the process may use.
            seconds: longest time for a picture.
        """
        self._limits = limits
        self._memory = memory
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: Any = None
        self._line: Connection | None = None

    def check(self, path: Path, name: str, view: Path | None = None) -> tuple[int, int]:
        """Decode a picture, and return its upright (width, height).

        Args:
            path: file of the picture.
            name: name in messages.
            view: where to write a picture for browsers. None: none is written.

        Raises:
            ImageError, LimitError: it cannot be read, or exceeds a limit.
        """
        answer = self._ask("check", str(path), name, view and str(view))
        return answer["width"], answer["height"]

    def check_mask(self, path: Path, name: str, view: Path) -> None:
        """Decode a mask, and write a picture of it for browsers.

        Args:
            path: file of the picture.
            name: name in messages.
            view: where to write the picture.

        Raises:
            ImageError, LimitError, InputError: it cannot be read, or is black all over.
        """
        self._ask("check_mask", str(path), name, str(view))

    def convert(
        self, source: Path, target: Path, name: str, *, depth: int = 8, keep: bool = True
    ) -> None:
        """Write a picture in another format, with its record.

        Args:
            source: file of the picture.
            target: file of the copy; its suffix names the format.
            name: name in messages.
            depth: bits per channel.
            keep: whether the EXIF is copied.

        Raises:
            ImageError, LimitError, ResourceError: it cannot be read or written.
        """
        self._ask("convert", str(source), name, str(target), depth, keep)

    def read_record(self, path: Path) -> str | None:
        """Read the record inside a picture. None: there is none.

        Raises:
            ImageError: not a picture.
        """
        text: str | None = self._ask("read_record", str(path), path.name)["record"]
        return text

    def read(self, path: Path, name: str) -> Picture:
        """Read a picture.

        Args:
            path: file of the picture.
            name: name in messages.

        Raises:
            ImageError, LimitError: it cannot be read, or exceeds a limit.
        """
        scratch = path.with_name(f"{path.name}.{os.getpid()}.npy")
        try:
            answer = self._ask("read", str(path), name, str(scratch))
            values = np.load(scratch, allow_pickle=False)
        finally:
            scratch.unlink(missing_ok=True)
        alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
        exif = None if answer["exif"] is None else bytes.fromhex(answer["exif"])
        metadata = Metadata(exif, answer["format"], answer["depth"])
        return Picture(np.ascontiguousarray(values[..., :3]), alpha, metadata)

    def check_clip(self, path: Path, name: str, view: Path) -> dict[str, Any]:
        """Describe a clip whose beginning can be read.

        Args:
            path: file of the picture.
            name: name in messages.
            view: where to write the first frame for browsers.

        Returns:
            The upright ``width`` and ``height``, the number of ``frames``, the ``rate`` as a
            fraction, and the ``suffix`` of its film.

        Raises:
            ClipError, LimitError: it cannot be read, or its frames exceed a limit.
        """
        return self._ask("check_clip", str(path), name, str(view))

    def open_clip(self, path: Path, name: str) -> DecodedClip:
        """Open a clip; only one can be read at a time.

        Args:
            path: file of the picture.
            name: name in messages.

        Raises:
            ClipError, LimitError: as :meth:`check_clip`.
        """
        answer = self._ask("open_clip", str(path), name)
        rate, base = Fraction(answer["rate"]), Fraction(answer["time_base"])
        form = Format(answer["width"], answer["height"], rate, base, answer["frames"])
        scratch = path.with_name(f"{path.name}.{os.getpid()}.npy")

        def ask(question: str, *rest: Any) -> dict[str, Any]:
            return self._ask(question, str(path), name, *rest)

        return DecodedClip(form, ask, scratch)

    def write_film(self, path: Path, name: str, order: FilmOrder, *, seconds: float) -> None:
        """Write the film of a clip; the process does it because it reads the clip's sound.

        Args:
            path: file of the clip.
            name: name in messages.
            order: what to write.
            seconds: longest time for the film.

        Raises:
            ClipError, ResourceError: the clip is damaged, or the film cannot be written.
        """
        self._ask("write_film", str(path), name, asdict(order), seconds=seconds)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(
        self, question: str, path: str, name: str, *rest: Any, seconds: float | None = None
    ) -> dict[str, Any]:
        seconds = seconds or self._seconds
        with self._lock:
            if self._process is not None and not self._process.is_alive():
                self._end()  # it died between two files, and the next file is innocent
            line = self._line or self._start()
            try:
                line.send_bytes(json.dumps([question, path, name, *rest]).encode())
                if not line.poll(seconds):
                    raise TimeoutError
                answer: dict[str, Any] = json.loads(line.recv_bytes())
            except TimeoutError:
                self._end()
                raise LimitError(f"decoding takes longer than {seconds:g} s", where=name) from None
            except (EOFError, OSError):
                self._end()
                raise ImageError("damaged; it crashed the decoder", where=name) from None
        if "error" in answer:
            raise _KINDS.get(answer["error"], InputError)(answer["message"])
        return answer

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=decoder_process.run_decoder,
            args=(theirs, self._limits, self._memory),
            name="decoder",
            daemon=True,
        )
        with block_interrupts():
            process.start()
        theirs.close()
        self._process, self._line = process, ours
        if not ours.poll(START_S):  # its imports are not the picture's fault
            self._end()
            raise ResourceError("the decoder process did not start")
        with contextlib.suppress(EOFError, OSError):
            ours.recv_bytes()
        return ours

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        self._process = self._line = None


class DecodedClip:
    """A clip whose frames come from the decoder process.

    See :class:`impasto.video.clip.frames.Clip`.
    """

    sound = None
    """The decoder process copies the sound into the film by itself."""

    def __init__(self, form: Format, ask: Ask, scratch: Path) -> None:
        """Prepare to read.

        Args:
            form: format of the clip.
            ask: asks the process about this clip.
            scratch: the file that passes the pixels of a frame.
        """
        self.format = form
        self._ask = ask
        self._scratch = scratch

    def read_frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See :class:`impasto.video.clip.frames.Clip`."""
        self._ask("begin_clip", str(begin))
        while (time := self._ask("next_frame")["time"]) is not None:
            yield Frame(Fraction(time), self._load)

    def _load(self) -> Levels:
        try:
            self._ask("load_frame", str(self._scratch))
            pixels: Levels = np.load(self._scratch, allow_pickle=False)
        finally:
            self._scratch.unlink(missing_ok=True)
        return pixels
