"""Compute the relaxed earth mover's distance: each feature to its nearest, in both directions.

A transport plan between two sets of features has two marginal constraints. With only one of them,
every feature goes to its nearest, and the larger of the two costs is a lower bound of the true one
(Kolkin, Salavon and Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and
Self-Similarity", arXiv:1904.12785). The cosine distance ignores how strong features are, so the
paper and the recipe's ``remd`` add a loss of means and covariances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Cost = Literal["cosine", "euclidean"]

CHUNK = 2**22
"""Costs computed together: 16 MB."""


@dataclass(frozen=True)
class EarthMoverTarget:
    """The features of a painting, prepared for :func:`relaxed_earth_mover`.

    Attributes:
        points: [M, C] features of the painting, or of several, divided by the unit.
        unit: a scalar, by which features of results are divided too.
    """

    points: Tensor
    unit: Tensor | float = 1.0


def relaxed_earth_mover(points: Tensor, painting: EarthMoverTarget, cost: Cost) -> Tensor:
    """Compute max(mean_i min_j C_ij, mean_j min_i C_ij).

    Args:
        points: [N, C] features of the result.
        painting: features of the painting, in the unit of the distance.
        cost: ``cosine``, 1 - cos, in [0, 2], or ``euclidean``, half the squared distance (for unit
            vectors the two are equal). The distance itself has a slope that jumps where features
            have arrived, and L-BFGS stalls there.

    Returns:
        A scalar >= 0.
    """
    points, target = points / painting.unit, painting.points
    if cost == "cosine":
        points, target = (F.normalize(each, dim=1) for each in (points, target))
    # The gradient of a minimum is that of the pair that attains it.
    forth = _find_nearest(points.detach(), target)
    back = _find_nearest(target, points.detach())
    return torch.maximum(
        (points - target[forth]).square().sum(1).mean(),
        (points[back] - target).square().sum(1).mean(),
    ).div(2)


def _find_nearest(points: Tensor, others: Tensor) -> Tensor:
    """Return the index [N] of each point's nearest other."""
    rows = max(1, CHUNK // len(others))
    away = others.square().sum(1)
    parts = torch.split(points, rows)
    return torch.cat([torch.addmm(away, p, others.T, alpha=-2).argmin(1) for p in parts])
