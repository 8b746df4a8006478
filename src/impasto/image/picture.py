"""Represent a picture: upright float pixels in sRGB, with alpha and metadata."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.image.rows import resize_rows

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Metadata:
    """Metadata of the file that a picture was read from.

    Attributes:
        exif: raw EXIF block without orientation and thumbnail. None: the file had none.
        source_format: Pillow's name of the format, or ``array``.
        depth: bits per channel of the source: 8, 16 or 32, rounded up.
        rights: who owns the picture and how it may be used, as XMP properties and their texts;
            what EXIF says is in the EXIF block.
    """

    exif: bytes | None = None
    source_format: str = "array"
    depth: int = 8
    rights: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: [H, W, 3] float32, sRGB-encoded, in [0, 1].
        alpha: [H, W] float32 in [0, 1], not premultiplied. None: the picture is opaque.
        metadata: metadata of the source.
    """

    pixels: Floats
    alpha: Floats | None = None
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def to_pil(self) -> Image.Image:
        """Convert to an 8-bit image of mode RGB, or RGBA with alpha."""
        levels = to_levels(self.pixels, 8)
        if self.alpha is None:
            return Image.fromarray(levels)
        return Image.fromarray(np.dstack([levels, to_levels(self.alpha, 8)]))

    def compute_sha256(self) -> str:
        """Compute the hexadecimal hash of size, pixels and alpha, whatever the file."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        if self.alpha is not None:
            digest.update(np.ascontiguousarray(self.alpha).data)
        return digest.hexdigest()

    def resize(self, width: int, height: int) -> Picture:
        """Resize to a width and height with an antialiased Lanczos filter, in float.

        Colors are weighted by alpha, so that transparent pixels leave no fringe. A picture of this
        size is returned unchanged.
        """
        if (width, height) == (self.width, self.height):
            return self
        rows = slice(0, height)
        alpha = None if self.alpha is None else _resize_channel(self.alpha, width, height, rows)
        return Picture(self.resize_rows(width, height, rows), alpha, self.metadata)

    def resize_rows(self, width: int, height: int, rows: slice) -> Floats:
        """Compute some rows, [stop - start, width, 3], of the pixels of :meth:`resize`."""
        if (width, height) == (self.width, self.height):
            return self.pixels[rows]
        result = np.empty((rows.stop - rows.start, width, 3), np.float32)
        for channel in range(3):
            result[..., channel] = _resize_channel(self.pixels[..., channel], width, height, rows)
        if self.alpha is None:
            return result
        alpha = _resize_channel(self.alpha, width, height, rows)
        visible = alpha > 1 / 512
        for channel in range(3):
            premultiplied = _resize_channel(
                self.pixels[..., channel] * self.alpha, width, height, rows
            )
            np.divide(premultiplied, alpha, out=result[..., channel], where=visible)
        return result.clip(0, 1, out=result)


def to_levels(values: Floats, depth: int) -> NDArray[Any]:
    """Convert floats in [0, 1] to integers of 8 or 16 bits, rounded to nearest and clipped."""
    top = 2**depth - 1
    levels = np.empty(values.shape, np.uint8 if depth == 8 else np.uint16)
    for source, target in zip(values, levels, strict=True):  # row by row, to save memory
        target[...] = np.rint(np.clip(source, 0, 1).astype(np.float64) * top)
    return levels


def fit_within(width: int, height: int, longer_side: int) -> tuple[int, int]:
    """Scale a width and height so that the longer one is ``longer_side``; each at least 1 px."""
    longer = max(width, height)
    return tuple(max(1, round(side * longer_side / longer)) for side in (width, height))  # type: ignore[return-value]


def _resize_channel(values: Floats, width: int, height: int, rows: slice) -> Floats:
    return resize_rows(values, width, height, rows, "lanczos").clip(0, 1)
