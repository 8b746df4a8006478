"""Whose colours a result has: what the network is shown, and what is made of its picture.

``style``: the painting's, as they come. ``match``: the painting is first recoloured to the photo's
colours. ``content``: the photo's chroma is put back afterwards. ``luminance``: the network sees
lightness only, and the photo's chroma is put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from impasto.media.chroma import carried, with_chroma
from impasto.media.picture import Picture
from impasto.media.recolor import ColorStatistics, grey, matched

Colors = Literal["style", "content", "luminance", "match"]


def seen(
    colors: Colors, photo: Picture, paintings: Sequence[Picture]
) -> tuple[Picture, list[Picture]]:
    """The photo and the paintings as the network is to see them."""
    if colors == "match":
        wanted = ColorStatistics.of(photo)
        return photo, [matched(each, wanted) for each in paintings]
    if colors == "luminance":
        wanted = ColorStatistics.of(photo)
        return grey(photo), [grey(each, wanted) for each in paintings]
    return photo, list(paintings)


def shown(colors: Colors, picture: Picture, photo: Picture) -> Picture:
    """A picture of a run in the colours that its result has; the photo is the user's own."""
    if colors == "content":
        return carried(picture, photo)
    if colors == "luminance":
        return with_chroma(picture, photo)
    return picture
