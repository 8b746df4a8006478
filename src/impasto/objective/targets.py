"""Mix the statistics of the paintings into the targets of a result."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.errors import InputError
from impasto.objective.statistics.gauge import Statistic, Statistics
from impasto.objective.statistics.region_masks import TOO_LITTLE
from impasto.recipe.recipe import Recipe


def require_complete(statistics: Statistics) -> list[Statistic]:
    """Return the statistics of a painting, by layer.

    Raises:
        InputError: the painting's mask leaves nothing of it at some layer.
    """
    complete = [each for each in statistics if each is not None]
    if len(complete) < len(statistics):
        raise InputError(TOO_LITTLE, field="style_masks")
    return complete


def mix_targets(
    recipe: Recipe,
    paintings: Sequence[Sequence[Statistic]],
    regions: int,
    photo: Statistics | None = None,
) -> list[list[Statistic]]:
    """Mix the target of each layer and region.

    Args:
        recipe: the recipe with the paintings' weights and strengths.
        paintings: the statistics of each painting, by layer.
        regions: number of regions. One region has the blend of all paintings; several have a
            painting each.
        photo: the photo's own statistics, by layer and region. None: every strength is 1.
    """
    strengths = recipe.list_strengths(len(paintings))
    weights = recipe.style.weights or (1.0,) * len(paintings)
    everything = range(len(paintings))
    mixtures = [[place] for place in everything] if regions > 1 else [everything]
    return [
        [
            _mix(
                [paintings[place][layer] for place in mixture],
                [weights[place] for place in mixture] if regions == 1 else [1.0],
                [strengths[place] for place in mixture],
                None if photo is None else photo[layer * regions + region],
            )
            for region, mixture in enumerate(mixtures)
        ]
        for layer in range(len(paintings[0]))
    ]


def _mix(
    paintings: Sequence[Statistic],
    weights: Sequence[float],
    strengths: Sequence[float],
    photo: Statistic | None,
) -> Statistic:
    """Mix paintings, each at its own strength; the photo makes up the rest."""
    parts = [weight * strength for weight, strength in zip(weights, strengths, strict=True)]
    if photo is not None:
        paintings, weights = [*paintings, photo], [*parts, max(0.0, sum(weights) - sum(parts))]
    return type(paintings[0]).mix(paintings, weights)
