"""Hold the pixels of large pictures in the integers of their file, and read them as floats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from impasto.image.rows import split_rows

Floats = NDArray[np.float32]
Integers = NDArray[Any]
"""uint8 or uint16."""
LARGEST_IN_FLOATS = 2**22
"""Pixels up to which a picture is kept as floats, which is faster."""


class PixelRows(Protocol):
    """Pixels that are read some rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, 3)."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""

    def read_rows(self, rows: slice) -> Floats:
        """Return some rows, [stop - start, W, 3] float32 in [0, 1]."""


@dataclass(frozen=True)
class PackedPixels:
    """Pixels as integers of 8 or 16 bits: a quarter or half of the memory of floats.

    Attributes:
        levels: [H, W, 3] uint8 or uint16.
        alpha: [H, W] of the same type. None: the picture is opaque.
        hidden: the color of all pixels whose alpha is 0. None: as in ``levels``.
    """

    levels: Integers
    alpha: Integers | None = None
    hidden: Floats | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, 3)."""
        return self.levels.shape

    @property
    def nbytes(self) -> int:
        """Bytes of colors and alpha."""
        return self.levels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)

    def read_rows(self, rows: slice) -> Floats:
        """Return some rows as floats."""
        values = unpack(self.levels[rows])
        if self.alpha is not None and self.hidden is not None:
            values[self.alpha[rows] == 0] = self.hidden
        return values


def unpack(levels: Integers) -> Floats:
    """Convert integers of 8 or 16 bits to floats in [0, 1], as decoders do."""
    return _list_floats(levels.dtype.itemsize)[levels]


def pack(values: Floats, kind: Any) -> Integers | None:
    """Convert floats in [0, 1] to uint8 or uint16. None: that would change them."""
    top = np.float32(np.iinfo(kind).max)
    with np.errstate(invalid="ignore"):
        levels: Integers = np.rint(values * top).astype(kind)
    return levels if np.array_equal(unpack(levels), values) else None


@cache
def _list_floats(size: int) -> Floats:
    """List the floats of all integers of a number of bytes."""
    top = 256**size - 1
    floats: Floats = (np.arange(top + 1, dtype=np.float64) / top).astype(np.float32)
    floats.setflags(write=False)
    return floats


class PixelStore:
    """Collects the rows of a picture while it is decoded.

    Attributes:
        is_packed: whether all rows so far are integers.
    """

    def __init__(self, shape: tuple[int, int], kind: Any, *, has_alpha: bool) -> None:
        """Allocate.

        Args:
            shape: (height, width) of the upright picture.
            kind: ``uint8`` or ``uint16`` where all samples are expected to be such integers, else
                ``float32``.
            has_alpha: whether there is alpha.
        """
        self.pixels: Any = np.zeros((*shape, 3), kind)
        self.alpha: Any = np.zeros(shape, kind) if has_alpha else None

    @property
    def is_packed(self) -> bool:
        """Whether all rows so far are integers."""
        return bool(self.pixels.dtype.kind == "u")

    @property
    def unit(self) -> int:
        """The value of white and of an opaque pixel."""
        return int(np.iinfo(self.pixels.dtype).max) if self.is_packed else 1

    def write(
        self, place: Any, colors: Floats, alpha: Floats | None, turn: Any = lambda each: each
    ) -> None:
        """Store some rows.

        Args:
            place: where they are in what ``turn`` returns.
            colors: [rows, W, 3] float32.
            alpha: [rows, W] float32. None: opaque.
            turn: returns a view of an array, in which rows lie as in the file.
        """
        stored: Any = (colors, alpha)
        if self.is_packed:
            kind = self.pixels.dtype
            stored = pack(colors, kind), None if alpha is None else pack(alpha, kind)
            if stored[0] is None or (stored[1] is None and alpha is not None):
                self._widen()
                stored = (colors, alpha)
        turn(self.pixels)[place] = stored[0]
        if self.alpha is not None and alpha is not None:
            turn(self.alpha)[place] = stored[1]

    def _widen(self) -> None:
        """Continue with floats."""
        for name in ("pixels", "alpha"):
            levels = getattr(self, name)
            if levels is not None:
                floats = np.empty(levels.shape, np.float32)
                for rows in split_rows(*levels.shape[:2]):
                    floats[rows] = unpack(levels[rows])
                setattr(self, name, floats)

    def read_bands(self) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield the rows of a picture with alpha, and their colors and alpha as floats."""
        for rows in split_rows(*self.pixels.shape[:2]):
            pixels, alpha = self.pixels[rows], self.alpha[rows]
            yield rows, *((unpack(pixels), unpack(alpha)) if self.is_packed else (pixels, alpha))
