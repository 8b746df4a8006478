"""Process a picture a few rows at a time, so that a large one is never in memory twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PIXELS_PER_BAND = 2**20
"""Pixels processed together: enough to cost no time, 12 MiB per float32 RGB tensor."""

Filter = Literal["lanczos", "bicubic"]
_PILLOW_FILTERS = {
    "lanczos": (Image.Resampling.LANCZOS, 3),
    "bicubic": (Image.Resampling.BICUBIC, 2),
}
"""Pillow's filter and its radius in source pixels when enlarging."""


def split_rows(height: int, width: int) -> Sequence[slice]:
    """Split the rows of a picture into bands of about :data:`PIXELS_PER_BAND` pixels.

    Args:
        height, width: size of the picture in pixels.

    Returns:
        Slices that cover ``range(height)`` in order, each of at least one row.
    """
    rows = max(1, PIXELS_PER_BAND // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def resize_rows(
    values: NDArray[np.float32], width: int, height: int, rows: slice, kind: Filter
) -> NDArray[np.float32]:
    """Compute some rows of one resized channel, with antialiasing and without clipping.

    Args:
        values: [H, W], any strides.
        width, height: size of the whole result in pixels.
        rows: rows of the result to compute; ``start`` and ``stop`` must be given.
        kind: resampling filter.

    Returns:
        [stop - start, width] float32.
    """
    pillow_filter, support = _PILLOW_FILTERS[kind]
    ratio = values.shape[0] / height
    reach = math.ceil(support * max(1.0, ratio)) + 1
    top, bottom = rows.start * ratio, rows.stop * ratio
    first = max(0, math.floor(top) - reach)
    last = min(values.shape[0], math.ceil(bottom) + reach)
    strip = Image.fromarray(np.ascontiguousarray(values[first:last]))
    box = (0.0, top - first, float(values.shape[1]), min(bottom - first, strip.height))
    size = (width, rows.stop - rows.start)
    result: NDArray[Any] = np.asarray(strip.resize(size, pillow_filter, box))
    return result
