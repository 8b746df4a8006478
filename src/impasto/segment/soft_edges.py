"""Give hard masks soft edges that follow the picture, by a guided filter on its luma."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.image.guided_filter import apply_guided_filter
from impasto.image.masks import LUMA, Mask
from impasto.image.picture import Picture, fit_within

Floats = NDArray[np.float32]
WORKING_SIDE = 640
"""Longer side in pixels at which masks are found; they are enlarged like any other mask."""
RADIUS = 1 / 80
"""Radius of the filter as a share of the longer side."""
SMOOTHNESS = 1e-3
"""Variance of luma below which the mask does not follow an edge of the picture."""


def resize_for_masks(picture: Picture) -> Picture:
    """Reduce a picture to the size at which masks are found."""
    side = min(WORKING_SIDE, max(picture.width, picture.height))
    return picture.resize(*fit_within(picture.width, picture.height, side))


def soften_edges(values: Floats, picture: Picture, name: str) -> Mask:
    """Make a mask whose edges follow those of the picture.

    Args:
        values: [H, W] in [0, 1].
        picture: picture of the same size.
        name: name of the mask.
    """
    radius = max(1, round(RADIUS * max(values.shape)))
    luma = (picture.pixels @ LUMA)[..., None]
    soft = apply_guided_filter(values[..., None], luma, radius, SMOOTHNESS)[..., 0].clip(0, 1)
    # Rounded to 8 bits, so that other machines find the same mask except for rare pixels.
    return Mask(np.rint(soft * 255).astype(np.float32) / np.float32(255), name)
