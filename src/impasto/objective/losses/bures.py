"""Style as a Gaussian: the Wasserstein-2 distance to the painting's features, to second order.

The squared 2-Wasserstein distance of two Gaussians is |m - m*|^2 plus the squared Bures distance of
their covariances, whose second-order form around the painting's covariance S* is

    1/2 sum_ij (Q^T (S - S*) Q)_ij^2 / (l_i + l_j),      S* = Q diag(l) Q^T

(Bhatia, Jain and Lim, "On the Bures-Wasserstein distance between positive definite matrices",
arXiv:1712.01504). One eigen-decomposition a painting, made once, makes it as cheap to evaluate and
as smooth as the Gram loss, which weighs all directions alike: there, the few directions of large
variance drown those that tell a brush stroke from a smear, and the optimizer reaches them last.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.objective.losses.layer_losses import spread_of
from impasto.objective.statistics.moments import Moments

DAMPING = 1.0
"""Added to every eigenvalue, in units of their mean: below it, directions weigh as in the Gram
loss. Far from the painting the second-order form overstates what is wrong in a direction the
painting barely uses, and 0.1 already spends the iterations there (`benchmarks/RESULTS.md`)."""


@dataclass(frozen=True)
class BuresTarget:
    """A painting's statistics of one layer, ready to be compared with.

    Attributes:
        mean: [C].
        covariance: [C, C].
        axes: [C, C], the eigenvectors of the covariance in columns.
        stiffness: [C, C], what a squared deviation along two axes counts.
        spread: what the distance is relative to: the trace of the covariance, or its floor.
    """

    mean: Tensor
    covariance: Tensor
    axes: Tensor
    stiffness: Tensor
    spread: float


def bures_target(painting: Moments, damping: float = DAMPING) -> BuresTarget:
    """Decompose the moments of the painting(s), in float64 on the CPU.

    Args:
        painting: mean [C] and second moment [C, C].
        damping: >= 0, in units of the mean eigenvalue; 0 needs a covariance of full rank.
    """
    covariance = painting.covariance
    values, axes = torch.linalg.eigh(covariance.cpu().double())
    spread = spread_of(painting)
    shifted = values.clamp(min=0) + damping * spread / len(values)
    return BuresTarget(
        painting.mean,
        covariance,
        axes.to(covariance),
        (0.5 / (shifted[:, None] + shifted)).to(covariance),
        spread,
    )


def bures_loss(moments: Moments, target: BuresTarget) -> Tensor:
    """Squared distance over the painting's own spread.

    Args:
        moments: of the result, mean [C] and second moment [C, C].
        target: of the painting(s), equal C.

    Returns:
        A scalar >= 0; about 1 when a result of no texture is compared with the painting.
    """
    change = target.axes.T @ (moments.covariance - target.covariance) @ target.axes
    shift = (moments.mean - target.mean).square().sum()
    return ((target.stiffness * change.square()).sum() + shift) / target.spread
