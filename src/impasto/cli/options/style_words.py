"""Draw the paintings that ``--style "words: TEXT"`` asks for, and choose where they are saved.

The file lies beside the result and is recorded like any other painting, so that ``impasto replay``
and ``impasto refine`` find it.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.options.arguments import say

if TYPE_CHECKING:
    from impasto.words.description import StyleDescription

_WORDS = re.compile(r"words\s*[:\uff1a]\s*(.*)", re.DOTALL)
SIZE = 512
"""Size of a painting in pixels, doubled for results that are larger than twice as large."""


def draw_word_styles(options: argparse.Namespace, folder: Path | None = None) -> None:
    """Replace each style ``words: TEXT`` by the file of a painting that is drawn now.

    A file of that name wins. A painting that is already there is used again.

    Args:
        options: arguments with ``style``, changed in place.
        folder: where to save it, made if it does not exist. None: beside the result, or the cache
            if the result is no file.

    Raises:
        InputError: a word is unknown, or another picture has the file's name.
        ResourceError: the file cannot be written.
    """
    matches = [
        None if os.path.isfile(each) else _WORDS.fullmatch(each)  # noqa: PTH113 -- never raises
        for each in options.style or ()
    ]
    if not any(matches):
        return
    from impasto.words.description import parse_description

    descriptions = [match and parse_description(match[1]) for match in matches]
    size = SIZE if (getattr(options, "size", None) or 0) <= 2 * SIZE else 2 * SIZE
    folder = folder or _choose_folder(options)
    for place, description in enumerate(descriptions):
        if description is not None:
            path = folder / f"{description.make_stem(size)}.png"
            say(f"{path}: {description.describe()}")
            _save(description, size, path)
            options.style[place] = str(path)


def find_drawing_cache() -> Path:
    """Return the folder of paintings that no result lies beside."""
    from impasto.encoders.sources import find_cache_folder

    return find_cache_folder() / "drawings"


def _choose_folder(options: argparse.Namespace) -> Path:
    source = getattr(options, "photo", None) or getattr(options, "clip", None)
    result = options.output or source
    return find_drawing_cache() if result in (None, "-") else Path(result).parent


def _save(description: StyleDescription, size: int, path: Path) -> None:
    from impasto.errors import InputError
    from impasto.image.files.atomic import make_folder
    from impasto.image.files.decode import read_picture
    from impasto.image.files.encode import write_picture
    from impasto.words.drawing.draw import draw_painting

    painting = draw_painting(description, size)
    make_folder(path.parent)
    try:
        write_picture(painting, path)
    except InputError as error:
        if error.field != "overwrite":
            raise
        if read_picture(path).compute_sha256() != painting.compute_sha256():
            raise InputError(
                "exists already and is another picture: move it away", where=path
            ) from None
