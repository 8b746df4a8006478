"""Find the paintings that words describe or names name, among paintings of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from impasto.library.painting_search import is_name
from impasto.words.word_styles import replace_words


def resolve_paintings(paintings: Sequence[Any], result: int | None = None) -> list[Any]:
    """Return paintings with drawings in place of words, and files in place of names.

    Args:
        paintings: any kind of image, ``"words: blue woodcut"``, or the name of a painting of the
            library, such as ``"starry night"``.
        result: longer side of the result in pixels. None: it is not known.

    Raises:
        InputError: a word or a name is unknown; the message has the nearest ones.
    """
    return [_find_name(each) for each in replace_words(paintings, result)]


def _find_name(painting: Any) -> Any:
    if not is_name(painting):
        return painting
    from impasto.library.library_paintings import load_library
    from impasto.library.painting_search import NameIndex

    return NameIndex(load_library()).choose(painting).painting.path
