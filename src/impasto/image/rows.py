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


def find_source_rows(source_height: int, height: int, rows: slice, kind: Filter) -> slice:
    """Return the rows of a picture that some rows of its resized version depend on.

    Args:
        source_height: height of the picture in pixels.
        height: height of the result in pixels.
        rows: rows of the result; ``start`` and ``stop`` must be given.
        kind: resampling filter.
    """
    ratio = source_height / height
    reach = math.ceil(_PILLOW_FILTERS[kind][1] * max(1.0, ratio)) + 1
    first = max(0, math.floor(rows.start * ratio) - reach)
    return slice(first, min(source_height, math.ceil(rows.stop * ratio) + reach))


def resize_strip(
    strip: NDArray[np.float32],
    place: slice,
    source_height: int,
    size: tuple[int, int],
    rows: slice,
    kind: Filter,
) -> NDArray[np.float32]:
    """Compute some rows of one resized channel, with antialiasing and without clipping.

    Args:
        strip: [rows, W], any strides: the rows that :func:`find_source_rows` returns.
        place: those rows.
        source_height: height of the whole picture in pixels.
        size: (width, height) of the whole result in pixels.
        rows: rows of the result to compute; ``start`` and ``stop`` must be given.
        kind: resampling filter.

    Returns:
        [stop - start, width] float32.
    """
    width, height = size
    ratio = source_height / height
    top, bottom = rows.start * ratio, rows.stop * ratio
    image = Image.fromarray(np.ascontiguousarray(strip))
    box = (0.0, top - place.start, float(image.width), min(bottom - place.start, image.height))
    result: NDArray[Any] = np.asarray(
        image.resize((width, rows.stop - rows.start), _PILLOW_FILTERS[kind][0], box)
    )
    return result


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
    place = find_source_rows(values.shape[0], height, rows, kind)
    return resize_strip(values[place], place, values.shape[0], (width, height), rows, kind)
