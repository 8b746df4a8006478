"""RegionMasks: the parts of a picture that statistics are taken of, in turn, and their moments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.layers import get_cell_size
from impasto.engine.storage import Storage
from impasto.objective.statistics.gauge import Features, Statistics
from impasto.objective.statistics.moments import measure_each
from impasto.objective.tiles import Tile

TOO_LITTLE = "a style mask shows too little of its painting: enlarge its white part"


class RegionMasks:
    """Masks at the sizes of layers; without masks one region, which is everything."""

    def __init__(
        self, masks: Sequence[Tensor], layers: Iterable[str], storage: Storage | None = None
    ) -> None:
        """Bring the masks to the layers' sizes.

        Args:
            masks: [H, W] weights in [0, 1] of the picture's pixels, one a region; none: one region.
            layers: that will be measured.
            storage: of the masks; none: where they are.
        """
        storage = storage or Storage(masks[0].device if masks else torch.device("cpu"))
        self.shares = [_mean(mask, storage) for mask in masks] or [1.0]
        self._masks: dict[int, list[Tensor]] = {}
        for cell in {get_cell_size(layer) for layer in layers} if masks else ():
            self._masks[cell] = [
                mask if cell == 1 else _pooled(mask, cell, storage) for mask in masks
            ]

    def masks(self, layer: str) -> Sequence[Tensor | None]:
        """Of each region, weights [h, w] of the layer's positions; none: all of them alike."""
        return self._masks[get_cell_size(layer)] if self._masks else [None]


class MomentGauge:
    """A gauge of moments, by layer and region."""

    def __init__(self, layers: Sequence[str], regions: RegionMasks) -> None:
        """Note what to measure."""
        self._masks = [(layer, regions.masks(layer)) for layer in layers]
        self._weights: dict[tuple[str, int, Tile | None], float] = {}

    def measure(self, features: Features, tile: Tile | None = None) -> Statistics:
        """See :class:`impasto.objective.statistics.gauge.Gauge`."""
        found: Statistics = []
        for layer, masks in self._masks:
            each = features[layer]
            if not min(each.shape[-2:]):
                found += [None] * len(masks)
                continue
            parts = [
                mask if mask is None or tile is None else tile.part(mask, get_cell_size(layer))
                for mask in masks
            ]
            weights = [self._weight((layer, i, tile), part) for i, part in enumerate(parts)]
            here = [part if part is None else part.to(each.device) for part in parts]
            found += measure_each(each, here, weights)
        return found

    def _weight(self, place: tuple[str, int, Tile | None], part: Tensor | None) -> float | None:
        """The sum of a layer's and region's mask, found once for each tile."""
        if part is None:
            return None
        if place not in self._weights:
            # In float64, for 100 million weights add up; on the CPU, for not every device has it.
            self._weights[place] = float(part.cpu().double().sum())
        return self._weights[place]


def _mean(mask: Tensor, storage: Storage) -> float:
    total = sum(float(mask[rows].cpu().double().sum()) for rows in storage.split_rows(mask))
    return total / mask.numel()


def _pooled(mask: Tensor, cell: int, storage: Storage) -> Tensor:
    """The means of a mask [H, W] over cells, as pooling layers count them."""
    height, width = mask.shape[0] // cell, mask.shape[1] // cell
    pooled = storage.empty(height, width, dtype=mask.dtype)
    for rows in storage.split_rows(pooled):
        part = mask[rows.start * cell : rows.stop * cell]
        pooled[rows] = F.avg_pool2d(part[None, None], cell)[0, 0]
    return pooled
