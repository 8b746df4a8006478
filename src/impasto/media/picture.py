"""A picture as the rest of impasto sees it: float pixels, alpha apart, sRGB, upright."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Metadata:
    """What a file said about itself.

    Attributes:
        exif: the raw EXIF block, orientation and thumbnail removed; none if there was none.
        source_format: Pillow's name of the format, or ``array``.
        depth: bits a channel in the source: 8, 16 or 32.
    """

    exif: bytes | None = None
    source_format: str = "array"
    depth: int = 8


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: [H, W, 3] float32, sRGB-encoded, in [0, 1].
        alpha: [H, W] float32 in [0, 1], straight (not premultiplied); none for opaque pictures.
        metadata: of the file it came from.
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
        """The picture in 8 bits: mode RGB, or RGBA if it has alpha."""
        levels = to_levels(self.pixels, 8)
        if self.alpha is None:
            return Image.fromarray(levels)
        return Image.fromarray(np.dstack([levels, to_levels(self.alpha, 8)]))

    def sha256(self) -> str:
        """Hexadecimal hash of size, pixels and alpha: the same picture, whatever its file."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        if self.alpha is not None:
            digest.update(np.ascontiguousarray(self.alpha).data)
        return digest.hexdigest()

    def resized(self, width: int, height: int) -> Picture:
        """The picture at another size: Lanczos, anti-aliased, in float; itself if nothing changes.

        Colours are weighted by alpha, so that transparent pixels leave no fringe.
        """
        if (width, height) == (self.width, self.height):
            return self
        if self.alpha is None:
            return Picture(_resized(self.pixels, width, height), None, self.metadata)
        alpha = _resized(self.alpha[..., None], width, height)
        pixels = _resized(self.pixels * self.alpha[..., None], width, height)
        plain = _resized(self.pixels, width, height)
        seen = alpha > 1 / 512
        pixels = np.where(seen, pixels / np.where(seen, alpha, 1), plain)
        return Picture(np.clip(pixels, 0, 1).astype(np.float32), alpha[..., 0], self.metadata)


def to_levels(values: Floats, depth: int) -> NDArray[Any]:
    """Integers of 8 or 16 bits from floats in [0, 1], rounded to nearest and clipped."""
    top = 2**depth - 1
    rounded: NDArray[np.float64] = np.rint(np.clip(values, 0, 1).astype(np.float64) * top)
    return rounded.astype(np.uint8 if depth == 8 else np.uint16)


def fit_within(width: int, height: int, longer_side: int) -> tuple[int, int]:
    """(width, height) scaled so that the longer one is ``longer_side``; each at least 1 px."""
    longer = max(width, height)
    return tuple(max(1, round(side * longer_side / longer)) for side in (width, height))  # type: ignore[return-value]


def _resized(values: Floats, width: int, height: int) -> Floats:
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(values[..., c])).resize(
                (width, height), Image.Resampling.LANCZOS
            )
        )
        for c in range(values.shape[2])
    ]
    stacked: Floats = np.stack(channels, axis=-1)
    return stacked.clip(0, 1).astype(np.float32)
