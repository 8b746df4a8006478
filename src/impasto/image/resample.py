"""Pictures at other sizes, rows at a time: a large one is never whole in memory twice."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Filter = Literal["lanczos", "bicubic"]
_PILLOWS = {
    "lanczos": (Image.Resampling.LANCZOS, 3),
    "bicubic": (Image.Resampling.BICUBIC, 2),
}
"""With the source pixels on either side that a result pixel is made of, when enlarging."""


def resized_rows(
    values: NDArray[np.float32], width: int, height: int, rows: slice, kind: Filter
) -> NDArray[np.float32]:
    """Some rows of one channel at another size; anti-aliased, in float, not clipped.

    Args:
        values: [H, W], any strides.
        width, height: of the whole result.
        rows: of the result, ``start`` and ``stop`` given.
        kind: of filter.

    Returns:
        [stop - start, width].
    """
    pillows, support = _PILLOWS[kind]
    ratio = values.shape[0] / height
    reach = math.ceil(support * max(1.0, ratio)) + 1
    top, bottom = rows.start * ratio, rows.stop * ratio
    first = max(0, math.floor(top) - reach)
    last = min(values.shape[0], math.ceil(bottom) + reach)
    strip = Image.fromarray(np.ascontiguousarray(values[first:last]))
    box = (0.0, top - first, float(values.shape[1]), min(bottom - first, strip.height))
    size = (width, rows.stop - rows.start)
    result: NDArray[Any] = np.asarray(strip.resize(size, pillows, box))
    return result
