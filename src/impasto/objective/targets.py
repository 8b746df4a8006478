"""Mix the statistics of the paintings into the targets of a result."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.errors import InputError
from impasto.objective.statistics.gauge import Statistic, Statistics
from impasto.objective.statistics.moments import Moments, blend
from impasto.objective.statistics.region_masks import TOO_LITTLE
from impasto.objective.statistics.samples import Samples, mix
from impasto.recipe.recipe import Recipe

Target = Moments | Samples


def require_complete(statistics: Statistics) -> list[Target]:
    """Return the statistics of a painting, by layer.

    Raises:
        InputError: the painting's mask leaves nothing of it at some layer.
    """
    complete = [each for each in statistics if isinstance(each, Moments | Samples)]
    if len(complete) < len(statistics):
        raise InputError(TOO_LITTLE, field="style_masks")
    return complete


def mix_targets(
    recipe: Recipe,
    paintings: Sequence[Sequence[Target]],
    regions: int,
    photo: Statistics | None = None,
) -> list[list[Target]]:
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
    paintings: Sequence[Target],
    weights: Sequence[float],
    strengths: Sequence[float],
    photo: Statistic | None,
) -> Target:
    """Mix paintings, each at its own strength; the photo makes up the rest."""
    parts = [weight * strength for weight, strength in zip(weights, strengths, strict=True)]
    if isinstance(photo, Moments | Samples):
        paintings, weights = [*paintings, photo], [*parts, max(0.0, sum(weights) - sum(parts))]
    if all(isinstance(each, Moments) for each in paintings):
        return blend([each for each in paintings if isinstance(each, Moments)], weights)
    return mix([each for each in paintings if isinstance(each, Samples)], weights)
