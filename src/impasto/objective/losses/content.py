"""Content losses: squared differences of features from those of the photo.

Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576): a layer has N
channels (C here) and M = H * W positions; F are its features.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from impasto.objective.statistics.moments import to_summing_dtype

ContentNormalization = Literal["mean", "sum", "half_sum", "paper", "relative"]

TINY = 1e-12
"""Added to the denominator of relative losses, which stay finite where the target is 0. It is far
below the energy of any real layer."""


def content_loss(features: Tensor, target: Tensor, normalization: ContentNormalization) -> Tensor:
    """Compute the squared difference of features.

    Args:
        features: [1, C, H, W] of the result, any floating dtype; summed in float32.
        target: [1, C, H, W] of the photo.
        normalization: ``mean`` over elements; ``sum``; ``half_sum`` 1/2 sum (equation 1 of the
            paper); ``paper`` sum / (2 N M); ``relative`` sum / sum of squares of the target.

    Returns:
        A scalar >= 0.
    """
    energy = sum_squared_error(features, target)
    return energy / content_divisor(sum_squares(target), target.numel(), normalization)


def sum_squared_error(features: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum the squared differences of features, in float32 (float64 stays float64).

    Args:
        features, target: [1, C, H, W].
        weight: [H, W] >= 0 of the positions. None: all weights are 1.
    """
    squares = (to_summing_dtype(features) - to_summing_dtype(target)).square()
    return squares.sum() if weight is None else (squares * weight.to(squares)).sum()


def sum_squares(features: Tensor, weight: Tensor | None = None) -> float:
    """Sum the squares of features [1, C, H, W]: each channel in float32 (float64 stays float64),
    the channels in float64 on the CPU, since not every device has float64.

    Args:
        features: [1, C, H, W].
        weight: [H, W] >= 0 of the positions. None: all weights are 1.
    """
    squares = to_summing_dtype(features.detach()).square()
    if weight is not None:
        squares = squares * weight.to(squares)
    return float(squares.sum((0, 2, 3)).cpu().double().sum())


def content_divisor(energy: float, count: float, normalization: ContentNormalization) -> float:
    """Return the number by which a sum of squared differences is divided.

    The parts of a layer, such as tiles, share the divisor of the whole.


    Args:
        energy: sum of squares of the whole target.
        count: number of its elements, weighted if they have weights.
        normalization: see :func:`content_loss`.
    """
    match normalization:
        case "sum":
            return 1.0
        case "half_sum":
            return 2.0
        case "paper":
            return 2.0 * count
        case "relative":
            return energy + TINY
        case "mean":
            return float(count)
