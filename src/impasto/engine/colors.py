"""Whose colors a result has: what the network is shown, and what is made of its picture.

``style``: the painting's, as they come. ``match``: the painting is first recolored to the photo's
colors. ``content``: the photo's chroma is put back afterwards. ``luminance``: the network sees
lightness only, and the photo's chroma is put back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from impasto.engine.sizes import painting_size
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
    """The photo and the paintings as the network is to see them.

    Args:
        colors: the mode.
        photo, paintings: the user's own, any sizes.
        size: (width, height) of the result. What is recolored is first reduced to what it needs.
        ratio: of the paintings, ``style.scale``.
    """
    if colors not in ("match", "luminance"):
        return photo, list(paintings)
    if not paintings and colors == "match":
        return photo, []
    reduced = _reduced(photo, size)
    wanted = ColorStatistics.measure(reduced)
    fitting = [
        _reduced(each, painting_size((each.width, each.height), size, ratio)) for each in paintings
    ]
    if colors == "match":
        return photo, [match_colors(each, wanted) for each in fitting]
    return remove_color(reduced), [remove_color(each, wanted) for each in fitting]


def count_copied_pixels(
    colors: Colors, result: tuple[int, int], paintings: Sequence[tuple[int, int]]
) -> int:
    """Count the pixels in the copies that :func:`prepare_colors` makes, at most.

    Args:
        colors: the mode.
        result, paintings: (width, height) of the result, and of each painting beside it.
    """
    changed = {"match": paintings, "luminance": [result, *paintings]}.get(colors, ())
    return sum(math.prod(size) for size in changed)


def _reduced(picture: Picture, size: tuple[int, int]) -> Picture:
    return picture.resize(*size) if size[0] < picture.width else picture


def apply_colors(colors: Colors, picture: Picture, photo: Picture) -> Picture:
    """A picture of a run in the colors that its result has; the photo is the user's own."""
    if colors == "content":
        return carry_chroma(picture, photo)
    if colors == "luminance":
        return copy_chroma(picture, photo)
    return picture
