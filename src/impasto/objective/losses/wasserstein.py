"""Style as a Gaussian, exactly: the 2-Wasserstein distance to the painting's features.

    |m - m*|^2 + tr(S + S* - 2 (S*^1/2 S S*^1/2)^1/2)

(Givens and Shortt, "A class of Wasserstein metrics for probability distributions", 1984). Its
gradient in S is I - S*^1/2 (S*^1/2 S S*^1/2)^-1/2 S*^1/2, with the same eigenvectors as its value:
one eigen-decomposition an evaluation. Iterations for the square root, which others use, stop before
they have reached the small eigenvalues, and these are most of them.

A direction in which the result does not vary at all has an infinite slope, and layers with fewer
positions than channels have many. Both Gaussians are therefore blurred by the same little noise:
the distance stays 0 at the painting, and smooth everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.objective.losses.layer_losses import spread_of
from impasto.objective.statistics.moments import Moments

BLUR = 1e-4
"""Variance of the noise, in units of the painting's mean eigenvalue: above the rounding of moments
summed in float32, which is relative to the largest one, a hundred times the mean."""


@dataclass(frozen=True)
class WassersteinTarget:
    """A painting's statistics of one layer.

    Attributes:
        mean: [C].
        root: [C, C] float64 on the CPU, the square root of its blurred covariance.
        blur: variance of the noise.
        spread: what the distance is relative to: the trace of the covariance, or its floor.
    """

    mean: Tensor
    root: Tensor
    blur: float
    spread: float


def wasserstein_target(painting: Moments, blur: float = BLUR) -> WassersteinTarget:
    """Decompose the moments of the painting(s), in float64 on the CPU.

    Args:
        painting: mean [C] and second moment [C, C].
        blur: >= 0, in units of the mean eigenvalue; 0 needs covariances of full rank.
    """
    spread = spread_of(painting)
    blur *= spread / len(painting.mean)
    values, axes = torch.linalg.eigh(painting.covariance.detach().cpu().double())
    root = (axes * (values.clamp(min=0) + blur).sqrt()) @ axes.T
    return WassersteinTarget(painting.mean, root, blur, spread)


def wasserstein_loss(moments: Moments, target: WassersteinTarget) -> Tensor:
    """Squared distance over the painting's own spread.

    Args:
        moments: of the result, mean [C] and second moment [C, C].
        target: of the painting(s), equal C.

    Returns:
        A scalar >= 0 (but for rounding); 1 for a result of no texture and the right mean.
    """
    shift = (moments.mean - target.mean).square().sum()
    bures: Tensor = _Bures.apply(  # type: ignore[no-untyped-call]
        moments.covariance, target.root, target.blur
    )
    return (shift + bures) / target.spread


class _Bures(torch.autograd.Function):
    """tr(S + S* - 2 (R S R)^1/2) with R = S*^1/2, in float64 on the CPU: few devices have float64,
    and fewer decompose as fast.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, root: Tensor, blur: float) -> Tensor:
        found = covariance.cpu().double() + blur * torch.eye(len(root), dtype=root.dtype)
        between = root @ found @ root
        values, axes = torch.linalg.eigh((between + between.T) / 2)
        values = values.clamp(min=blur**2)  # no less, were it not for rounding
        ctx.save_for_backward(values, axes, root)
        ctx.like = covariance.device, covariance.dtype
        distance = found.trace() + root.square().sum() - 2 * values.sqrt().sum()
        on_device: Tensor = distance.to(covariance)
        return on_device

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        values, axes, root = ctx.saved_tensors
        turned = root @ axes
        slope = -(turned * values.rsqrt()) @ turned.T
        slope.diagonal().add_(1)
        return grads[0] * slope.to(*ctx.like), None, None
