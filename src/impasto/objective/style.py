"""The style term: how far a picture's statistics are from those of the paintings.

Without masks the whole picture is one region, held against the blend of all paintings; with them,
each mask is a region held against a painting of its own. A region's statistics are normalised by
its own area, so that a small one gets its full style, and its loss counts by its share of the
picture, so that a pixel is pulled as hard in a small region as in a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.layers import cell_of
from impasto.objective.bures import bures_loss, bures_target
from impasto.objective.losses import gram_loss
from impasto.objective.moments import Moments, blend, measure
from impasto.objective.tiles import Tile
from impasto.recipe_tables import StyleTerm

Statistics = dict[str, list[Moments | None]]
"""By layer, the moments of each region; none where a region has no part."""


class Regions:
    """The parts of a picture that statistics are taken of, in turn."""

    def __init__(self, masks: Sequence[Tensor], layers: Iterable[str]) -> None:
        """Bring the masks to the layers' sizes.

        Args:
            masks: [H, W] weights in [0, 1] of the picture's pixels, one a region; none: one region,
                which is everything.
            layers: that will be measured.
        """
        self.shares = [float(mask.mean()) for mask in masks] or [1.0]
        self._masks: dict[int, list[Tensor]] = {}
        for cell in {cell_of(layer) for layer in layers}:
            self._masks[cell] = [
                F.avg_pool2d(mask[None, None], cell)[0, 0] if cell > 1 else mask for mask in masks
            ]

    def measured(
        self, layer: str, features: Tensor, tile: Tile | None = None
    ) -> list[Moments | None]:
        """The moments of each region.

        Args:
            layer: whose features they are.
            features: [1, C, h, w] of the picture, or those that a tile owns.
            tile: whose; none: the picture's.
        """
        if not min(features.shape[-2:]):
            return [None] * len(self.shares)
        cell = cell_of(layer)
        if not self._masks[cell]:
            return [measure(features)]
        found: list[Moments | None] = []
        for mask in self._masks[cell]:
            part = (mask if tile is None else tile.part(mask, cell)).to(features.device)
            found.append(measure(features, part) if bool(part.any()) else None)
        return found


class StyleLoss:
    """The distance of statistics to those of the paintings."""

    def __init__(
        self, style: StyleTerm, paintings: Sequence[dict[str, Moments]], shares: Sequence[float]
    ) -> None:
        """Prepare the targets.

        Args:
            style: the recipe's.
            paintings: of each, the moments by layer.
            shares: of the picture that each region has; if there are several, each has a painting.
        """
        self._layers = style.layers
        self._shares = shares
        if len(shares) == len(paintings):
            targets = [{layer: each[layer] for layer in style.layers} for each in paintings]
        else:
            weights = style.weights or (1.0,) * len(paintings)
            targets = [
                {layer: blend([p[layer] for p in paintings], weights) for layer in style.layers}
            ]
        self._distances = [
            {layer: _distance_to(target, style) for layer, target in each.items()}
            for each in targets
        ]

    def __call__(self, found: Statistics) -> Tensor:
        """The weighted sum over layers and regions, a scalar."""
        losses = [
            weight * share * distances[layer](moments)
            for layer, weight in self._layers.items()
            for share, distances, moments in zip(
                self._shares, self._distances, found[layer], strict=True
            )
            if moments is not None
        ]
        return torch.stack(losses).sum()


def merged(first: list[Moments | None], second: list[Moments | None]) -> list[Moments | None]:
    """Region by region, the moments of both."""
    return [
        b if a is None else a if b is None else a.merged(b)
        for a, b in zip(first, second, strict=True)
    ]


def _distance_to(painting: Moments, style: StyleTerm) -> Callable[[Moments], Tensor]:
    if style.distance == "bures":
        target = bures_target(painting)
        return lambda result: bures_loss(result, target)
    return lambda result: gram_loss(result, painting, style.normalization, style.gram)
