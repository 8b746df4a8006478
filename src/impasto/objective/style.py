"""The style term: how far a picture's statistics are from those of the paintings.

Without masks the whole picture is one region, held against the blend of all paintings; with them,
each mask is a region held against a painting of its own. A region's statistics are normalized by
its own area, so that a small one gets its full style, and its loss counts by its share of the
picture, so that a pixel is pulled as hard in a small region as in a large one.

A style of less than full strength is a blend in which the photo is one more painting: moments blend
linearly, so that strength 0 asks for the photo's own statistics, and everything between is
continuous.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from impasto.errors import InputError
from impasto.objective.losses.bures import bures_loss, bures_target
from impasto.objective.losses.earth_mover import relaxed_earth_mover
from impasto.objective.losses.layer_losses import TINY, covariance_loss, gram_loss, mean_std_loss
from impasto.objective.losses.palette import LEAST_SPREAD, oklab
from impasto.objective.losses.wasserstein import wasserstein_loss, wasserstein_target
from impasto.objective.statistics.gauge import Statistic, Statistics
from impasto.objective.statistics.moments import Moments, blend
from impasto.objective.statistics.region_masks import TOO_LITTLE
from impasto.objective.statistics.samples import Samples, mix
from impasto.recipe.recipe import Recipe
from impasto.recipe.tables import StyleChoice

Target = Moments | Samples
Distance = Callable[[Any], Tensor]
"""Of a statistic, to that of the painting(s)."""


class StyleLoss:
    """The distance of statistics to those of the paintings."""

    def __init__(
        self,
        layers: Mapping[str, float],
        targets: Sequence[Sequence[Target]],
        shares: Sequence[float],
        distance_to: Callable[[Any], Distance],
    ) -> None:
        """Prepare the distances.

        Args:
            layers: their weights.
            targets: by layer, of each region; see :func:`style_targets`.
            shares: of the picture that each region has.
            distance_to: a target.
        """
        self._distances = [
            (weight * share, distance_to(target))
            for weight, each in zip(layers.values(), targets, strict=True)
            for share, target in zip(shares, each, strict=True)
        ]

    def __call__(self, found: Statistics) -> Tensor:
        """The weighted sum over layers and regions, a scalar; a small region may be gone at a
        coarse scale.
        """
        losses = [
            weight * distance(statistic)
            for (weight, distance), statistic in zip(self._distances, found, strict=True)
            if statistic is not None
        ]
        return sum(losses, torch.zeros(()))


def style_targets(
    recipe: Recipe,
    paintings: Sequence[Sequence[Target]],
    regions: int,
    photo: Statistics | None = None,
) -> list[list[Target]]:
    """What each region's statistics should be, by layer.

    Args:
        recipe: with the paintings' weights and strengths.
        paintings: of each, the statistics by layer.
        regions: how many; several have a painting each, one has the blend of all.
        photo: its own statistics, by layer and region; wanted where a strength is below 1.
    """
    strengths = recipe.list_strengths(len(paintings))
    weights = recipe.style.weights or (1.0,) * len(paintings)
    everything = range(len(paintings))
    mixtures = [[place] for place in everything] if regions > 1 else [everything]
    return [
        [
            _mixed(
                [paintings[place][layer] for place in mixture],
                [weights[place] for place in mixture] if regions == 1 else [1.0],
                [strengths[place] for place in mixture],
                None if photo is None else photo[layer * regions + region],
            )
            for region, mixture in enumerate(mixtures)
        ]
        for layer in range(len(paintings[0]))
    ]


def complete(found: Statistics) -> list[Target]:
    """The statistics of a painting, by layer.

    Raises:
        InputError: its mask leaves nothing of it at some layer.
    """
    here = [each for each in found if isinstance(each, Moments | Samples)]
    if len(here) < len(found):
        raise InputError(TOO_LITTLE)
    return here


def _mixed(
    paintings: Sequence[Target],
    weights: Sequence[float],
    strengths: Sequence[float],
    photo: Statistic | None,
) -> Target:
    """The mixture of the paintings, each as strong as asked, with the photo for the rest."""
    parts = [weight * strength for weight, strength in zip(weights, strengths, strict=True)]
    if isinstance(photo, Moments | Samples):
        paintings, weights = [*paintings, photo], [*parts, max(0.0, sum(weights) - sum(parts))]
    if all(isinstance(each, Moments) for each in paintings):
        return blend([each for each in paintings if isinstance(each, Moments)], weights)
    return mix([each for each in paintings if isinstance(each, Samples)], weights)


def distance_of_moments(style: StyleChoice) -> Callable[[Moments], Distance]:
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
                raise ValueError("neighbors are no function of moments: NeighborObjective")

    return to


def distance_of_samples(style: StyleChoice) -> Callable[[Samples], Distance]:
    """The relaxed earth mover's."""

    def to(painting: Samples) -> Distance:
        # The painting's own size is the unit, so that layers weigh alike; a cosine has none.
        unit = painting.points.square().sum(1).mean().sqrt().clamp(min=TINY)
        target = painting.points / unit
        return lambda result: relaxed_earth_mover(result.points / unit, target, style.cost)

    return to


def distance_of_colors(painting: Samples) -> Distance:
    """The relaxed earth mover's, of sRGB colors in OKLab, relative to the painting's spread."""
    target = oklab(painting.points)
    unit = (target - target.mean(0)).square().sum(1).mean().sqrt().clamp(min=LEAST_SPREAD)
    target = target / unit
    return lambda result: relaxed_earth_mover(oklab(result.points) / unit, target, "euclidean")
