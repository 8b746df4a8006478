"""Find the places of a film's frame that are worked on while the rest stays unchanged.

Unreliable pixels come in patches. An iteration on a few boxes around them costs what the boxes and
their halos cost. All other pixels keep their share in the statistics of the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from impasto.engine.pixels.boxes import Box
from impasto.image.picture import Floats
from impasto.objective.focused import Focus
from impasto.objective.tiles import Tile, make_tile

SQUARE = 32
"""Side in pixels of the squares that boxes consist of; smaller squares would be mostly halo."""
MOST = 30
"""Largest number of squares along the longer side. Larger frames have larger squares, because the
unchanged part is measured one row of squares at a time."""
UNSURE = 0.4
"""Least mean unreliability (1 - reliability) of a square that is worked on."""
HALO = 16
"""Pixels around a box that the encoder sees with it. This is less than its receptive radius (38 in
``standard``, 70 with relu5), so that features at the border of a box are slightly off. Halos of 40
would nearly double a box, and the iterations on the whole frame come last."""
WORTH = 0.8
"""Largest share of the frame that boxes and halos may cover. Beyond it, the whole frame is worked
on."""


def find_focus(reliability: Floats, cell: int) -> Focus | None:
    """Find boxes around what is unreliable. None: there is nothing unreliable, or too much.

    Args:
        reliability: [H, W] in [0, 1].
        cell: cell size of the encoder's deepest layer, in pixels.
    """
    size = height, width = reliability.shape
    square = max(SQUARE, max(size) // MOST)
    side, margin = (-(-length // cell) * cell for length in (square, HALO))
    unsure = _average_squares(1 - reliability, side) > UNSURE
    boxes = _join(list(_find_runs(unsure)), margin / side, unsure.shape)
    still = np.ones_like(unsure)
    for box in boxes:
        still[box.rows, box.columns] = False

    def make_tiles(boxes: Iterable[Box]) -> tuple[Tile, ...]:
        return tuple(make_tile(each.rows, each.columns, size, side, margin) for each in boxes)

    changing = make_tiles(boxes)
    cost = sum(tile.area for tile in changing) / (height * width)
    if not 0 < cost <= WORTH:
        return None
    return Focus(changing, make_tiles(_find_runs(still)), cost)


def _average_squares(values: Floats, side: int) -> Floats:
    """Average squares of [H, W]; the last ones include what remains at the right and below."""
    starts = [np.arange(0, max(1, length - side + 1), side) for length in values.shape]
    sums = np.add.reduceat(np.add.reduceat(values, starts[0], 0), starts[1], 1)
    tall, wide = (np.diff(each, append=end) for each, end in zip(starts, values.shape, strict=True))
    means: Floats = sums / np.outer(tall, wide)
    return means


def _find_runs(marked: NDArray[np.bool_]) -> Iterator[Box]:
    """Yield boxes of height 1 that cover what is marked, row by row."""
    for top, row in enumerate(marked.tolist()):
        left = 0
        for value, run in groupby(row):
            length = len(list(run))
            if value:
                yield Box(left, top, length, 1)
            left += length


def _join(boxes: list[Box], margin: float, shape: tuple[int, int]) -> list[Box]:
    """Join boxes, two at a time, where one box costs less; the result does not overlap."""
    if not boxes:
        return []
    limits = np.array(shape, float)

    def count_pixels(ends: Floats) -> Floats:
        """Count the pixels of [..., (top, left, bottom, right)] with their halos in the frame."""
        begin = np.maximum(ends[..., :2] - margin, 0)
        spans: Floats = np.minimum(ends[..., 2:] + margin, limits) - begin
        return spans[..., 0] * spans[..., 1]

    def compute_gains(one: Floats, other: Floats) -> Floats:
        around = np.concatenate(
            [np.minimum(one, other)[..., :2], np.maximum(one, other)[..., 2:]], -1
        )
        common = np.minimum(one, other)[..., 2:] > np.maximum(one, other)[..., :2]
        saved = count_pixels(one) + count_pixels(other) - count_pixels(around)
        return np.where(common.all(-1), saved + limits.prod(), saved)

    ends = np.array([(b.top, b.left, b.top + b.height, b.left + b.width) for b in boxes], float)
    alive = np.ones(len(ends), bool)
    table = compute_gains(ends[:, None], ends[None])
    np.fill_diagonal(table, -np.inf)
    while table.max() >= 0:
        one, other = np.unravel_index(table.argmax(), table.shape)
        ends[one, :2] = np.minimum(ends[one], ends[other])[:2]
        ends[one, 2:] = np.maximum(ends[one], ends[other])[2:]
        alive[other] = False
        table[other] = table[:, other] = -np.inf
        row = np.where(alive, compute_gains(ends[one], ends), -np.inf)
        row[one] = -np.inf
        table[one] = table[:, one] = row
    rounded = ends[alive].astype(int).tolist()
    return [Box(left, top, right - left, bottom - top) for top, left, bottom, right in rounded]
