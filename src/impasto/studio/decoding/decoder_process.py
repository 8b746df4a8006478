"""The process that decodes: what it gives up, and what it answers."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from impasto.batch.workers.local_machine import exit_with_parent
from impasto.errors import ImpastoError
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.files.limits import Limits
from impasto.image.files.metadata import read_record
from impasto.image.masks import read_mask
from impasto.image.picture import Picture
from impasto.studio.decoding.browser_view import show
from impasto.studio.decoding.decoder_clips import ClipReader
from impasto.studio.decoding.sandbox import give_up


def serve(line: Connection, limits: Limits, memory: int) -> None:
    """The process: a question, an answer, until the line is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    give_up()
    if hasattr(os, "sched_setaffinity"):  # FFmpeg takes a thread a core, each takes address space
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
    threading.Thread(target=exit_with_parent, daemon=True).start()
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows; macOS refuses
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    clips = ClipReader()
    answers: dict[str, Callable[..., dict[str, Any]]] = {
        **clips.answers(),
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
            except OSError as error:
                answer = {
                    "error": "ResourceError",
                    "message": f"{name}: cannot be worked on ({error.strerror})",
                }
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
        show(picture, Path(view))
    return {"width": picture.width, "height": picture.height}


def _check_mask(path: Path, name: str, limits: Limits, view: str) -> dict[str, Any]:
    picture = _opened(path, name, limits)
    read_mask(picture, name=name)
    show(picture, Path(view), "PNG")
    return {}


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
