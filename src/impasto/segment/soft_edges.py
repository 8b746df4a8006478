"""Soft edges for hard masks: the guided filter, on the luma of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.image.guided_filter import apply_guided_filter
from impasto.image.masks import LUMA, Mask
from impasto.image.picture import Picture, fit_within

Floats = NDArray[np.float32]
WORKING_SIDE = 640
"""Longer side in pixels that masks are found at; they are enlarged like any other mask."""
REACH = 1 / 80
"""Radius of the filter, as a share of the longer side."""
SMOOTHNESS = 1e-3
"""Variance of luma below which an edge of the picture is none for the mask."""


def resize_for_masks(picture: Picture) -> Picture:
    """The picture at the size that masks are found at."""
    side = min(WORKING_SIDE, max(picture.width, picture.height))
    return picture.resize(*fit_within(picture.width, picture.height, side))


def soften_edges(values: Floats, picture: Picture, name: str) -> Mask:
    """A mask whose edges follow those of the picture.

    Args:
        values: [H, W] in [0, 1].
        picture: of the same size.
        name: of the mask.
    """
    radius = max(1, round(REACH * max(values.shape)))
    luma = (picture.pixels @ LUMA)[..., None]
    found = apply_guided_filter(values[..., None], luma, radius, SMOOTHNESS)[..., 0].clip(0, 1)
    # Levels of 8 bits: a mask found again on another machine is the same in all but rare pixels.
    return Mask(np.rint(found * 255).astype(np.float32) / np.float32(255), name)
