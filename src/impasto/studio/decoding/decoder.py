"""Pictures and clips from strangers, decoded in a process of its own under limits of memory and
time.

The process knows no network, no token and no other job. If a file kills it or keeps it too long,
the file is refused and there is a new process.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
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
_KINDS = {kind.__name__: kind for kind in (ClipError, ImageError, LimitError, ResourceError)}


class Decoder:
    """The process, and what can be asked of it; one thing at a time."""

    def __init__(self, limits: Limits, memory: int, seconds: float) -> None:
        """Nothing starts before it is needed.

        Args:
            limits: of a picture.
            memory: bytes of address space that the process may have.
            seconds: that it may take for a picture.
        """
        self._limits = limits
        self._memory = memory
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: Any = None
        self._line: Connection | None = None

    def check(self, path: Path, name: str, view: Path | None = None) -> tuple[int, int]:
        """(width, height), upright, of a picture that can be read whole.

        Args:
            path: of its file.
            name: in messages.
            view: file to write what a browser can show; none: nothing.

        Raises:
            ImageError, LimitError: it cannot be read, or is over a limit.
        """
        found = self._ask("check", str(path), name, view and str(view))
        return found["width"], found["height"]

    def check_mask(self, path: Path, name: str, view: Path) -> None:
        """Likewise of a mask.

        Raises:
            ImageError, LimitError, InputError: it cannot be read, or is black all over.
        """
        self._ask("check_mask", str(path), name, str(view))

    def convert(
        self, source: Path, target: Path, name: str, *, depth: int = 8, keep: bool = True
    ) -> None:
        """A picture in another format, its record kept; its EXIF where ``keep`` says so.

        Raises:
            ImageError, LimitError, ResourceError: it cannot be read or written.
        """
        self._ask("convert", str(source), name, str(target), depth, keep)

    def record(self, path: Path) -> str | None:
        """The text that is embedded in a picture.

        Raises:
            ImageError: not a picture.
        """
        text: str | None = self._ask("record", str(path), path.name)["record"]
        return text

    def read(self, path: Path, name: str) -> Picture:
        """A picture.

        Raises:
            ImageError, LimitError: it cannot be read, or is over a limit.
        """
        scratch = path.with_name(f"{path.name}.{os.getpid()}.npy")
        try:
            found = self._ask("read", str(path), name, str(scratch))
            values = np.load(scratch, allow_pickle=False)
        finally:
            scratch.unlink(missing_ok=True)
        alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
        exif = None if found["exif"] is None else bytes.fromhex(found["exif"])
        metadata = Metadata(exif, found["format"], found["depth"])
        return Picture(np.ascontiguousarray(values[..., :3]), alpha, metadata)

    def check_clip(self, path: Path, name: str, view: Path) -> dict[str, Any]:
        """What is known of a clip whose beginning can be read.

        Args:
            path: of its file.
            name: in messages.
            view: file to write what a browser can show of its first frame.

        Returns:
            ``width`` and ``height``, upright; ``frames``, counted; ``rate``, as a fraction;
            ``suffix`` of the film that it becomes.

        Raises:
            ClipError, LimitError: it cannot be read, or its frames are over a limit.
        """
        return self._ask("check_clip", str(path), name, str(view))

    def clip(self, path: Path, name: str) -> DecodedClip:
        """A clip, of which one can be read at a time.

        Raises:
            ClipError, LimitError: as :meth:`check_clip`.
        """
        found = self._ask("open_clip", str(path), name)
        rate, base = Fraction(found["rate"]), Fraction(found["time_base"])
        form = Format(found["width"], found["height"], rate, base, found["frames"])
        scratch = path.with_name(f"{path.name}.{os.getpid()}.npy")

        def ask(what: str, *rest: Any) -> dict[str, Any]:
            return self._ask(what, str(path), name, *rest)

        return DecodedClip(form, ask, scratch)

    def film(self, path: Path, name: str, seconds: float, **asked: Any) -> None:
        """Write the film of a clip's frames that are done: the process writes it, because the
        sound comes from the clip.

        Args:
            path: of the clip.
            name: in messages.
            seconds: that this may take.
            asked: as of :meth:`impasto.studio.decoding.decoder_clips.ClipReader.film`.

        Raises:
            ClipError, ResourceError: the clip is damaged; the film cannot be written.
        """
        self._ask("film", str(path), name, asked, seconds=seconds)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(
        self, what: str, path: str, name: str, *rest: Any, seconds: float | None = None
    ) -> dict[str, Any]:
        seconds = seconds or self._seconds
        with self._lock:
            if self._process is not None and not self._process.is_alive():
                self._end()  # it died between two files, of which the next is innocent
            line = self._line or self._begin()
            try:
                line.send_bytes(json.dumps([what, path, name, *rest]).encode())
                if not line.poll(seconds):
                    raise TimeoutError
                answer: dict[str, Any] = json.loads(line.recv_bytes())
            except TimeoutError:
                self._end()
                raise LimitError(f"{name}: takes longer to decode than {seconds:g} s") from None
            except (EOFError, OSError):
                self._end()
                raise ImageError(f"{name}: damaged, it ended the process that decodes") from None
        if "error" in answer:
            raise _KINDS.get(answer["error"], InputError)(answer["message"])
        return answer

    def _begin(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=decoder_process.serve,
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
            raise ResourceError("the process that decodes pictures did not start")
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
    """A clip whose frames come from the process; see :class:`impasto.video.clip.frames.Clip`."""

    sound = None
    """The process itself puts it into the film."""

    def __init__(self, form: Format, ask: Ask, scratch: Path) -> None:
        """``ask`` for the next frame; ``scratch`` is the file that its pixels come in."""
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
