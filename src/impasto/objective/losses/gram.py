"""Style losses of moments: Gram matrices, covariances, and means with standard deviations.

Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576): a layer has N
channels (C here) and M = H * W positions; G is the Gram matrix of its features, and G / M is their
second moment.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from impasto.objective.losses.content import TINY
from impasto.objective.statistics.moments import Moments

StyleNormalization = Literal["mean", "sum", "paper", "relative"]
GramOver = Literal["hw", "chw"]

FLOOR = 0.05
"""Floor of a painting's mean variance, in units of its mean square feature. Without it, the style
loss of a flat painting would outweigh the content. Of 32 real paintings, none has a layer below
0.17."""
LEAST = 1e-6
"""Absolute floor of the mean variance, for layers without activations on a painting. Other layers
have 1 to 1e5."""
SILENT = 1e-4
"""Variance added to every channel, in units of the painting's mean variance. Without it, the
gradient of the standard deviation is infinite where a channel has no activations."""


def gram_loss(
    moments: Moments,
    target: Moments,
    normalization: StyleNormalization = "mean",
    over: GramOver = "hw",
) -> Tensor:
    """Compute the squared difference of Gram matrices.

    Args:
        moments: moments of the result, with the second moment [C, C].
        target: moments of the painting, or of a blend.
        normalization: ``mean`` over the C * C elements; ``sum``; ``paper`` the 1 / (4 N^2 M^2) of
            equation 4, whose Gram matrix is not divided by M: with Gram matrices over HW that is
            sum / (4 N^2), for pictures of any two sizes; ``relative`` sum / sum of squares of the
            target.
        over: whether the Gram matrix is divided by HW or by CHW.

    Returns:
        A scalar >= 0.
    """
    channels = moments.second.shape[0]
    energy = (moments.second - target.second).square().sum()
    if normalization == "relative":
        return energy / (target.second.square().sum() + TINY)
    if over == "chw":
        energy = energy / channels**2
    match normalization:
        case "sum":
            return energy
        case "paper":
            return energy / (4 * channels**2)
        case "mean":
            return energy / channels**2


def measure_spread(painting: Moments) -> float:
    """Return the trace of a painting's covariance, but at least a floor.

    Style losses are relative to it.
    """
    squares = float(painting.second.diagonal().sum())
    spread = squares - float(painting.mean.square().sum())
    return max(spread, FLOOR * squares, LEAST * len(painting.mean))


def covariance_loss(moments: Moments, target: Moments) -> Tensor:
    """Compute the squared differences of means and of covariances (Frobenius norm), each relative
    to the painting.

    Args:
        moments: moments of the result: mean [C] and second moment [C, C].
        target: moments of the painting, or of a blend.

    Returns:
        A scalar >= 0; about 1 for a result without texture.
    """
    covariance = target.covariance
    energy = covariance.square().sum()
    least = (measure_spread(target) / len(target.mean)) ** 2
    shift = (moments.mean - target.mean).square().sum() / measure_spread(target)
    return shift + (moments.covariance - covariance).square().sum() / energy.clamp(min=least)


def mean_std_loss(moments: Moments, target: Moments) -> Tensor:
    """Compute the squared differences of the channels' means and standard deviations, over the
    painting's spread.

    These are the statistics of AdaIN (Huang and Belongie, arXiv:1703.06868). The loss is the
    Wasserstein distance that Gaussians with independent channels would have.

    Args:
        moments: moments of the result: mean [C] and second moment [C, C].
        target: moments of the painting, or of a blend.

    Returns:
        A scalar >= 0; about 1 for a result without texture.
    """
    spread = measure_spread(target)
    silent = SILENT * spread / len(target.mean)
    deviations = [_compute_variances(each).add(silent).sqrt() for each in (moments, target)]
    shift = (moments.mean - target.mean).square().sum()
    return (shift + (deviations[0] - deviations[1]).square().sum()) / spread


def _compute_variances(moments: Moments) -> Tensor:
    return (moments.second.diagonal() - moments.mean.square()).clamp(min=0)
