"""Where a frame of a film is worked at while the rest of it stays as it is.

What is not sure lies in patches. Work on a few boxes around them costs what the boxes and their
halos do; everything else keeps its share in the frame's statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.engine.boxes import Box
from impasto.image.picture import Floats
from impasto.objective.tiles import Tile, tile_of

SQUARE = 32
"""Side in pixels of the squares that boxes are made of: smaller ones would be mostly halo."""
MOST = 30
"""Squares along the longer side, which in larger frames are larger: what stays is measured row by
row of them."""
UNSURE = 0.4
"""Of a square, the mean unsureness from which on it is worked at."""
HALO = 16
"""Pixels around a box that the network sees with it. Less than its receptive radius (38 in
``standard``, 70 with relu5), so that features at the border of a box are a little off; halos of 40
would nearly double a box, and the iterations that look at all of the frame come last."""
WORTH = 0.8
"""Of the frame, boxes with their halos. Where they are more, the whole is worked at instead."""


@dataclass(frozen=True)
class Focus:
    """A frame in boxes, which own every pixel once together.

    Attributes:
        worked: those that are worked at.
        still: all others.
        cost: of an iteration on the first, halos included, in iterations of the whole.
    """

    worked: tuple[Tile, ...]
    still: tuple[Tile, ...]
    cost: float

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frame."""
        tiles = (*self.worked, *self.still)
        return max(each.rows.stop for each in tiles), max(each.columns.stop for each in tiles)

    def outside(self) -> Tensor:
        """[height, width]: 0 in the boxes that are worked at, 1 elsewhere."""
        mask = torch.ones(self.size)
        for tile in self.worked:
            tile.part(mask, 1).zero_()
        return mask


def focus_of(reliability: Floats, cell: int) -> Focus | None:
    """Boxes around what is not sure; none: there is nothing of it, or too much.

    Args:
        reliability: [H, W] in [0, 1].
        cell: of the network's deepest layer, in pixels.
    """
    size = height, width = reliability.shape
    square = max(SQUARE, max(size) // MOST)
    side, margin = (-(-length // cell) * cell for length in (square, HALO))
    unsure = _means(1 - reliability, side) > UNSURE
    boxes = _joined(list(_runs(unsure)), margin / side, unsure.shape)
    still = np.ones_like(unsure)
    for box in boxes:
        still[box.rows, box.columns] = False

    def tiles(boxes: Iterable[Box]) -> tuple[Tile, ...]:
        return tuple(tile_of(each.rows, each.columns, size, side, margin) for each in boxes)

    worked = tiles(boxes)
    cost = sum(tile.area for tile in worked) / (height * width)
    return Focus(worked, tiles(_runs(still)), cost) if 0 < cost <= WORTH else None


def _means(values: Floats, side: int) -> Floats:
    """Of squares of [H, W]; what is left over at the right and below counts to the last ones."""
    starts = [np.arange(0, max(1, length - side + 1), side) for length in values.shape]
    sums = np.add.reduceat(np.add.reduceat(values, starts[0], 0), starts[1], 1)
    tall, wide = (np.diff(each, append=end) for each, end in zip(starts, values.shape, strict=True))
    means: Floats = sums / np.outer(tall, wide)
    return means


def _runs(marked: NDArray[np.bool_]) -> Iterator[Box]:
    """Of every row, boxes one high of what is marked."""
    for top, row in enumerate(marked.tolist()):
        left = 0
        for value, run in groupby(row):
            length = len(list(run))
            if value:
                yield Box(left, top, length, 1)
            left += length


def _joined(boxes: list[Box], margin: float, shape: tuple[int, int]) -> list[Box]:
    """Boxes that cover these and do not meet: two by two those become one that cost less so."""
    if not boxes:
        return []
    limits = np.array(shape, float)

    def costs(ends: Floats) -> Floats:
        """Pixels of [..., (top, left, bottom, right)] and their halos, as far as there are any."""
        begin = np.maximum(ends[..., :2] - margin, 0)
        spans: Floats = np.minimum(ends[..., 2:] + margin, limits) - begin
        return spans[..., 0] * spans[..., 1]

    def gains(one: Floats, other: Floats) -> Floats:
        around = np.concatenate(
            [np.minimum(one, other)[..., :2], np.maximum(one, other)[..., 2:]], -1
        )
        common = np.minimum(one, other)[..., 2:] > np.maximum(one, other)[..., :2]
        saved = costs(one) + costs(other) - costs(around)
        return np.where(common.all(-1), saved + limits.prod(), saved)

    ends = np.array([(b.top, b.left, b.top + b.height, b.left + b.width) for b in boxes], float)
    alive = np.ones(len(ends), bool)
    table = gains(ends[:, None], ends[None])
    np.fill_diagonal(table, -np.inf)
    while table.max() >= 0:
        one, other = np.unravel_index(table.argmax(), table.shape)
        ends[one, :2] = np.minimum(ends[one], ends[other])[:2]
        ends[one, 2:] = np.maximum(ends[one], ends[other])[2:]
        alive[other] = False
        table[other] = table[:, other] = -np.inf
        row = np.where(alive, gains(ends[one], ends), -np.inf)
        row[one] = -np.inf
        table[one] = table[:, one] = row
    rounded = ends[alive].astype(int).tolist()
    return [Box(left, top, right - left, bottom - top) for top, left, bottom, right in rounded]
