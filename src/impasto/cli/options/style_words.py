"""Find the paintings that ``--style`` names in words: drawn from them, or in the library.

The file of a drawing lies beside the result and is recorded like any other painting, so that
``impasto replay`` and ``impasto refine`` find it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import say

if TYPE_CHECKING:
    from impasto.words.description import StyleDescription


def draw_word_styles(options: argparse.Namespace, folder: Path | None = None) -> None:
    """Replace each style ``words: TEXT`` by the file of a painting that is drawn now.

    A style that is no path becomes the painting of the library that it names. A file of that name
    wins. A painting that is already there is used again.

    Args:
        options: arguments with ``style``, changed in place.
        folder: where to save it, made if it does not exist. None: beside the result, or the cache
            if the result is no file.

    Raises:
        InputError: a word or a name is unknown, or another picture has the file's name.
        ResourceError: the file cannot be written.
    """
    find_named_styles(options)
    from impasto.words.word_styles import choose_drawing_size, find_words

    texts = [find_words(each) for each in options.style or ()]
    if not any(text is not None for text in texts):
        return
    from impasto.words.description import parse_description

    descriptions = [None if text is None else parse_description(text) for text in texts]
    size = choose_drawing_size(getattr(options, "size", None))
    folder = folder or _choose_folder(options)
    for place, description in enumerate(descriptions):
        if description is not None:
            options.style[place] = save_drawing(description, size, folder)


def find_named_styles(options: argparse.Namespace) -> None:
    """Replace each style that is no path by the painting of the library that it names.

    Raises:
        InputError: no painting has such a name; the message has the nearest ones.
    """
    for place, style in enumerate(options.style or ()):
        options.style[place] = find_named_style(style, options)


def find_named_style(style: Any, options: argparse.Namespace) -> str:
    """Return the painting of the library that a style names, or the style if it is no name."""
    from impasto.library.painting_search import is_name

    if not is_name(style):
        return str(style)
    from impasto.library.library_paintings import load_library
    from impasto.library.painting_search import NameIndex

    choice = NameIndex(load_library(getattr(options, "library", None))).choose(style)
    say(f"{style}: {choice.describe()} ({choice.painting.path.name})")
    return str(choice.painting.path)


def save_drawing(description: StyleDescription, size: int, folder: Path) -> str:
    """Draw a painting, save it in a folder, and say what it is.

    Returns:
        Its file.
    """
    from impasto.words.word_styles import draw_description

    path = folder / f"{description.make_stem(size)}.png"
    say(f"{path}: {description.describe()}")
    return str(draw_description(description, size).save(folder))


def find_painting_file(painting: str) -> str:
    """Return the file of a painting that is given by its path, its name or words.

    Drawings are saved in the cache, because no result needs them.

    Raises:
        InputError: a word or a name is unknown.
        ResourceError: the drawing cannot be written.
    """
    options = argparse.Namespace(style=[painting])
    draw_word_styles(options, find_drawing_cache())
    return str(options.style[0])


def find_drawing_cache() -> Path:
    """Return the folder of paintings that no result lies beside."""
    from impasto.encoders.weight_sources import find_cache_folder

    return find_cache_folder() / "drawings"


def _choose_folder(options: argparse.Namespace) -> Path:
    source = getattr(options, "photo", None) or getattr(options, "clip", None)
    result = options.output or source
    return find_drawing_cache() if result in (None, "-") else Path(result).parent
