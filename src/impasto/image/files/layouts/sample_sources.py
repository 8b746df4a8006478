"""Give the samples of decoders, some rows at a time, as floats in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.errors import ImageError
from impasto.image.files.layouts.tiff import TiffReader
from impasto.image.rows import split_rows

Array = NDArray[Any]
Floats = NDArray[np.float32]
OVERSHOOT = 0.5
"""How far floats may exceed [0, 1], as in sharpened or resampled pictures; they are clipped."""
_WITH_ALPHA = ("PA", "La", "RGBa")
_GRAY_MODES = ("1", "L")


@dataclass(frozen=True)
class Band:
    """Some rows of a picture, as stored.

    Attributes:
        rows: the rows.
        values: [rows, W, 1, 3 or 4] float32 in [0, 1]: gray, RGB or inks.
        alpha: [rows, W] float32 in [0, 1]; colors are not multiplied by it. None: opaque.
    """

    rows: slice
    values: Floats
    alpha: Floats | None = None


class SampleSource(Protocol):
    """A decoded picture."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as stored."""

    @property
    def channels(self) -> int:
        """Number of color channels: 1, 3 or 4."""

    @property
    def has_alpha(self) -> bool:
        """Whether the bands have alpha."""

    def read_bands(self) -> Iterator[Band]:
        """Yield all rows in order; can be called again."""


@dataclass(frozen=True)
class ArraySource:
    """Samples in an array.

    Attributes:
        samples: [H, W, 1 to 4]; with 2 or 4 channels, the last is alpha.
        top: value of white. None: the largest of the type, and 1 for floats.
    """

    samples: Array
    top: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return int(self.samples.shape[1]), int(self.samples.shape[0])

    @property
    def channels(self) -> int:
        """Number of color channels."""
        return int(self.samples.shape[2]) - self.has_alpha

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.samples.shape[2] in (2, 4)

    def read_bands(self) -> Iterator[Band]:
        """Yield all rows in order."""
        check_range(self.samples)
        width, height = self.size
        for rows in split_rows(height, width):
            values = to_unit(self.samples[rows], self.top)
            if self.has_alpha:
                yield Band(rows, values[..., :-1], values[..., -1])
            else:
                yield Band(rows, values)


class PillowSource:
    """An opened image of Pillow with 8 bits or fewer per channel."""

    def __init__(self, image: Image.Image) -> None:
        """Decode the image."""
        image.load()
        self._image = image
        first = self._convert(slice(0, 1))
        self.channels = {"L": 1, "LA": 1, "CMYK": 4}.get(first.mode, 3)
        self.has_alpha = first.mode in ("LA", "RGBA")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self._image.size

    def read_bands(self) -> Iterator[Band]:
        """Yield all rows in order."""
        width, height = self.size
        for rows in split_rows(height, width):
            values = to_unit(np.asarray(self._convert(rows)))
            if values.ndim == 2:
                values = values[..., None]
            if self.has_alpha:
                yield Band(rows, values[..., :-1], values[..., -1])
            else:
                yield Band(rows, values)

    def _convert(self, rows: slice) -> Image.Image:
        """Convert some rows to L, LA, RGB, RGBA or CMYK."""
        part = self._image.crop((0, rows.start, self._image.width, rows.stop))
        if part.info.get("transparency") is not None:
            part = part.convert("LA" if part.mode in _GRAY_MODES else "RGBA")
        elif part.mode in _WITH_ALPHA:
            part = part.convert("RGBA")
        elif part.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
            part = part.convert("L" if part.mode == "1" else "RGB")
        return part


@dataclass(frozen=True)
class PairSource:
    """16-bit samples whose upper and lower bytes were decoded apart.

    Attributes:
        high, low: images of equal mode: the upper and the lower bytes. None: the one image of
            ``high`` has both, alternating.
        hidden: the color that is transparent. None: none is.
    """

    high: Image.Image
    low: Image.Image | None
    hidden: Any = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.high.size

    @property
    def _stored(self) -> int:
        return len(self.high.getbands()) // (2 if self.low is None else 1)

    @property
    def channels(self) -> int:
        """Number of color channels."""
        return 1 if self._stored <= 2 else 3

    @property
    def has_alpha(self) -> bool:
        """Whether the bands have alpha."""
        return self._stored in (2, 4) or self.hidden is not None

    def read_bands(self) -> Iterator[Band]:
        """Yield all rows in order."""
        width, height = self.size
        for rows in split_rows(height, width):
            box = (0, rows.start, width, rows.stop)
            upper = np.asarray(self.high.crop(box))
            if self.low is None:
                upper, lower = upper[..., 0::2], upper[..., 1::2]
            else:
                lower = np.asarray(self.low.crop(box))
            samples = upper.astype(np.uint16) << 8 | lower
            if self.hidden is not None:
                is_opaque = (samples != np.array(self.hidden, np.uint16)).any(-1)
                yield Band(rows, to_unit(samples), is_opaque.astype(np.float32))
            elif self.has_alpha:
                yield Band(rows, to_unit(samples[..., :-1]), to_unit(samples[..., -1]))
            else:
                yield Band(rows, to_unit(samples))


