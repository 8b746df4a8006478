"""Samples: a bounded number of a picture's features, whatever its size.

Losses that compare features one by one, not by their moments, look at these: at points of a grid,
whose features are as they are, or at the averages over its boxes, in which every position counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.layers import get_cell_size
from impasto.objective.statistics.gauge import Features, Statistics
from impasto.objective.statistics.moments import wide
from impasto.objective.statistics.region_masks import RegionMasks
from impasto.objective.tiles import Tile

SIDE = 32
"""Points or boxes a side of the grid."""
TINY = 1e-12
"""Of a box, that counts as something."""
CANDIDATES = 4 * SIDE
"""Points a side among which a region's are chosen."""


@dataclass(frozen=True)
class Samples:
    """Of one layer and region.

    Attributes:
        points: [K, C], in a fixed order; those of a tile are zero where others have theirs.
        weight: 1, of every part: no two have the same sample, or they have shares of it.
    """

    points: Tensor
    weight: float = 1.0

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What a loss is a function of."""
        return (self.points,)

    def merged(self, other: Samples) -> Samples:
        """Of both parts together."""
        return Samples(self.points + other.points)


def mix(samples: Sequence[Samples], weights: Sequence[float]) -> Samples:
    """As many of each painting's, evenly spread, as come near the given proportions.

    Args:
        samples: one for each painting, equal C.
        weights: one for each painting, >= 0, not all 0.
    """
    chosen, largest = [], max(weights)
    for each, weight in zip(samples, weights, strict=True):
        have = len(each.points)
        count = round(have * weight / largest)
        chosen.append(each.points[torch.arange(count) * have // max(count, 1)])
    return Samples(torch.cat(chosen))


class Points:
    """Features at the points of a grid; of a region, at points of a finer one that lie in it."""

    def __init__(self, layers: Sequence[str], size: tuple[int, int], regions: RegionMasks) -> None:
        """Choose the points.

        Args:
            layers: to take features of.
            size: (height, width) of the picture, in pixels.
            regions: of the picture.
        """
        self._places = [
            (layer, _places(_cells(size, layer), mask))
            for layer in layers
            for mask in regions.masks(layer)
        ]

    def measure(self, features: Features, tile: Tile | None = None) -> Statistics:
        """See :class:`impasto.objective.statistics.gauge.Gauge`; what is found are
        :class:`Samples`.
        """
        return [
            None if places is None else _taken(features[layer], *places, get_cell_size(layer), tile)
            for layer, places in self._places
        ]


class Averages:
    """Averages over the boxes of a grid; of a region, over the boxes it fills at least half as much
    as the one it fills most.
    """

    def __init__(self, layers: Sequence[str], size: tuple[int, int], regions: RegionMasks) -> None:
        """Cut the picture into boxes; arguments as of :class:`Points`."""
        self._boxes = [
            _Boxes.of(layer, mask, *(_shares(side) for side in _cells(size, layer)))
            for layer in layers
            for mask in regions.masks(layer)
        ]

    def measure(self, features: Features, tile: Tile | None = None) -> Statistics:
        """See :class:`impasto.objective.statistics.gauge.Gauge`; what is found are
        :class:`Samples`.
        """
        return [boxes.averages(features[boxes.layer], tile) for boxes in self._boxes]


@dataclass(frozen=True)
class _Boxes:
    """Of a layer's positions in one region.

    Attributes:
        rows, columns: [boxes, side], the weights of positions in averages along a side.
        mask: of the region; none: it is everything.
        filled: [boxes], how much of each box it fills.
        full: [K], which boxes count; none of them if the region is empty.
    """

    layer: str
    rows: Tensor
    columns: Tensor
    mask: Tensor | None
    filled: Tensor
    full: Tensor

    @classmethod
    def of(cls, layer: str, mask: Tensor | None, rows: Tensor, columns: Tensor) -> _Boxes:
        """See above."""
        if mask is None:
            filled = torch.ones(len(rows) * len(columns))
        else:
            filled = (rows.to(mask) @ mask @ columns.to(mask).T).flatten()
        full = (filled >= max(float(filled.max()) / 2, TINY)).nonzero()[:, 0]
        return cls(layer, rows, columns, mask, filled, full)

    def averages(self, features: Tensor, tile: Tile | None) -> Samples | None:
        """Of a picture's features [1, C, h, w], or what a tile's add to them."""
        points = wide(features[0])
        if not len(self.full):
            return None
        if self.mask is not None:
            part = self.mask if tile is None else tile.part(self.mask, get_cell_size(self.layer))
            points = points * part.to(points)
        full = self.full.to(points.device)
        return Samples(self._sums(points, tile)[full] / self.filled.to(points)[full, None])

    def _sums(self, points: Tensor, tile: Tile | None) -> Tensor:
        rows, columns = self.rows, self.columns
        if tile is not None:
            rows = rows[:, tile.rows.places(get_cell_size(self.layer))]
            columns = columns[:, tile.columns.places(get_cell_size(self.layer))]
        sums = torch.einsum("rh,chw,kw->rkc", rows.to(points), points, columns.to(points))
        return sums.flatten(0, 1)


def _cells(size: tuple[int, int], layer: str) -> tuple[int, int]:
    cell = get_cell_size(layer)
    return size[0] // cell, size[1] // cell


def _places(size: tuple[int, int], mask: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Rows and columns of at most SIDE^2 points, the same each time; none where the mask is 0."""
    most = SIDE if mask is None else CANDIDATES
    rows, columns = (
        ((torch.arange(min(side, most)) + 0.5) * side / min(side, most)).long() for side in size
    )
    down, across = (each.flatten() for each in torch.meshgrid(rows, columns, indexing="ij"))
    if mask is None:
        return down, across
    order = torch.randperm(len(down), generator=torch.Generator().manual_seed(0))
    down, across = down[order], across[order]
    reached = mask[down, across].cpu().double().cumsum(0)
    count = min(SIDE**2, int((reached.diff(prepend=reached.new_zeros(1)) > 0).sum()))
    if not count:
        return None
    # Equal steps of the accumulated weight: a point is taken as likely as the mask is strong there.
    levels = (torch.arange(count, dtype=torch.float64) + 0.5) / count * reached[-1]
    chosen = torch.searchsorted(reached, levels)
    return down[chosen], across[chosen]


def _taken(
    features: Tensor, rows: Tensor, columns: Tensor, cell: int, tile: Tile | None
) -> Samples:
    """The features [1, C, h, w] at some places of the picture, as far as a tile has them."""
    if tile is not None:
        rows, columns = rows - tile.rows.start // cell, columns - tile.columns.start // cell
    height, width = features.shape[2:]
    here = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    which = here.nonzero()[:, 0]
    points = wide(features[0, :, rows[which], columns[which]].T)
    zeros = points.new_zeros(len(rows), features.shape[1])
    return Samples(zeros.index_copy(0, which.to(points.device), points))


def _shares(side: int) -> Tensor:
    """[boxes, side] weights of positions in the averages of equal parts of a side, float64."""
    count = min(side, SIDE)
    edges = torch.arange(count + 1, dtype=torch.float64) * side / count
    cells = torch.arange(side, dtype=torch.float64)
    within = torch.minimum(cells + 1, edges[1:, None]) - torch.maximum(cells, edges[:-1, None])
    return within.clamp(min=0) * count / side
