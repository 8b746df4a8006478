"""Regions: the parts of a picture that statistics are taken of, in turn, and their moments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.layers import cell_of
from impasto.objective.moments import measure
from impasto.objective.statistic import Features, Found
from impasto.objective.tiles import Tile


class Regions:
    """Masks at the sizes of layers; without masks one region, which is everything."""

    def __init__(self, masks: Sequence[Tensor], layers: Iterable[str]) -> None:
        """Bring the masks to the layers' sizes.

        Args:
            masks: [H, W] weights in [0, 1] of the picture's pixels, one a region; none: one region.
            layers: that will be measured.
        """
        self.shares = [float(mask.mean()) for mask in masks] or [1.0]
        self._masks: dict[int, list[Tensor]] = {}
        if masks:
            for cell in {cell_of(layer) for layer in layers}:
                self._masks[cell] = [
                    F.avg_pool2d(mask[None, None], cell)[0, 0] if cell > 1 else mask
                    for mask in masks
                ]

    def masks(self, layer: str) -> Sequence[Tensor | None]:
        """Of each region, weights [h, w] of the layer's positions; none: all of them alike."""
        return self._masks[cell_of(layer)] if self._masks else [None]


class MomentsOf:
    """A gauge of moments, by layer and region."""

    def __init__(self, layers: Sequence[str], regions: Regions) -> None:
        """Note what to measure."""
        self._masks = [(layer, mask) for layer in layers for mask in regions.masks(layer)]

    def measured(self, features: Features, tile: Tile | None = None) -> Found:
        """See :class:`impasto.objective.statistic.Gauge`."""
        found: Found = []
        for layer, mask in self._masks:
            each, part = features[layer], mask
            if mask is not None and tile is not None:
                part = tile.part(mask, cell_of(layer))
            nothing = not min(each.shape[-2:]) or (part is not None and not bool(part.any()))
            found.append(
                None if nothing else measure(each, None if part is None else part.to(each.device))
            )
        return found
