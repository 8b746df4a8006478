"""Style as a Gaussian: the 2-Wasserstein distance to the painting's features, to second order.

The squared 2-Wasserstein distance of two Gaussians is |m - m*|^2 plus the squared Bures distance of
their covariances, whose second-order form around the painting's covariance S* is

    1/2 sum_ij (Q^T (S - S*) Q)_ij^2 / (l_i + l_j),      S* = Q diag(l) Q^T

(Bhatia, Jain and Lim, "On the Bures-Wasserstein distance between positive definite matrices",
arXiv:1712.01504). With one eigendecomposition per painting it is as cheap and as smooth as the Gram
loss. The Gram loss weighs all directions alike, so that the few directions of large variance hide
those that tell a brush stroke from a smear, and the optimizer reaches these last.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.objective.losses.gram import measure_spread
from impasto.objective.statistics.moments import Moments

DAMPING = 1.0
"""Added to every eigenvalue, in units of their mean. Below it, directions weigh as in the Gram
loss. Far from the painting, the second-order form overstates errors in directions that the painting
barely uses. A damping of 0.1 already spends the iterations there."""


@dataclass(frozen=True)
class BuresTarget:
    """A painting's statistics of one layer, prepared for :func:`bures_loss`.

    Attributes:
        mean: [C].
        covariance: [C, C].
        axes: [C, C], the eigenvectors of the covariance in columns.
        stiffness: [C, C], weight of a squared deviation along each pair of axes.
        spread: unit of the distance: the trace of the covariance, or its floor.
    """

    mean: Tensor
    covariance: Tensor
    axes: Tensor
    stiffness: Tensor
    spread: float


def make_bures_target(painting: Moments, damping: float = DAMPING) -> BuresTarget:
    """Decompose the moments of a painting, or of a blend, in float64 on the CPU.

    Args:
        painting: moments with mean [C] and second moment [C, C].
        damping: >= 0, in units of the mean eigenvalue; 0 needs a covariance of full rank.
    """
    covariance = painting.covariance
    values, axes = torch.linalg.eigh(covariance.cpu().double())
    spread = measure_spread(painting)
    shifted = values.clamp(min=0) + damping * spread / len(values)
    return BuresTarget(
        painting.mean,
        covariance,
        axes.to(covariance),
        (0.5 / (shifted[:, None] + shifted)).to(covariance),
        spread,
    )


def bures_loss(moments: Moments, target: BuresTarget) -> Tensor:
    """Compute the squared distance over the painting's own spread.

    Args:
        moments: moments of the result: mean [C] and second moment [C, C].
        target: what :func:`make_bures_target` returned for the painting.

    Returns:
        A scalar >= 0; about 1 for a result without texture.
    """
    change = target.axes.T @ (moments.covariance - target.covariance) @ target.axes
    shift = (moments.mean - target.mean).square().sum()
    return ((target.stiffness * change.square()).sum() + shift) / target.spread