@dataclass(frozen=True)
class TiffSource:
    """The samples of a TIFF.

    Attributes:
        reader: the opened file.
    """

    reader: TiffReader

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.reader.layout.width, self.reader.layout.height

    @property
    def channels(self) -> int:
        """Number of color channels."""
        return self.reader.layout.colors

    @property
    def has_alpha(self) -> bool:
        """Whether the bands have alpha."""
        return self.reader.layout.alpha is not None

    def read_bands(self) -> Iterator[Band]:
        """Yield all rows in order."""
        for rows, samples in self.reader.read_bands():
            for part in split_rows(len(samples), samples.shape[1]):
                whole = slice(rows.start + part.start, rows.start + part.stop)
                yield self._convert(whole, samples[part])

    def _convert(self, rows: slice, samples: Array) -> Band:
        layout = self.reader.layout
        top = None if layout.is_float else 2**layout.bits - 1
        colors = samples[..., : layout.colors]
        check_range(colors)
        alpha = None
        if layout.alpha is not None:
            alpha = to_unit(samples[..., layout.alpha], top)
        if alpha is not None and layout.is_associated:
            values = colors.astype(np.float64) / (top or 1)
            visible = np.maximum(alpha, 1e-6)[..., None]
            if layout.is_inverted:
                values = (visible - values).clip(0)
            return Band(rows, (values / visible).clip(0, 1).astype(np.float32), alpha)
        values = to_unit(colors, top)
        return Band(rows, 1 - values if layout.is_inverted else values, alpha)


def merge_bands(bands: Iterator[Band], width: int) -> Iterator[Band]:
    """Merge thin bands, as of a TIFF's strips, to bands of the usual size."""
    waiting: list[Band] = []
    for band in bands:
        waiting.append(band)
        if sum(each.rows.stop - each.rows.start for each in waiting) * width >= 2**18:
            yield _join(waiting)
            waiting = []
    if waiting:
        yield _join(waiting)


def _join(bands: list[Band]) -> Band:
    if len(bands) == 1:
        return bands[0]
    alphas = [each.alpha for each in bands if each.alpha is not None]
    values = np.concatenate([each.values for each in bands])
    alpha = np.concatenate(alphas) if alphas else None
    return replace(
        bands[0], rows=slice(bands[0].rows.start, bands[-1].rows.stop), values=values, alpha=alpha
    )


def check_range(samples: Array) -> None:
    """Check floats before they are clipped.

    Raises:
        ImageError: floats are not finite, or so far outside [0, 1] that they have another range.
    """
    if samples.dtype.kind != "f":
        return
    low, high = float(samples.min()), float(samples.max())  # NaN if any sample is
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError("holds NaN or infinite values", expected="finite values in [0, 1]")
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise ImageError(f"values from {low:g} to {high:g}", expected="floats in [0, 1]")


def to_unit(samples: Array, top: int | None = None) -> Floats:
    """Convert samples to float32 in [0, 1]; floats are clipped.

    Args:
        samples: unsigned integers, floats or bool.
        top: the integer that becomes 1. None: the largest of the type.

    Raises:
        ImageError: the samples are signed integers.
    """
    if samples.dtype.kind == "f":
        return np.clip(samples, 0, 1).astype(np.float32)
    if samples.dtype == bool:
        return samples.astype(np.float32)
    if samples.dtype.kind != "u":
        raise ImageError(
            f"samples of type {samples.dtype}",
            expected="unsigned integers, or floats in [0, 1]",
        )
    top = top or int(np.iinfo(samples.dtype).max)
    return (samples.astype(np.float64) / top).astype(np.float32)
