"""Measure moments, from which Gram, covariance, mean/std and Wasserstein losses are computed.

A layer's features at the positions of a picture are a cloud of points in C dimensions; its moments
are the weighted mean and the weighted mean outer product. Moments are additive over tiles, views,
devices and regions, and the moments of several paintings blend linearly. Covariances do neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """First and second moment of one layer's features over some positions.

    Attributes:
        mean: [C], the mean feature.
        second: [C, C], the mean outer product of features: the Gram matrix over H*W.
        weight: sum of the positions' weights; without a mask, their number.
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
        """The tensors that a loss is a function of."""
        return self.mean, self.second

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of positions together."""
        weight = self.weight + other.weight
        share = other.weight / weight
        return Moments(
            torch.lerp(self.mean, other.mean, share),
            torch.lerp(self.second, other.second, share),
            weight,
        )

    @classmethod
    def mix(cls, parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
        """Mix the moments of several pictures in the given proportions.

        Args:
            parts: one for each picture, equal C.
            weights: one for each picture, >= 0, not all 0; normalized here.
        """
        total = sum(weights)
        shares = [weight / total for weight in weights]
        return cls(
            sum((s * m.mean for s, m in zip(shares, parts, strict=True)), torch.zeros(())),
            sum((s * m.second for s, m in zip(shares, parts, strict=True)), torch.zeros(())),
            sum(m.weight for m in parts),
        )


def to_summing_dtype(tensor: Tensor) -> Tensor:
    """Convert to float32, in which sums are accurate enough; float64 stays float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class _Moments(torch.autograd.Function):
    """Mean and X^T X / M. The gradient of both is one matrix product; autograd would make three."""

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
    """The same with a share for every point. The backward pass keeps the points, which all regions
    have in common, and not their products with each region's shares.
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


def measure_moments(features: Tensor, mask: Tensor | None = None) -> Moments:
    """Measure the moments of a feature map, in float32 (float64 stays float64).

    Args:
        features: [1, C, H, W], any floating dtype.
        mask: [H, W] weights >= 0 of the positions, at least one above 0. None: all are 1.

    Returns:
        Moments normalized by the mask's own area, differentiable in ``features``.

    Raises:
        ValueError: the mask is 0 everywhere.
    """
    weight = None if mask is None else float(mask.cpu().double().sum())
    (moments,) = measure_region_moments(features, [mask], [weight])
    if moments is None:
        raise ValueError("the mask is 0 everywhere")
    return moments


def measure_region_moments(
    features: Tensor, masks: Sequence[Tensor | None], weights: Sequence[float | None]
) -> list[Moments | None]:
    """Measure the moments of the same features in several regions. None: a mask is 0 everywhere.

    Args:
        features: [1, C, H, W].
        masks: [H, W] in [0, 1] each. None: all positions.
        weights: sum of each mask, given since summing here would synchronize the device each time.
    """
    points = to_summing_dtype(features[0].permute(1, 2, 0).reshape(-1, features.shape[1]))
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
