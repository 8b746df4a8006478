"""Resample the masks of regions to the layers, and measure moments in each region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.encoder_registry import get_cell_size
from impasto.engine.machine.storage import Storage
from impasto.objective.statistics.gauge import Features, Statistics
from impasto.objective.statistics.moments import measure_region_moments
from impasto.objective.tiles import Tile

TOO_LITTLE = "`style_masks` shows too little of a painting; enlarge its white part"


class RegionMasks:
    """The masks of regions at the sizes of layers. Without masks, the picture is one region."""

    def __init__(
        self,
        masks: Sequence[Tensor],
        layers: Iterable[str],
        storage: Storage | None = None,
        weight: Tensor | None = None,
    ) -> None:
        """Resample the masks to the layers' sizes.

        Args:
            masks: [H, W] weights in [0, 1] of the pixels, one per region. Empty: one region.
            layers: names of the layers that will be measured.
            storage: holds the resampled masks. None: they stay on the device of the masks.
            weight: [H, W] in [0, 1], how much each pixel of a view counts. None: all count alike.
        """
        if weight is not None:
            masks = [mask * weight for mask in masks] or [weight]
        storage = storage or Storage(masks[0].device if masks else torch.device("cpu"))
        whole = 1.0 if weight is None else _average(weight, storage)
        self.shares = [_average(mask, storage) / whole for mask in masks] or [1.0]
        """How much of the picture each region covers."""
        self._masks: dict[int, list[Tensor]] = {}
        for cell in {get_cell_size(layer) for layer in layers} if masks else ():
            self._masks[cell] = [
                mask if cell == 1 else _pool(mask, cell, storage) for mask in masks
            ]

    def get_layer_masks(self, layer: str) -> Sequence[Tensor | None]:
        """Return each region's weights [h, w] of a layer's positions. None: all are 1."""
        return self._masks[get_cell_size(layer)] if self._masks else [None]


class MomentGauge:
    """Measures moments, by layer and region."""

    joins_views = True

    def __init__(self, layers: Sequence[str], regions: RegionMasks) -> None:
        """Prepare to measure some layers in some regions."""
        self._masks = [(layer, regions.get_layer_masks(layer)) for layer in layers]
        self._weights: dict[tuple[str, int, Tile | None], float] = {}

    def measure(self, features: Features, tile: Tile | None = None) -> Statistics:
        """See :class:`impasto.objective.statistics.gauge.Gauge`."""
        moments: Statistics = []
        for layer, masks in self._masks:
            each = features[layer]
            if not min(each.shape[-2:]):
                moments += [None] * len(masks)
                continue
            parts = [
                mask
                if mask is None or tile is None
                else tile.cut_from_picture(mask, get_cell_size(layer))
                for mask in masks
            ]
            weights = [self._sum_part((layer, i, tile), part) for i, part in enumerate(parts)]
            here = [part if part is None else part.to(each.device) for part in parts]
            moments += measure_region_moments(each, here, weights)
        return moments

    def _sum_part(self, place: tuple[str, int, Tile | None], part: Tensor | None) -> float | None:
        """Return the sum of a mask's part, computed once for each layer, region and tile."""
        if part is None:
            return None
        if place not in self._weights:
            # In float64, since 100 million weights add up. Not every device has it; the CPU does.
            self._weights[place] = float(part.cpu().double().sum())
        return self._weights[place]


def _average(mask: Tensor, storage: Storage) -> float:
    total = sum(float(mask[rows].cpu().double().sum()) for rows in storage.split_rows(mask))
    return total / mask.numel()


def _pool(mask: Tensor, cell: int, storage: Storage) -> Tensor:
    """Average a mask [H, W] over the cells of a layer, as pooling layers count them."""
    height, width = mask.shape[0] // cell, mask.shape[1] // cell
    pooled = storage.empty(height, width, dtype=mask.dtype)
    for rows in storage.split_rows(pooled):
        part = mask[rows.start * cell : rows.stop * cell]
        pooled[rows] = F.avg_pool2d(part[None, None], cell)[0, 0]
    return pooled
