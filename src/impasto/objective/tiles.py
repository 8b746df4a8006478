"""Cut a picture into tiles so that every feature belongs to the tile that computes it exactly.

A feature depends on the pixels within its receptive radius. A tile *owns* a box of the picture, its
core, and shows the network that box with a halo around it. The features in its core are exact and
belong to no other tile. Cores start at multiples of the deepest tap's cell, so that every pooling
window is the same as in the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Span:
    """One side of a tile in pixels: core ``start`` to ``stop``, halo ``first`` to ``last``."""

    start: int
    stop: int
    first: int
    last: int
    ends: bool
    """Whether the picture ends here. Pixels that do not fill a cell then belong to no feature."""

    def slice_in_tile(self, cell: int) -> slice:
        """Return the places of the core's features among those of the tile, halo included.

        Args:
            cell: pixels per feature of the layer.
        """
        return self._slice_cells(cell, self.first)

    def slice_in_picture(self, cell: int) -> slice:
        """Return the places of the core's features among those of the whole picture."""
        return self._slice_cells(cell, 0)

    def _slice_cells(self, cell: int, origin: int) -> slice:
        begin = (self.start - origin) // cell
        return slice(begin, None if self.ends else (self.stop - origin) // cell)


@dataclass(frozen=True)
class Tile:
    """A box of a picture, with a halo."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """Pixels of the core and its halo."""
        return (self.rows.last - self.rows.first) * (self.columns.last - self.columns.first)

    @property
    def core_size(self) -> tuple[int, int]:
        """Rows and columns of the core."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def cut(self, image: Tensor) -> Tensor:
        """Return the tile's pixels of [..., H, W], halo included, without copying."""
        return image[..., self.rows.first : self.rows.last, self.columns.first : self.columns.last]

    def cut_core(self, pixels: Tensor, more: int) -> Tensor:
        """Return the core of a tile's pixels and ``more`` rows below and columns at the right."""
        top, left = self.rows.start - self.rows.first, self.columns.start - self.columns.first
        bottom, right = self.rows.stop - self.rows.first, self.columns.stop - self.columns.first
        return pixels[..., top : bottom + more, left : right + more]

    def cut_from_tile(self, features: Tensor, cell: int) -> Tensor:
        """Return the core's features among those [..., h, w] of the tile, without copying."""
        return features[..., self.rows.slice_in_tile(cell), self.columns.slice_in_tile(cell)]

    def cut_from_picture(self, whole: Tensor, cell: int) -> Tensor:
        """Return the core's features among those [..., h, w] of the picture, without copying."""
        return whole[..., self.rows.slice_in_picture(cell), self.columns.slice_in_picture(cell)]


def plan_tiles(height: int, width: int, side: int, halo: int, cell: int) -> tuple[Tile, ...]:
    """Cut a picture into tiles whose cores cover each pixel once.

    Args:
        height, width: size of the picture in pixels.
        side: side of a core in pixels, rounded up to whole cells; the last cores may be smaller.
        halo: pixels around a core, at least the receptive radius; rounded up to whole cells.
        cell: pixels per feature of the deepest layer.
    """
    side, halo = (-(-length // cell) * cell for length in (side, halo))
    columns = _plan_spans(width, side, halo, cell)
    return tuple(
        Tile(row, column) for row in _plan_spans(height, side, halo, cell) for column in columns
    )


def _plan_spans(length: int, side: int, halo: int, cell: int) -> Sequence[Span]:
    starts = list(range(0, length, side))
    if len(starts) > 1 and length - starts[-1] < cell:  # less than one whole cell
        starts.pop()
    stops = [*starts[1:], length]
    return [
        Span(start, stop, max(0, start - halo), min(length, stop + halo), stop == length)
        for start, stop in zip(starts, stops, strict=True)
    ]


def make_tile(rows: slice, columns: slice, size: tuple[int, int], side: int, halo: int) -> Tile:
    """Make a tile that owns some squares of a picture.

    Args:
        rows, columns: rows and columns of squares; the last squares also own the remainder of the
            picture.
        size: (height, width) of the picture, in pixels.
        side: side of a square in pixels, a multiple of the cell.
        halo: pixels around the core, a multiple of the cell.
    """
    spans = []
    for squares, length in zip((rows, columns), size, strict=True):
        ends = squares.stop >= max(1, length // side)
        start, stop = squares.start * side, length if ends else squares.stop * side
        spans.append(Span(start, stop, max(0, start - halo), min(length, stop + halo), ends))
    return Tile(*spans)
