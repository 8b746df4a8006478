"""Style as a Gaussian, exactly: the 2-Wasserstein distance to the painting's features.

    |m - m*|^2 + tr(S + S* - 2 (S*^1/2 S S*^1/2)^1/2)

(Givens and Shortt, "A class of Wasserstein metrics for probability distributions", 1984). Its
gradient in S is I - S*^1/2 (S*^1/2 S S*^1/2)^-1/2 S*^1/2, which needs the same eigenvectors: one
eigendecomposition gives both. Iterative square roots stop before they resolve the small
eigenvalues, which are the most numerous.

A direction in which the result does not vary has an infinite slope, and layers with fewer positions
than channels have many such directions. Both Gaussians are therefore blurred by the same small
noise. The distance is still 0 at the painting, and smooth everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.objective.losses.gram import measure_spread
from impasto.objective.statistics.moments import Moments

BLUR = 1e-4
"""Variance of the noise, in units of the painting's mean eigenvalue: above the rounding of moments
summed in float32, which is relative to the largest eigenvalue, a hundred times the mean."""


@dataclass(frozen=True)
class WassersteinTarget:
    """A painting's statistics of one layer, prepared for :func:`wasserstein_loss`.

    Attributes:
        mean: [C].
        root: [C, C] float64 on the CPU, the square root of its blurred covariance.
        blur: variance of the noise.
        spread: unit of the distance: the trace of the covariance, or its floor.
    """

    mean: Tensor
    root: Tensor
    blur: float
    spread: float


def make_wasserstein_target(painting: Moments, blur: float = BLUR) -> WassersteinTarget:
    """Decompose the moments of a painting, or of a blend, in float64 on the CPU.

    Args:
        painting: moments with mean [C] and second moment [C, C].
        blur: >= 0, in units of the mean eigenvalue; 0 needs covariances of full rank.
    """
    spread = measure_spread(painting)
    blur *= spread / len(painting.mean)
    values, axes = torch.linalg.eigh(painting.covariance.detach().cpu().double())
    root = (axes * (values.clamp(min=0) + blur).sqrt()) @ axes.T
    return WassersteinTarget(painting.mean, root, blur, spread)


def wasserstein_loss(moments: Moments, target: WassersteinTarget) -> Tensor:
    """Compute the squared distance over the painting's own spread.

    Args:
        moments: moments of the result: mean [C] and second moment [C, C].
        target: what :func:`make_wasserstein_target` returned for the painting.

    Returns:
        A scalar >= 0 up to rounding; 1 for a result without texture that has the right mean.
    """
    shift = (moments.mean - target.mean).square().sum()
    # The rest is in float64 on the CPU: few devices have float64, and fewer compute eigenvectors
    # as fast.
    covariance, root = moments.covariance, target.root
    with torch.no_grad():
        noise = target.blur * torch.eye(len(root), dtype=root.dtype)
        blurred = covariance.cpu().double() + noise
        between = root @ blurred @ root
        values, axes = torch.linalg.eigh((between + between.T) / 2)
        values = values.clamp(min=target.blur**2)  # only rounding makes them smaller
        distance = blurred.trace() + root.square().sum() - 2 * values.sqrt().sum()
        rotated = root @ axes
        slope = -(rotated * values.rsqrt()) @ rotated.T
        slope.diagonal().add_(1)
    # This adds 0 to the distance, and gives it the slope that follows from the eigenvectors.
    change = (slope.to(covariance) * (covariance - covariance.detach())).sum()
    loss: Tensor = (shift + (distance.to(covariance) + change)) / target.spread
    return loss
