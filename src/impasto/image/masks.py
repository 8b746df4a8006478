"""Represent masks, which weight the pixels of a picture, and read them from pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import InputError
from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture
from impasto.image.rows import resize_rows, split_rows

Floats = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
LEVELS = 65_535
"""Levels that resized weights are rounded to, so that white stays exactly 1 and black exactly 0 in
spite of the rounding errors of the filter."""

FAINTEST = 1 / 512
"""A mask without any weight above this is black."""


@dataclass(frozen=True)
class Mask:
    """Weights of a picture's pixels.

    Attributes:
        values: [H, W] float32 in [0, 1], some above 0; same aspect as the picture, at any size.
        name: name in records: a file name without its folder, or the word that found the mask.
        path: path of the file. None: the mask was not read from a file.
    """

    values: Floats
    name: str = ""
    path: Path | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return int(self.values.shape[1]), int(self.values.shape[0])

    def compute_sha256(self) -> str:
        """Compute the hexadecimal hash of size and weights."""
        digest = hashlib.sha256(f"mask {self.values.shape}".encode())
        digest.update(np.ascontiguousarray(self.values).data)
        return digest.hexdigest()

    def resize_rows(self, width: int, height: int, rows: slice) -> Floats:
        """Compute some rows, [stop - start, width] in [0, 1], of the mask at another size."""
        if (width, height) == self.size:
            return self.values[rows]
        values = resize_rows(self.values, width, height, rows, "bicubic")
        levels: Floats = np.rint(values.clip(0, 1) * LEVELS)
        return levels / np.float32(LEVELS)


def read_mask(source: Any, *, name: str = "") -> Mask:
    """Read a mask from a picture: white is inside, black and transparent are outside.

    Args:
        source: anything that :func:`impasto.read_picture` takes, or a mask, which is returned.
        name: name in records. Empty: the name of the file.

    Raises:
        ImageError, LimitError: see :func:`impasto.read_picture`.
        InputError: the mask is black.
    """
    if isinstance(source, Mask):
        return source
    path = Path(source) if isinstance(source, str | Path) else None
    picture = read_picture(source, name=name or "the mask")
    name = name or ("" if path is None else path.name)
    values = np.empty((picture.height, picture.width), np.float32)
    for rows in split_rows(picture.height, picture.width):
        values[rows] = _weigh(picture, rows)
    return check_mask(Mask(values, name, path))


def _weigh(picture: Picture, rows: slice) -> Floats:
    """Compute the weights of some rows of a picture that is a mask."""
    pixels = picture.read_rows(rows)
    values: Floats = pixels @ LUMA
    # Exact for gray pixels: in float32, the weights of luma do not sum to exactly 1.
    gray = np.ptp(pixels, axis=-1) == 0
    values[gray] = pixels[gray, 0]
    if picture.has_alpha:
        values *= picture.read_alpha_rows(rows)
    return values


def select_visible_part(picture: Picture, part: Mask | None = None) -> Mask | None:
    """Select the visible part of a painting: its part times its alpha.

    Args:
        picture: the painting.
        part: mask of the part to use, at any size. None: all of the painting.

    Returns:
        The mask of the visible part. None: all of the painting is visible.

    Raises:
        InputError: the part is fully transparent.
    """
    if picture.alpha is None:
        return part
    if part is None:
        return _check_visible(Mask(picture.alpha))
    values = part.resize_rows(picture.width, picture.height, slice(0, picture.height))
    return _check_visible(replace(part, values=values * picture.alpha))


def _check_visible(mask: Mask) -> Mask:
    if not bool((mask.values > FAINTEST).any()):
        raise InputError(
            "is fully transparent", what="the painting, or the part of it that is used,"
        )
    return mask


def check_mask(mask: Mask) -> Mask:
    """Check that a mask is not black, and return it.

    Raises:
        InputError: the mask is black.
    """
    if not bool((mask.values > FAINTEST).any()):
        raise InputError(
            "is black; white marks where the style goes",
            where=f"mask {mask.name}" if mask.name else "a mask",
        )
    return mask
