"""Tiles: how a picture is cut so that every feature is computed once where it is right.

A feature depends on the pixels within its receptive radius. A tile therefore *owns* a box of the
picture, and shows the network that box with a halo around it; of the features it gets, those in its
own box are exact, and those belong to no other tile. Boxes begin at multiples of the deepest tap's
cell, so that every pooling window falls where it would in the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Span:
    """One side of a tile, in pixels: ``start`` to ``stop`` owned, ``first`` to ``last`` seen."""

    start: int
    stop: int
    first: int
    last: int
    ends: bool
    """Whether the picture ends here: what does not fill a cell then belongs to nobody."""

    def cells(self, cell: int) -> slice:
        """The owned features among those seen, of a layer with cells of so many pixels."""
        return self._cells(cell, self.first)

    def places(self, cell: int) -> slice:
        """The owned features among those of the whole picture."""
        return self._cells(cell, 0)

    def _cells(self, cell: int, origin: int) -> slice:
        begin = (self.start - origin) // cell
        return slice(begin, None if self.ends else (self.stop - origin) // cell)


@dataclass(frozen=True)
class Tile:
    """A box of a picture."""

    rows: Span
    columns: Span

    @property
    def area(self) -> int:
        """Pixels that it sees."""
        return (self.rows.last - self.rows.first) * (self.columns.last - self.columns.first)

    def seen(self, image: Tensor) -> Tensor:
        """The tile's pixels of [..., H, W], halo included: a view."""
        return image[..., self.rows.first : self.rows.last, self.columns.first : self.columns.last]

    def begun(self, pixels: Tensor, more: int) -> Tensor:
        """Of the pixels that the tile sees: its own, and so many below and to the right."""
        top, left = self.rows.start - self.rows.first, self.columns.start - self.columns.first
        bottom, right = self.rows.stop - self.rows.first, self.columns.stop - self.columns.first
        return pixels[..., top : bottom + more, left : right + more]

    def owned(self, features: Tensor, cell: int) -> Tensor:
        """The tile's own among the features [..., h, w] of what it sees: a view."""
        return features[..., self.rows.cells(cell), self.columns.cells(cell)]

    def part(self, whole: Tensor, cell: int) -> Tensor:
        """The tile's own among the features [..., h, w] of the whole picture: a view."""
        return whole[..., self.rows.places(cell), self.columns.places(cell)]


def plan_tiles(height: int, width: int, side: int, halo: int, cell: int) -> tuple[Tile, ...]:
    """Tiles that own a picture together, each pixel once.

    Args:
        height, width: of the picture, in pixels.
        side: of the box a tile owns, rounded up to whole cells; the last ones are smaller.
        halo: pixels around it, at least the receptive radius; rounded up to whole cells.
        cell: of the deepest layer, in pixels.
    """
    side, halo = (-(-length // cell) * cell for length in (side, halo))
    columns = _spans(width, side, halo, cell)
    return tuple(
        Tile(row, column) for row in _spans(height, side, halo, cell) for column in columns
    )


def _spans(length: int, side: int, halo: int, cell: int) -> Sequence[Span]:
    starts = list(range(0, length, side))
    if len(starts) > 1 and length - starts[-1] < cell:  # not one whole cell of its own
        starts.pop()
    stops = [*starts[1:], length]
    return [
        Span(start, stop, max(0, start - halo), min(length, stop + halo), stop == length)
        for start, stop in zip(starts, stops, strict=True)
    ]


def tile_of(rows: slice, columns: slice, size: tuple[int, int], side: int, halo: int) -> Tile:
    """A tile that owns some of a picture's squares.

    Args:
        rows, columns: of squares; the last ones also own what is left over of the picture.
        size: (height, width) of the picture, in pixels.
        side: of a square, whole cells.
        halo: pixels around them, whole cells.
    """
    spans = []
    for squares, length in zip((rows, columns), size, strict=True):
        ends = squares.stop >= max(1, length // side)
        start, stop = squares.start * side, length if ends else squares.stop * side
        spans.append(Span(start, stop, max(0, start - halo), min(length, stop + halo), ends))
    return Tile(*spans)
