"""The relaxed earth mover's distance: every feature near one of the painting's, and the reverse.

Of a plan that moves one set of features onto another, each of the two marginals alone is kept: all
then go to their nearest, and the larger of both costs bounds the true one from below (Kolkin,
Salavon and Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and Self-Similarity",
arXiv:1904.12785). Under the cosine distance it does not see how strong features are: the paper, and
the recipe's ``remd``, add a loss of means and covariances.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Cost = Literal["cosine", "euclidean"]

CHUNK = 2**22
"""Most costs at work together, 16 MB of them."""


def relaxed_earth_mover(points: Tensor, target: Tensor, cost: Cost) -> Tensor:
    """max(mean_i min_j C_ij, mean_j min_i C_ij).

    Args:
        points: [N, C] of the result.
        target: [M, C] of the painting(s).
        cost: ``cosine``, 1 - cos, in [0, 2], or ``euclidean``: half the squared distance, of which
            the cosine is that of unit vectors. Unsquared, its slope would jump where features have
            arrived, and L-BFGS stall.

    Returns:
        A scalar >= 0.
    """
    if cost == "cosine":
        points, target = (F.normalize(each, dim=1) for each in (points, target))
    # The gradient of a minimum is that of what attains it; the others need not be kept.
    forth, back = _nearest(points.detach(), target), _nearest(target, points.detach())
    return torch.maximum(
        (points - target[forth]).square().sum(1).mean(),
        (points[back] - target).square().sum(1).mean(),
    ).div(2)


def _nearest(points: Tensor, others: Tensor) -> Tensor:
    """The index of the nearest other of each point, [N]."""
    rows = max(1, CHUNK // len(others))
    away = others.square().sum(1)
    parts = torch.split(points, rows)
    return torch.cat([torch.addmm(away, p, others.T, alpha=-2).argmin(1) for p in parts])
