"""Represent a picture: upright float pixels in sRGB, with alpha and metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.image.packed import Integers, PackedPixels, PixelRows, unpack
from impasto.image.rows import find_source_rows, resize_strip, split_rows

Floats = NDArray[np.float32]
LARGEST_STRIP = 2**22
"""Pixels of a picture that are resized together; they take about 80 MiB."""


@dataclass(frozen=True)
class Metadata:
    """Metadata of the file that a picture was read from.

    Attributes:
        exif: raw EXIF block without orientation and thumbnail. None: the file had none.
        source_format: Pillow's name of the format, or ``array``.
        depth: bits per channel of the source: 8, 16 or 32, rounded up.
        rights: who owns the picture and how it may be used, as XMP properties and their texts;
            what EXIF says is in the EXIF block.
        reading_peak: bytes that the process took at most while it read the file, as estimated from
            its header. 0: it read none.
    """

    exif: bytes | None = None
    source_format: str = "array"
    depth: int = 8
    rights: tuple[tuple[str, str], ...] = ()
    reading_peak: int = field(default=0, compare=False)


class Picture:
    """A decoded picture. It is never changed.

    The pixels of large pictures are kept as the integers of their file where those are exact; use
    :meth:`read_rows` for them.

    Attributes:
        metadata: metadata of the source.
    """

    def __init__(
        self,
        pixels: Floats | PixelRows,
        alpha: Floats | Integers | None = None,
        metadata: Metadata | None = None,
        *,
        sha256: str | None = None,
    ) -> None:
        """Hold pixels.

        Args:
            pixels: [H, W, 3] float32, sRGB-encoded, in [0, 1]; or what reads them.
            alpha: [H, W] in [0, 1], not premultiplied: float32, or uint8 or uint16, whose largest
                value is 1. None: the picture is opaque.
            metadata: metadata of the source. None: there is none.
            sha256: hash of the picture that this one is a reduced copy of. None: it is no copy.
        """
        self._pixels = pixels
        self._alpha = alpha
        self.metadata = metadata or Metadata()
        self._sha256 = sha256
        self._reduced: Picture | None = None

    @property
    def pixels(self) -> Floats:
        """[H, W, 3] float32, sRGB-encoded, in [0, 1]."""
        return self._pixels if isinstance(self._pixels, np.ndarray) else self.read_rows(slice(None))

    @property
    def alpha(self) -> Floats | None:
        """[H, W] float32 in [0, 1], not premultiplied. None: the picture is opaque."""
        return None if self._alpha is None else self.read_alpha_rows(slice(None))

    @property
    def has_alpha(self) -> bool:
        """Whether the picture is not opaque."""
        return self._alpha is not None

    @property
    def width(self) -> int:
        return int(self._pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self._pixels.shape[0])

    @property
    def packed(self) -> PackedPixels | None:
        """The integers that the pixels and alpha are kept as. None: they are floats."""
        return self._pixels if isinstance(self._pixels, PackedPixels) else None

    @property
    def nbytes(self) -> int:
        """Bytes of memory of the pixels, without alpha kept as floats."""
        return int(self._pixels.nbytes)

    def read_rows(self, rows: slice) -> Floats:
        """Return some rows of :attr:`pixels`."""
        if isinstance(self._pixels, np.ndarray):
            return self._pixels[rows]
        return self._pixels.read_rows(rows)

    def read_alpha_rows(self, rows: slice) -> Floats:
        """Return some rows of :attr:`alpha`, which is not None."""
        assert self._alpha is not None
        part: Any = self._alpha[rows]
        return unpack(part) if part.dtype.kind == "u" else part

    def with_pixels(self, pixels: Floats) -> Picture:
        """Return the picture with other colors."""
        return Picture(pixels, self._alpha, self.metadata)

    def with_metadata(self, metadata: Metadata) -> Picture:
        """Return the same pixels with other metadata."""
        return Picture(self._pixels, self._alpha, metadata, sha256=self._sha256)

    def to_pil(self) -> Image.Image:
        """Convert to an 8-bit image of mode RGB, or RGBA with alpha."""
        image = Image.new("RGBA" if self.has_alpha else "RGB", (self.width, self.height))
        for rows in split_rows(self.height, self.width):
            image.paste(Image.fromarray(self.read_levels(rows, 8)), (0, rows.start))
        return image

    def read_levels(self, rows: slice, depth: int) -> NDArray[Any]:
        """Return some rows [stop - start, W, 3 or 4] as integers of 8 or 16 bits."""
        levels = to_levels(self.read_rows(rows), depth)
        if self._alpha is None:
            return levels
        return np.dstack([levels, to_levels(self.read_alpha_rows(rows), depth)])

    def compute_sha256(self) -> str:
        """Compute the hexadecimal hash of size, pixels and alpha, whatever the file.

        A copy that was reduced on reading has the hash of its original.
        """
        if self._sha256 is not None:
            return self._sha256
        digest = hashlib.sha256(repr(self._pixels.shape).encode())
        bands = split_rows(self.height, self.width)
        for rows in bands:
            digest.update(np.ascontiguousarray(self.read_rows(rows)).data)
        if self.has_alpha:
            for rows in bands:
                digest.update(np.ascontiguousarray(self.read_alpha_rows(rows)).data)
        if not isinstance(self._pixels, np.ndarray):  # nobody can change them
            self._sha256 = digest.hexdigest()
        return digest.hexdigest()

    def resize(self, width: int, height: int) -> Picture:
        """Resize to a width and height with an antialiased Lanczos filter, in float.

        Colors are weighted by alpha, so that transparent pixels leave no fringe. A picture of this
        size is returned unchanged.
        """
        if (width, height) == (self.width, self.height):
            return self
        rows = slice(0, height)
        alpha = self.resize_alpha_rows(width, height, rows) if self.has_alpha else None
        return Picture(self.resize_rows(width, height, rows), alpha, self.metadata)

    def reduce(self, width: int, height: int) -> Picture:
        """Resize, and keep the hash: the copy stands for the picture itself. The last is kept."""
        size = (width, height)
        if size == (self.width, self.height):
            return self
        if self._reduced is None or (self._reduced.width, self._reduced.height) != size:
            copy = self.resize(width, height)
            self._reduced = Picture(
                copy._pixels, copy._alpha, self.metadata, sha256=self.compute_sha256()
            )
        return self._reduced

    def resize_alpha_rows(self, width: int, height: int, rows: slice) -> Floats:
        """Compute some rows, [stop - start, width], of the alpha of :meth:`resize`."""
        if (width, height) == (self.width, self.height):
            return self.read_alpha_rows(rows)
        parts = []
        for part, place in self._split_strips(height, rows):
            alpha = self.read_alpha_rows(place)
            parts.append(self._resize_channel(alpha, place, (width, height), part))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def resize_rows(self, width: int, height: int, rows: slice) -> Floats:
        """Compute some rows, [stop - start, width, 3], of the pixels of :meth:`resize`."""
        if (width, height) == (self.width, self.height):
            return self.read_rows(rows)
        result = np.empty((rows.stop - rows.start, width, 3), np.float32)
        for part, place in self._split_strips(height, rows):
            target = result[part.start - rows.start : part.stop - rows.start]
            self._resize_part((width, height), part, place, target)
        return result

    def _resize_part(
        self, size: tuple[int, int], rows: slice, place: slice, target: Floats
    ) -> None:
        """Compute some rows of the resized pixels.

        Args:
            size: (width, height) of the whole result.
            rows: rows of the result.
            place: rows of the picture that they depend on.
            target: [rows, width, 3] receives them.
        """
        strip = self.read_rows(place)
        for channel in range(3):
            target[..., channel] = self._resize_channel(strip[..., channel], place, size, rows)
        if self._alpha is None:
            return
        opacity = self.read_alpha_rows(place)
        alpha = self._resize_channel(opacity, place, size, rows)
        visible = alpha > 1 / 512
        for channel in range(3):
            premultiplied = self._resize_channel(strip[..., channel] * opacity, place, size, rows)
            np.divide(premultiplied, alpha, out=target[..., channel], where=visible)
        target.clip(0, 1, out=target)

    def _resize_channel(
        self, strip: Floats, place: slice, size: tuple[int, int], rows: slice
    ) -> Floats:
        return resize_strip(strip, place, self.height, size, rows, "lanczos").clip(0, 1)

    def _split_strips(self, height: int, rows: slice) -> Iterator[tuple[slice, slice]]:
        """Split rows of a result, so that each part depends on at most about 4 megapixels.

        Yields:
            Rows of the result, and the rows of the picture that they depend on.
        """
        whole = find_source_rows(self.height, height, rows, "lanczos")
        most = max(1, LARGEST_STRIP // self.width)
        if whole.stop - whole.start <= most:
            yield rows, whole
            return
        one = find_source_rows(self.height, height, slice(rows.start, rows.start + 1), "lanczos")
        free = max(0, most - (one.stop - one.start))
        count = max(1, int(free * height / self.height))
        for start in range(rows.start, rows.stop, count):
            part = slice(start, min(start + count, rows.stop))
            yield part, find_source_rows(self.height, height, part, "lanczos")


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
