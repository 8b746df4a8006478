"""Moments: the statistics of a feature map that every statistical style loss is made of.

A layer's features at the positions of a picture are a cloud of points in C dimensions. Its
(weighted) mean and second moment are all that Gram, covariance, mean/std and Gaussian Wasserstein
losses look at. Moments are additive over tiles, devices and regions, and the moments of several
paintings blend linearly; covariances would not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Statistics of one layer's features over some positions.

    Attributes:
        mean: [C], the mean feature.
        second: [C, C], the mean outer product of features: the Gram matrix over H*W.
        weight: the sum of the positions' weights (their count, without a mask).
    """

    mean: Tensor
    second: Tensor
    weight: float

    @property
    def covariance(self) -> Tensor:
        """[C, C]: the second moment about the mean."""
        return self.second - torch.outer(self.mean, self.mean)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What a loss is a function of."""
        return self.mean, self.second

    def merged(self, other: Moments) -> Moments:
        """The moments of both sets of positions together."""
        weight = self.weight + other.weight
        share = other.weight / weight
        return Moments(
            torch.lerp(self.mean, other.mean, share),
            torch.lerp(self.second, other.second, share),
            weight,
        )


def wide(tensor: Tensor) -> Tensor:
    """In float32, to be summed (float64 stays float64)."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class _Moments(torch.autograd.Function):
    """Mean and X^T X / M: the gradient of both is one product, where autograd would make three."""

    @staticmethod
    def forward(ctx: Any, points: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(points)
        return points.mean(0), points.T @ points / points.shape[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (points,) = ctx.saved_tensors
        mean, second = (grad / points.shape[0] for grad in grads)
        return torch.addmm(mean, points, second + second.T)


class _WeightedMoments(torch.autograd.Function):
    """As above with a share for every point; what is kept for the gradient is the points, which
    all regions have in common, and not their products with each region's shares.
    """

    @staticmethod
    def forward(ctx: Any, points: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(points, shares)
        weighted = points * shares
        return weighted.sum(0), points.T @ weighted

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        points, shares = ctx.saved_tensors
        mean, second = grads
        return torch.addmm(mean, points, second + second.T).mul_(shares), None


def measure(features: Tensor, mask: Tensor | None = None) -> Moments:
    """Moments of a feature map, in float32 (float64 stays float64).

    Args:
        features: [1, C, H, W], any floating dtype.
        mask: [H, W] weights >= 0 of the positions, at least one of them above 0; none: all 1.

    Returns:
        Moments normalized by the mask's own area, differentiable in ``features``.
    """
    weight = None if mask is None else float(mask.cpu().double().sum())
    (found,) = measure_each(features, [mask], [weight])
    if found is None:
        raise ValueError("the mask shows nothing")
    return found


def measure_each(
    features: Tensor, masks: Sequence[Tensor | None], weights: Sequence[float | None]
) -> list[Moments | None]:
    """As :func:`measure`, for several masks of the same features; none for one that is all 0.

    Args:
        features: [1, C, H, W].
        masks: [H, W] in [0, 1] each, or none.
        weights: the sum of each: to find it here would be a synchronization every time.
    """
    points = wide(features[0].permute(1, 2, 0).reshape(-1, features.shape[1]))
    return [_measure(points, *each) for each in zip(masks, weights, strict=True)]


def _measure(points: Tensor, mask: Tensor | None, weight: float | None) -> Moments | None:
    if mask is None or weight is None or weight == len(points):
        mean, second = _Moments.apply(points)  # type: ignore[no-untyped-call]
        return Moments(mean, second, float(points.shape[0]))
    if not weight:
        return None
    shares = mask.reshape(-1, 1).to(points) / weight
    mean, second = _WeightedMoments.apply(points, shares)  # type: ignore[no-untyped-call]
    return Moments(mean, second, weight)


def blend(moments: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """The mixture of several paintings' moments, in the given proportions.

    Args:
        moments: one for each painting, equal C.
        weights: one for each painting, >= 0, not all 0; normalized here.
    """
    total = sum(weights)
    shares = [weight / total for weight in weights]
    return Moments(
        sum((s * m.mean for s, m in zip(shares, moments, strict=True)), torch.zeros(())),
        sum((s * m.second for s, m in zip(shares, moments, strict=True)), torch.zeros(())),
        sum(m.weight for m in moments),
    )
