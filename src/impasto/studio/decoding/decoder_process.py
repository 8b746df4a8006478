"""The decoder process: which rights it gives up, and which questions it answers."""

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
from impasto.studio.decoding.browser_view import write_view
from impasto.studio.decoding.clip_reader import ClipReader
from impasto.studio.decoding.sandbox import give_up_rights


def run_decoder(line: Connection, limits: Limits, memory: int) -> None:
    """Answer questions until the line is closed.

    Args:
        line: carries questions and answers in JSON.
        limits: limits of a picture.
        memory: bytes of address space that the process may use.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    give_up_rights()
    if hasattr(
        os, "sched_setaffinity"
    ):  # FFmpeg starts a thread per core, and each one takes address space
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
    threading.Thread(target=exit_with_parent, daemon=True).start()
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows; macOS refuses
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    clips = ClipReader()
    answers: dict[str, Callable[..., dict[str, Any]]] = {
        **clips.list_answers(),
        "check": _check,
        "check_mask": _check_mask,
        "convert": _convert,
        "read_record": _read_record,
        "read": _read,
    }
    with contextlib.suppress(EOFError, OSError):
        line.send_bytes(b"{}")
        while True:
            question, path, name, *rest = json.loads(line.recv_bytes())
            try:
                answer = answers[question](Path(path), name, limits, *rest)
            except ImpastoError as error:
                answer = {"error": type(error).__name__, "message": str(error)}
            except OSError as error:
                answer = {
                    "error": "ResourceError",
                    "message": f"{name}: cannot be processed ({error.strerror})",
                }
            except MemoryError:
                answer = {
                    "error": "LimitError",
                    "message": f"{name}: decoding takes more than {memory >> 20} MiB of memory",
                }
            line.send_bytes(json.dumps(answer).encode())


def _open(path: Path, name: str, limits: Limits) -> Picture:
    return read_picture(path.read_bytes(), limits=limits, name=name)


def _check(path: Path, name: str, limits: Limits, view: str | None) -> dict[str, Any]:
    picture = _open(path, name, limits)
    if view is not None:
        write_view(picture, Path(view))
    return {"width": picture.width, "height": picture.height}


def _check_mask(path: Path, name: str, limits: Limits, view: str) -> dict[str, Any]:
    picture = _open(path, name, limits)
    read_mask(picture, name=name)
    write_view(picture, Path(view), "PNG")
    return {}


def _convert(
    path: Path, name: str, limits: Limits, target: str, depth: int, keep: bool
) -> dict[str, Any]:
    write_picture(
        _open(path, name, limits),
        Path(target),
        record=read_record(path),
        depth=depth,
        keep_metadata=keep,
        overwrite=True,
    )
    return {}


def _read_record(path: Path, name: str, limits: Limits) -> dict[str, Any]:
    _open(path, name, limits)
    return {"record": read_record(path)}


def _read(path: Path, name: str, limits: Limits, target: str) -> dict[str, Any]:
    picture = _open(path, name, limits)
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
