"""Draw the paintings that ``words: TEXT`` asks for, wherever a painting is named."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import InputError

if TYPE_CHECKING:
    from impasto.image.picture import Picture
    from impasto.words.description import StyleDescription

_WORDS = re.compile(r"words\s*[:\uff1a]\s*(.*)", re.DOTALL)
SIZE = 512
"""Size of a painting in pixels, doubled for results that are larger than twice as large."""


@dataclass(frozen=True)
class Drawing:
    """A painting drawn from words.

    Attributes:
        name: name of its file. Equal pictures have equal names.
        description: what the words chose.
        picture: the painting.
    """

    name: str
    description: StyleDescription
    picture: Picture

    def save(self, folder: Path) -> Path:
        """Write the painting into a folder, made if it does not exist, unless it is there already.

        Returns:
            Its file.

        Raises:
            InputError: another picture has this name.
            ResourceError: the file cannot be written.
        """
        from impasto.image.files.atomic import make_folder
        from impasto.image.files.decode import read_picture
        from impasto.image.files.encode import write_picture

        path = folder / self.name
        make_folder(folder)
        try:
            write_picture(self.picture, path)
        except InputError as error:
            if error.field != "overwrite":
                raise
            if read_picture(path).compute_sha256() != self.picture.compute_sha256():
                raise InputError(
                    "exists already and is another picture: move it away", where=path
                ) from None
        return path


def find_words(source: Any) -> str | None:
    """Return the text of ``words: TEXT``.

    Returns:
        The text. None: the source is something else, or a file of that name.
    """
    match = _WORDS.fullmatch(source) if isinstance(source, str) else None
    if match is None or os.path.isfile(source):  # noqa: PTH113 -- never raises
        return None
    return match[1]


def choose_drawing_size(result: int | None) -> int:
    """Return the size of a painting for a result with a longer side in pixels. None: unknown."""
    return SIZE if (result or 0) <= 2 * SIZE else 2 * SIZE


def draw_words(text: str, size: int = SIZE) -> Drawing:
    """Draw the painting that words describe.

    Raises:
        InputError: a word is unknown, or the words choose nothing.
    """
    from impasto.words.description import parse_description

    return draw_description(parse_description(text), size)


def draw_description(description: StyleDescription, size: int = SIZE) -> Drawing:
    """Draw a described painting."""
    from impasto.words.drawing.draw import draw_painting

    name = f"{description.make_stem(size)}.png"
    return Drawing(name, description, draw_painting(description, size))


def replace_words(paintings: Sequence[Any], result: int | None = None) -> list[Any]:
    """Return paintings with a :class:`Drawing` in place of each ``words: TEXT``.

    Args:
        paintings: any kind of image.
        result: longer side of the result in pixels. None: unknown.

    Raises:
        InputError: a word is unknown.
    """
    size = choose_drawing_size(result)
    texts = [find_words(each) for each in paintings]
    return [
        each if text is None else draw_words(text, size)
        for each, text in zip(paintings, texts, strict=True)
    ]


def take_pictures(paintings: Sequence[Any]) -> list[Any]:
    """Return paintings with the picture in place of each :class:`Drawing`."""
    return [each.picture if isinstance(each, Drawing) else each for each in paintings]
