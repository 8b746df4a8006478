"""Run the decoder process: give up all rights, and answer questions about one folder."""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from impasto.batch.processes.local_machine import exit_with_parent
from impasto.errors import ImpastoError
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.files.limits import Limits
from impasto.image.files.metadata import read_record
from impasto.image.masks import read_mask
from impasto.image.picture import Picture
from impasto.image.rows import split_rows
from impasto.studio.decoding.browser_view import write_view
from impasto.studio.decoding.clip_reader import ClipReader
from impasto.studio.decoding.sandbox import Restrictions, confine

QUESTION_BYTES = ANSWER_BYTES = 16 << 20
"""Largest size of a question and of an answer."""


def load_libraries() -> None:
    """Load what decoding needs, which is slow, and impossible for a process without rights."""
    import tifffile  # noqa: F401
    from PIL import Image, ImageCms

    Image.init()
    ImageCms.createProfile("sRGB")
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def run_decoder(line: Connection, limits: Limits, restrictions: Restrictions) -> None:
    """Answer questions until the line is closed, where processes cannot be forked.

    Args:
        line: carries questions and answers in JSON.
        limits: limits of a picture.
        restrictions: what the process may use.
    """
    threading.Thread(target=exit_with_parent, daemon=True).start()
    answer_questions(line, limits, restrictions)


def answer_questions(line: Connection, limits: Limits, restrictions: Restrictions) -> None:
    """Give up all rights that are not needed, and answer questions until the line is closed.

    Args:
        line: carries questions and answers in JSON.
        limits: limits of a picture.
        restrictions: what the process may use.
    """
    # FFmpeg starts a thread per core, and each one takes address space.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
    confinement = confine(restrictions)
    answers = {**PICTURE_ANSWERS, **ClipReader().list_answers()}
    with contextlib.suppress(EOFError, OSError):
        line.send_bytes(json.dumps(asdict(confinement)).encode())
        while True:
            question, path, name, *rest = json.loads(line.recv_bytes(QUESTION_BYTES))
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
                memory = restrictions.memory >> 20
                answer = {
                    "error": "LimitError",
                    "message": f"{name}: decoding takes more than {memory} MiB of memory",
                }
            except Exception as error:  # whatever a library raises, it is about this file
                answer = {
                    "error": "ImageError",
                    "message": f"{name}: damaged or not readable ({type(error).__name__})",
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
    data = path.read_bytes()
    read_picture(data, limits=limits, name=name)
    return {"record": read_record(data)}


def _read(path: Path, name: str, limits: Limits, target: str) -> dict[str, Any]:
    picture = _open(path, name, limits)
    packed = picture.packed
    with Path(target).open("wb") as file:
        for rows in split_rows(picture.height, picture.width):
            if packed is None:
                values: Any = picture.read_rows(rows)
                alpha: Any = picture.read_alpha_rows(rows) if picture.has_alpha else None
            else:
                values = packed.levels[rows]
                alpha = None if packed.alpha is None else packed.alpha[rows]
            values = values if alpha is None else np.dstack([values, alpha])
            np.ascontiguousarray(values).tofile(file)
    hidden = None if packed is None else packed.hidden
    metadata = picture.metadata
    return {
        "width": picture.width,
        "height": picture.height,
        "has_alpha": picture.has_alpha,
        "kind": "float32" if packed is None else packed.levels.dtype.name,
        "hidden": None if hidden is None else hidden.tolist(),
        "exif": None if metadata.exif is None else metadata.exif.hex(),
        "format": metadata.source_format,
        "depth": metadata.depth,
        "rights": metadata.rights,
    }


PICTURE_ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {
    "check": _check,
    "check_mask": _check_mask,
    "convert": _convert,
    "read_record": _read_record,
    "read": _read,
}
"""Functions that answer questions about pictures, by the names of the questions."""
