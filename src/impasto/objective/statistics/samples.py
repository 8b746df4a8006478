"""Sample a bounded number of a picture's features, independent of its size.

Losses that compare features one by one, not by their moments, use samples: the features at the
points of a grid, or averages over its boxes, in which every position counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.encoder_registry import get_cell_size
from impasto.objective.statistics.gauge import Features, Statistics
from impasto.objective.statistics.moments import to_summing_dtype
from impasto.objective.statistics.region_masks import RegionMasks
from impasto.objective.tiles import Tile

SIDE = 32
"""Points or boxes along a side of the grid."""
TINY = 1e-12
"""Least coverage of a box that counts."""
CANDIDATES = 4 * SIDE
"""Points along a side that a region's points are chosen from."""


@dataclass(frozen=True)
class Samples:
    """The samples of one layer and region.

    Attributes:
        points: [K, C], in a fixed order. A tile has zeros where other tiles have their samples.
        weight: 1 for every part: each sample lies in one part, or is the sum of its parts' shares.
    """

    points: Tensor
    weight: float = 1.0

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that a loss is a function of."""
        return (self.points,)

    def merge(self, other: Samples) -> Samples:
        """Return the samples of both parts together."""
        return Samples(self.points + other.points)

    @classmethod
    def mix(cls, parts: Sequence[Samples], weights: Sequence[float]) -> Samples:
        """Choose evenly spread samples of several pictures, in about the given proportions.

        Args:
            parts: one for each picture, equal C.
            weights: one for each picture, >= 0, not all 0.
        """
        selection, largest = [], max(weights)
        for each, weight in zip(parts, weights, strict=True):
            available = len(each.points)
            count = round(available * weight / largest)
            selection.append(each.points[torch.arange(count) * available // max(count, 1)])
        return cls(torch.cat(selection))


class PointGauge:
    """Samples features at the points of a grid, or in a region at points of a finer grid."""

    joins_views = False

    def __init__(self, layers: Sequence[str], size: tuple[int, int], regions: RegionMasks) -> None:
        """Choose the points.

        Args:
            layers: names of the layers whose features are sampled.
            size: (height, width) of the picture, in pixels.
            regions: the regions of the picture.
        """
        self._places = [
            (layer, _choose_places(_count_cells(size, layer), mask))
            for layer in layers
            for mask in regions.get_layer_masks(layer)
        ]

    def measure(self, features: Features, tile: Tile | None = None) -> Statistics:
        """See :class:`impasto.objective.statistics.gauge.Gauge`; measures :class:`Samples`."""
        return [
            None
            if places is None
            else _sample_places(features[layer], places, get_cell_size(layer), tile)
            for layer, places in self._places
        ]


class AverageGauge:
    """Averages features over the boxes of a grid. In a region, the boxes that count are those it
    fills at least half as much as the box that it fills most.
    """

    joins_views = False

    def __init__(self, layers: Sequence[str], size: tuple[int, int], regions: RegionMasks) -> None:
        """Cut the picture into boxes; arguments as for :class:`PointGauge`."""
        self._boxes = [
            _Boxes.cut(layer, size, mask)
            for layer in layers
            for mask in regions.get_layer_masks(layer)
        ]

    def measure(self, features: Features, tile: Tile | None = None) -> Statistics:
        """See :class:`impasto.objective.statistics.gauge.Gauge`; measures :class:`Samples`."""
        return [boxes.average(features[boxes.layer], tile) for boxes in self._boxes]


@dataclass(frozen=True)
class _Boxes:
    """The boxes of one layer and region.

    Attributes:
        rows, columns: [boxes, side], weights of the positions in the averages along a side.
        mask: [h, w], the mask of the region. None: the whole picture.
        filled: [boxes], how much of each box the region fills.
        full: [K], indices of the boxes that count; empty for an empty region.
    """

    layer: str
    rows: Tensor
    columns: Tensor
    mask: Tensor | None
    filled: Tensor
    full: Tensor

    @classmethod
    def cut(cls, layer: str, size: tuple[int, int], mask: Tensor | None) -> _Boxes:
        """Cut a picture of a size (height, width) in pixels into boxes."""
        rows, columns = (_weigh_positions(side) for side in _count_cells(size, layer))
        if mask is None:
            filled = torch.ones(len(rows) * len(columns))
        else:
            filled = (rows.to(mask) @ mask @ columns.to(mask).T).flatten()
        full = (filled >= max(float(filled.max()) / 2, TINY)).nonzero()[:, 0]
        return cls(layer, rows, columns, mask, filled, full)

    def average(self, features: Tensor, tile: Tile | None) -> Samples | None:
        """Average a picture's features [1, C, h, w], or return what a tile adds to the averages."""
        points = to_summing_dtype(features[0])
        if not len(self.full):
            return None
        if self.mask is not None:
            part = (
                self.mask
                if tile is None
                else tile.cut_from_picture(self.mask, get_cell_size(self.layer))
            )
            points = points * part.to(points)
        full = self.full.to(points.device)
        return Samples(self._sum(points, tile)[full] / self.filled.to(points)[full, None])

    def _sum(self, points: Tensor, tile: Tile | None) -> Tensor:
        rows, columns = self.rows, self.columns
        if tile is not None:
            rows = rows[:, tile.rows.slice_in_picture(get_cell_size(self.layer))]
            columns = columns[:, tile.columns.slice_in_picture(get_cell_size(self.layer))]
        sums = torch.einsum("rh,chw,kw->rkc", rows.to(points), points, columns.to(points))
        return sums.flatten(0, 1)


def _count_cells(size: tuple[int, int], layer: str) -> tuple[int, int]:
    cell = get_cell_size(layer)
    return size[0] // cell, size[1] // cell


def _choose_places(size: tuple[int, int], mask: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Choose rows and columns of at most SIDE^2 points. None: the mask is 0 everywhere."""
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
    # Equal steps of the accumulated weight: a point is chosen as often as the mask is strong there.
    levels = (torch.arange(count, dtype=torch.float64) + 0.5) / count * reached[-1]
    places = torch.searchsorted(reached, levels)
    return down[places], across[places]


def _sample_places(
    features: Tensor, places: tuple[Tensor, Tensor], cell: int, tile: Tile | None
) -> Samples:
    """Sample features [1, C, h, w] at the places of the picture that a tile owns."""
    rows, columns = places
    if tile is not None:
        rows, columns = rows - tile.rows.start // cell, columns - tile.columns.start // cell
    height, width = features.shape[2:]
    here = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    which = here.nonzero()[:, 0]
    points = to_summing_dtype(features[0, :, rows[which], columns[which]].T)
    zeros = points.new_zeros(len(rows), features.shape[1])
    return Samples(zeros.index_copy(0, which.to(points.device), points))


def _weigh_positions(side: int) -> Tensor:
    """Return the weights [boxes, side] of positions in the averages of equal parts of a side."""
    count = min(side, SIDE)
    edges = torch.arange(count + 1, dtype=torch.float64) * side / count
    cells = torch.arange(side, dtype=torch.float64)
    within = torch.minimum(cells + 1, edges[1:, None]) - torch.maximum(cells, edges[:-1, None])
    return within.clamp(min=0) * count / side
