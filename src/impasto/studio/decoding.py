"""Pictures from strangers, decoded in a process of its own under limits of memory and time.

The process knows no network, no token and no other job. If a picture kills it or keeps it too long,
the picture is refused and there is a new process.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from impasto.batch.processes import born_deaf
from impasto.errors import ImageError, ImpastoError, InputError, LimitError, ResourceError
from impasto.media.decode import read_picture
from impasto.media.encode import write_picture
from impasto.media.limits import Limits
from impasto.media.masks import read_mask
from impasto.media.metadata import read_record
from impasto.media.picture import Metadata, Picture, fit_within

VIEW_SIDE = 2048
"""Longer side of what a browser is shown of a picture."""
START_S = 60.0
_KINDS = {kind.__name__: kind for kind in (ImageError, LimitError, ResourceError)}


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

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, what: str, path: str, name: str, *rest: Any) -> dict[str, Any]:
        with self._lock:
            line = self._line or self._begin()
            try:
                line.send_bytes(json.dumps([what, path, name, *rest]).encode())
                if not line.poll(self._seconds):
                    raise TimeoutError
                answer: dict[str, Any] = json.loads(line.recv_bytes())
            except TimeoutError:
                self._end()
                raise LimitError(f"{name}: takes longer to decode than {self._seconds:g} s") from (
                    None
                )
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
            target=_serve, args=(theirs, self._limits, self._memory), name="decoder", daemon=True
        )
        with born_deaf():
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


def _serve(line: Connection, limits: Limits, memory: int) -> None:
    """The process: a question, an answer, until the line is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows; macOS refuses
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers: dict[str, Callable[..., dict[str, Any]]] = {
        "check": _check,
        "check_mask": _check_mask,
        "convert": _convert,
        "record": _record,
        "read": _read,
    }
    with contextlib.suppress(EOFError, OSError):
        line.send_bytes(b"{}")
        while True:
            what, path, name, *rest = json.loads(line.recv_bytes())
            try:
                answer = answers[what](Path(path), name, limits, *rest)
            except ImpastoError as error:
                answer = {"error": type(error).__name__, "message": str(error)}
            except MemoryError:
                answer = {
                    "error": "LimitError",
                    "message": f"{name}: takes more memory to decode than {memory >> 20} MiB",
                }
            line.send_bytes(json.dumps(answer).encode())


def _opened(path: Path, name: str, limits: Limits) -> Picture:
    return read_picture(path.read_bytes(), limits=limits, name=name)


def _check(path: Path, name: str, limits: Limits, view: str | None) -> dict[str, Any]:
    picture = _opened(path, name, limits)
    if view is not None:
        _show(picture, Path(view))
    return {"width": picture.width, "height": picture.height}


def _check_mask(path: Path, name: str, limits: Limits, view: str) -> dict[str, Any]:
    picture = _opened(path, name, limits)
    read_mask(picture, name=name)
    _show(picture, Path(view), "PNG")
    return {}


def _show(picture: Picture, target: Path, kind: str | None = None) -> None:
    """Upright, in sRGB, without a word about where it was taken."""
    longer = max(picture.width, picture.height)
    shown = picture.resized(*fit_within(picture.width, picture.height, min(longer, VIEW_SIDE)))
    kind = kind or ("JPEG" if picture.alpha is None else "PNG")
    with target.open("wb") as file:
        write_picture(shown, file, format=kind, keep_metadata=False, quality=90)


def _convert(
    path: Path, name: str, limits: Limits, target: str, depth: int, keep: bool
) -> dict[str, Any]:
    write_picture(
        _opened(path, name, limits),
        Path(target),
        record=read_record(path),
        depth=depth,
        keep_metadata=keep,
        overwrite=True,
    )
    return {}


def _record(path: Path, name: str, limits: Limits) -> dict[str, Any]:
    _opened(path, name, limits)
    return {"record": read_record(path)}


def _read(path: Path, name: str, limits: Limits, target: str) -> dict[str, Any]:
    picture = _opened(path, name, limits)
    values = picture.pixels
    if picture.alpha is not None:
        values = np.dstack([values, picture.alpha])
    np.save(target, values, allow_pickle=False)
    metadata = picture.metadata
    return {
        "exif": None if metadata.exif is None else metadata.exif.hex(),
        "format": metadata.source_format,
        "depth": metadata.depth,
    }
