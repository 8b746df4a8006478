"""The style term: how far a picture's statistics are from those of the paintings.

Without masks the whole picture is one region, held against the blend of all paintings; with them,
each mask is a region held against a painting of its own. A region's statistics are normalised by
its own area, so that a small one gets its full style, and its loss counts by its share of the
picture, so that a pixel is pulled as hard in a small region as in a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from impasto.objective.bures import bures_loss, bures_target
from impasto.objective.earth_mover import relaxed_earth_mover
from impasto.objective.losses import TINY, covariance_loss, gram_loss, mean_std_loss
from impasto.objective.moments import Moments, blend
from impasto.objective.palette import LEAST_SPREAD, oklab
from impasto.objective.samples import Samples, mix
from impasto.objective.statistic import Found
from impasto.objective.wasserstein import wasserstein_loss, wasserstein_target
from impasto.recipe_tables import StyleTerm

Distance = Callable[[Any], Tensor]
"""Of a statistic, to that of the painting(s)."""


class StyleLoss:
    """The distance of statistics to those of the paintings."""

    def __init__(
        self,
        layers: Mapping[str, float],
        paintings: Sequence[Found],
        weights: Sequence[float],
        shares: Sequence[float],
        distance_to: Callable[[Any], Distance],
    ) -> None:
        """Prepare the targets.

        Args:
            layers: their weights.
            paintings: of each, a statistic of each layer.
            weights: of the paintings.
            shares: of the picture that each region has; if there are several, each has a painting.
            distance_to: the distance to a painting's statistic.
        """
        if len(shares) == len(paintings):
            targets = list(zip(*paintings, strict=True))
        else:
            targets = [(_blended(each, weights),) for each in zip(*paintings, strict=True)]
        self._distances = [
            (weight * share, distance_to(target))
            for weight, each in zip(layers.values(), targets, strict=True)
            for share, target in zip(shares, each, strict=True)
        ]

    def __call__(self, found: Found) -> Tensor:
        """The weighted sum over layers and regions, a scalar."""
        losses = [
            weight * distance(statistic)
            for (weight, distance), statistic in zip(self._distances, found, strict=True)
            if statistic is not None
        ]
        return sum(losses, torch.zeros(()))


def distance_of_moments(style: StyleTerm) -> Callable[[Moments], Distance]:
    """The recipe's, which takes a painting's moments to the distance from them."""

    def to(painting: Moments) -> Distance:
        match style.distance:
            case "bures":
                bures = bures_target(painting)
                return lambda result: bures_loss(result, bures)
            case "wasserstein":
                gaussian = wasserstein_target(painting)
                return lambda result: wasserstein_loss(result, gaussian)
            case "covariance" | "remd":
                return lambda result: covariance_loss(result, painting)
            case "mean_std":
                return lambda result: mean_std_loss(result, painting)
            case "gram":
                return lambda result: gram_loss(result, painting, style.normalization, style.gram)
            case "neighbors":
                raise ValueError("neighbors are no function of moments: MatchingObjective")

    return to


def distance_of_samples(style: StyleTerm) -> Callable[[Samples], Distance]:
    """The relaxed earth mover's."""

    def to(painting: Samples) -> Distance:
        # The painting's own size is the unit, so that layers weigh alike; a cosine has none.
        unit = painting.points.square().sum(1).mean().sqrt().clamp(min=TINY)
        target = painting.points / unit
        return lambda result: relaxed_earth_mover(result.points / unit, target, style.cost)

    return to


def distance_of_colors(painting: Samples) -> Distance:
    """The relaxed earth mover's, of sRGB colours in OKLab, relative to the painting's spread."""
    target = oklab(painting.points)
    unit = (target - target.mean(0)).square().sum(1).mean().sqrt().clamp(min=LEAST_SPREAD)
    target = target / unit
    return lambda result: relaxed_earth_mover(oklab(result.points) / unit, target, "euclidean")


def _blended(paintings: Sequence[Any], weights: Sequence[float]) -> Moments | Samples:
    combine = blend if isinstance(paintings[0], Moments) else mix
    return combine(paintings, weights)
