"""Soft edges for hard masks: the guided filter, on the luma of the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.media.masks import LUMA, Mask
from impasto.media.picture import Picture, fit_within

Floats = NDArray[np.float32]
WORKING_SIDE = 640
"""Longer side in pixels that masks are found at; they are enlarged like any other mask."""
REACH = 1 / 80
"""Radius of the filter, as a share of the longer side."""
SMOOTHNESS = 1e-3
"""Variance of luma below which an edge of the picture is none for the mask."""


def working(picture: Picture) -> Picture:
    """The picture at the size that masks are found at."""
    side = min(WORKING_SIDE, max(picture.width, picture.height))
    return picture.resized(*fit_within(picture.width, picture.height, side))


def softened(values: Floats, picture: Picture, name: str) -> Mask:
    """A mask whose edges follow those of the picture.

    Args:
        values: [H, W] in [0, 1].
        picture: of the same size.
        name: of the mask.
    """
    radius = max(1, round(REACH * max(values.shape)))
    found = guided_filter(picture.pixels @ LUMA, values, radius, SMOOTHNESS).clip(0, 1)
    # Levels of 8 bits: a mask found again on another machine is the same in all but rare pixels.
    return Mask(np.rint(found * 255).astype(np.float32) / np.float32(255), name)


def guided_filter(guide: Floats, values: Floats, radius: int, smoothness: float) -> Floats:
    """He, Sun and Tang, "Guided Image Filtering" (2010): locally, values are an affine function of
    the guide.

    Args:
        guide: [H, W].
        values: [H, W].
        radius: of the windows, in pixels; at the border they are cut.
        smoothness: added to the variance of the guide.
    """
    mean, target = box_mean(guide, radius), box_mean(values, radius)
    covariance = box_mean(guide * values, radius) - mean * target
    variance = box_mean(guide * guide, radius) - mean * mean
    slope = covariance / (variance + smoothness)
    offset = target - slope * mean
    result = box_mean(slope, radius) * guide + box_mean(offset, radius)
    return result.astype(np.float32)


def box_mean(values: NDArray[np.floating], radius: int) -> NDArray[np.float64]:
    """Means over windows of 2 radius + 1 pixels a side, cut at the border."""
    sums = values.astype(np.float64)
    count = np.ones(values.shape)
    for axis in (0, 1):
        length = values.shape[axis]
        first = np.maximum(np.arange(length) - radius, 0)
        last = np.minimum(np.arange(length) + radius + 1, length)
        sums, count = (_between(each, first, last, axis) for each in (sums, count))
    means: NDArray[np.float64] = sums / count
    return means


def _between(
    values: NDArray[np.float64], first: NDArray[np.int_], last: NDArray[np.int_], axis: int
) -> NDArray[np.float64]:
    """Sums of runs along an axis."""
    begin = np.zeros_like(np.take(values, [0], axis))
    running = np.concatenate([begin, np.cumsum(values, axis)], axis)
    sums: NDArray[np.float64] = np.take(running, last, axis) - np.take(running, first, axis)
    return sums
