"""Prepare the colors that a network sees, and apply colors to its result.

``style``: the painting's colors. ``match``: the painting is first recolored to the photo's colors.
``content``: the photo's chroma is restored afterwards. ``luminance``: the network sees lightness
only, and the photo's chroma is restored afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from impasto.engine.sizes import fit_painting
from impasto.image.color.chroma import carry_chroma, copy_chroma
from impasto.image.color.transfer import ColorStatistics, match_colors, remove_color
from impasto.image.picture import Picture

Colors = Literal["style", "content", "luminance", "match"]


def prepare_colors(
    colors: Colors,
    photo: Picture,
    paintings: Sequence[Picture],
    size: tuple[int, int],
    ratio: float,
) -> tuple[Picture, list[Picture]]:
    """Return the photo and the paintings as the network sees them.

    Pictures that are recolored are first reduced to the size that the result needs.

    Args:
        colors: the mode.
        photo: the photo in its own colors, at any size.
        paintings: the paintings in their own colors, at any sizes.
        size: (width, height) of the result.
        ratio: size of the paintings relative to the result, ``style.scale``.
    """
    if colors not in ("match", "luminance"):
        return photo, list(paintings)
    if not paintings and colors == "match":
        return photo, []
    reduced = _reduce(photo, size)
    target = ColorStatistics.measure(reduced)
    fitting = [
        _reduce(each, fit_painting((each.width, each.height), size, ratio)) for each in paintings
    ]
    if colors == "match":
        return photo, [match_colors(each, target) for each in fitting]
    return remove_color(reduced), [remove_color(each, target) for each in fitting]


def count_copied_pixels(
    colors: Colors, result: tuple[int, int], paintings: Sequence[tuple[int, int]]
) -> int:
    """Count the pixels in the copies that :func:`prepare_colors` makes, at most.

    Args:
        colors: the mode.
        result: (width, height) of the result.
        paintings: (width, height) at which each painting is compared with the result.
    """
    changed = {"match": paintings, "luminance": [result, *paintings]}.get(colors, ())
    return sum(math.prod(size) for size in changed)


def apply_colors(colors: Colors, picture: Picture, photo: Picture) -> Picture:
    """Give a picture of a run the colors of its result.

    Args:
        colors: the recipe's ``colors``.
        picture: the picture, as the run paints it.
        photo: the photo with its own colors, of any size.
    """
    if colors == "content":
        return carry_chroma(picture, photo)
    if colors == "luminance":
        return copy_chroma(picture, photo)
    return picture


def _reduce(picture: Picture, size: tuple[int, int]) -> Picture:
    return picture.resize(*size) if size[0] < picture.width else picture
