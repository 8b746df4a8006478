"""The guided filter: a picture smoothed where its guide is smooth, with the guide's edges.

He, Sun and Tang, "Guided Image Filtering" (ECCV 2010): in every window the result is an affine map
of the guide's colours, and a pixel is the mean over the windows that it is in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impasto.media.bands import BAND
from impasto.media.picture import Floats

Doubles = NDArray[np.float64]


def guided_filter(picture: Floats, guide: Floats, radius: int, epsilon: float) -> Floats:
    """Filter a picture, a strip of rows at a time.

    Args:
        picture: [H, W, C].
        guide: [H, W, 3] in [0, 1].
        radius: of the square windows, in pixels, at least 1; they are smaller at the border.
        epsilon: variance of the guide, above 0, that counts as smooth.

    Returns:
        [H, W, C] float32, not clipped.
    """
    height, width = guide.shape[:2]
    result = np.empty_like(picture)
    rows = max(BAND // width, 4 * radius)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        # Means of windows of maps that come from windows.
        first, last = max(0, top - 2 * radius), min(height, bottom + 2 * radius)
        seen = slice(first, last)
        filtered = _filtered(
            picture[seen].astype(np.float64), guide[seen].astype(np.float64), radius, epsilon
        )
        result[top:bottom] = filtered[top - first : bottom - first]
    return result


def _filtered(picture: Doubles, guide: Doubles, radius: int, epsilon: float) -> Doubles:
    guide_mean, picture_mean = box_mean(guide, radius), box_mean(picture, radius)
    pairs = box_mean(guide[..., :, None] * guide[..., None, :], radius)
    spread = pairs - guide_mean[..., :, None] * guide_mean[..., None, :]
    both = box_mean(guide[..., :, None] * picture[..., None, :], radius)
    shared = both - guide_mean[..., :, None] * picture_mean[..., None, :]
    ridge = spread + epsilon * np.eye(guide.shape[2])
    maps = np.linalg.solve(ridge, shared).astype(np.float64, copy=False)
    offset: Doubles = picture_mean - np.einsum("hwi,hwic->hwc", guide_mean, maps)
    filtered: Doubles = np.einsum("hwi,hwic->hwc", guide, box_mean(maps, radius))
    return filtered + box_mean(offset, radius)


def box_mean(values: Doubles, radius: int) -> Doubles:
    """Means of [H, W, ...] over windows of ``2 * radius + 1`` pixels a side, cut at the border."""
    for axis in (0, 1):
        length = values.shape[axis]
        start = np.zeros_like(np.take(values, [0], axis))
        sums = np.concatenate([start, values.cumsum(axis)], axis)
        places = np.arange(length)
        first, stop = np.maximum(places - radius, 0), np.minimum(places + radius + 1, length)
        count = (stop - first).reshape([-1 if n == axis else 1 for n in range(values.ndim)])
        values = (np.take(sums, stop, axis) - np.take(sums, first, axis)) / count
    return values
