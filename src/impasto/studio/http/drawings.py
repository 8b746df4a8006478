"""Draw paintings from words for requests: a few at a time, and the last ones are remembered."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from functools import lru_cache

from impasto.errors import InputError
from impasto.image.files.encode import write_picture
from impasto.studio.problems import Problem
from impasto.words.description import StyleDescription, parse_description
from impasto.words.word_styles import draw_description

RUNNING, WAITING = 2, 8
_running = threading.BoundedSemaphore(RUNNING)
_places = threading.BoundedSemaphore(RUNNING + WAITING)


def read_description(words: str) -> StyleDescription:
    """Read words as a description.

    Raises:
        Problem: a word is unknown; the detail has the nearest ones.
    """
    try:
        return parse_description(words)
    except InputError as error:
        raise Problem("bad_input", f"words: {error}", field="words") from None


def draw_file(words: str, size: int) -> tuple[str, bytes]:
    """Draw the painting that words describe.

    Args:
        words: the words.
        size: width and height in pixels.

    Returns:
        The name of its file, and the PNG.

    Raises:
        Problem: a word is unknown, or too many paintings are being drawn.
    """
    description = read_description(words)
    with _reserve_place():
        return _draw(description, size)


@lru_cache(maxsize=16)
def _draw(description: StyleDescription, size: int) -> tuple[str, bytes]:
    drawing, stream = draw_description(description, size), io.BytesIO()
    write_picture(drawing.picture, stream)
    return drawing.name, stream.getvalue()


@contextlib.contextmanager
def _reserve_place() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise Problem(
            "too_many_conversions",
            "too many paintings are being drawn; retry in 5 seconds",
            {"retry-after": "5"},
        )
    try:
        with _running:
            yield
    finally:
        _places.release()
