"""Complete JPEGs that lack only their end, as after an interrupted copy."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from impasto.errors import ImageError

_END = b"\xff\xd9"
LARGEST_LOSS = 0.25
"""Largest share of the rows that may be missing."""
_FEWEST_SCANS = 3
"""Scans from which a progressive JPEG shows all of the picture, if less sharply."""
_GRAY = 128
_BLOCK = 8


def complete_jpeg(data: bytes, report: Callable[[str], None]) -> Image.Image:
    """Decode a JPEG that ends early.

    Args:
        data: content of the file.
        report: receives a line about what is missing.

    Raises:
        ImageError: too much is missing.
    """
    with Image.open(io.BytesIO(data + _END), formats=["JPEG"]) as image:
        image.load()
    if "progressive" in image.info:
        if data.count(b"\xff\xda") < _FEWEST_SCANS:
            raise ImageError("damaged: ends early", expected="at least three quarters of its rows")
        report("ends early; the finest details of some parts are missing")
        return image
    missing = _count_missing_rows(image)
    if missing > LARGEST_LOSS * image.height:
        raise ImageError("damaged: ends early", expected="at least three quarters of its rows")
    rows = f"the last {missing} rows are gray" if missing else "all of its rows can be decoded"
    report(f"ends early; {rows}")
    return image


def _count_missing_rows(image: Image.Image) -> int:
    """Count the rows at the bottom in which the decoder found nothing: they are even gray."""
    missing = 0
    for bottom in range(image.height, 0, -_BLOCK):
        top = max(0, bottom - _BLOCK)
        rows = np.asarray(image.crop((0, top, image.width, bottom)).convert("L"))
        # Of the first incomplete row of blocks, only the right part is gray.
        if not (rows[:, -_BLOCK:] == _GRAY).all():
            break
        missing = image.height - top
    return missing
