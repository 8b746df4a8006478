"""Masks: where in a picture something holds, softly."""

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
from impasto.image.rows import resize_rows

Floats = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
LEVELS = 65_535
"""That weights are rounded to when resized, so that a resampling filter's last bit does not keep a
white mask from being 1, or a black one from being 0."""

FAINTEST = 1 / 512
"""A mask that is nowhere above this is black all over."""


@dataclass(frozen=True)
class Mask:
    """Weights of a picture's pixels.

    Attributes:
        values: [H, W] float32 in [0, 1], some above 0; the shape of the picture, at any size.
        name: that a record knows it by: a file's without its folder, or the words that made it.
        path: of the file, which is never replaced; none: there is no file.
    """

    values: Floats
    name: str = ""
    path: Path | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return int(self.values.shape[1]), int(self.values.shape[0])

    def sha256(self) -> str:
        """Hexadecimal hash of size and weights."""
        digest = hashlib.sha256(f"mask {self.values.shape}".encode())
        digest.update(np.ascontiguousarray(self.values).data)
        return digest.hexdigest()

    def resize_rows(self, width: int, height: int, rows: slice) -> Floats:
        """Some rows, [stop - start, width], of the mask at another size: softly, in [0, 1]."""
        if (width, height) == self.size:
            return self.values[rows]
        values = resize_rows(self.values, width, height, rows, "bicubic")
        levels: Floats = np.rint(values.clip(0, 1) * LEVELS)
        return levels / np.float32(LEVELS)


def read_mask(source: Any, *, name: str = "") -> Mask:
    """A mask from wherever it is: white is inside, black and transparent are outside.

    Args:
        source: anything that :func:`impasto.read_picture` takes, or a mask, which is returned.
        name: for a record; none: the file's.

    Raises:
        ImageError, LimitError: as for pictures.
        InputError: it is black all over.
    """
    if isinstance(source, Mask):
        return source
    path = Path(source) if isinstance(source, str | Path) else None
    picture = read_picture(source, name=name or "the mask")
    name = name or ("" if path is None else path.name)
    values = picture.pixels @ LUMA
    # Gray is gray: the weights of luma do not sum to 1 in the last bit.
    gray = np.ptp(picture.pixels, axis=-1) == 0
    values[gray] = picture.pixels[gray, 0]
    if picture.alpha is not None:
        values *= picture.alpha
    return check_mask(Mask(values, name, path))


def select_visible_part(picture: Picture, part: Mask | None = None) -> Mask | None:
    """What of a painting counts: of a part, or of all of it, what is not transparent.

    Args:
        picture: the painting.
        part: of it, at any size; none: all.

    Returns:
        None where all of it counts.

    Raises:
        InputError: none of it can be seen.
    """
    if picture.alpha is None:
        return part
    if part is None:
        return _seen(Mask(picture.alpha))
    values = part.resize_rows(picture.width, picture.height, slice(0, picture.height))
    return _seen(replace(part, values=values * picture.alpha))


def _seen(mask: Mask) -> Mask:
    if not bool((mask.values > FAINTEST).any()):
        raise InputError("the painting is transparent wherever it is looked at")
    return mask


def check_mask(mask: Mask) -> Mask:
    """The mask itself.

    Raises:
        InputError: it is black all over.
    """
    if not bool((mask.values > FAINTEST).any()):
        raise InputError(
            f"mask {mask.name or 'given'}: is black all over; white marks where the style goes"
        )
    return mask
