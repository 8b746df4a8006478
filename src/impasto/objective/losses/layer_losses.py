"""Content, style and smoothness losses: pure functions of tensors, named as the literature does.

Notation of Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style" (arXiv:1508.06576):
a layer has N channels (here C) and M = H*W positions; F are its features, G their Gram matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from impasto.objective.statistics.moments import Moments, wide

ContentNormalization = Literal["mean", "sum", "half_sum", "paper", "relative"]
StyleNormalization = Literal["mean", "sum", "paper", "relative"]
GramOver = Literal["hw", "chw"]
Variation = Literal["l1", "l2"]

TINY = 1e-12
"""Keeps a relative loss finite against an all-zero target; far below any real layer's energy."""
FLOOR = 0.05
"""Least mean variance of a painting, in units of the mean square feature, so that a flat one does
not outweigh the photo; of 32 real paintings none has a layer below 0.17."""
LEAST = 1e-6
"""And in absolute units, for a layer that a painting leaves silent; active ones have 1 to 1e5."""
SILENT = 1e-4
"""Variance added to every channel's, in units of the painting's mean one."""


def content_loss(features: Tensor, target: Tensor, normalization: ContentNormalization) -> Tensor:
    """Squared difference of features.

    Args:
        features: [1, C, H, W] of the result, any floating dtype; summed in float32.
        target: [1, C, H, W] of the photo.
        normalization: ``mean`` over elements; ``sum``; ``half_sum`` 1/2 sum (equation 1 of the
            paper); ``paper`` sum / (2 N M); ``relative`` sum / sum of squares of the target.

    Returns:
        A scalar >= 0.
    """
    energy = squared_error(features, target)
    return energy / content_divisor(squared_norm(target), target.numel(), normalization)


def squared_error(features: Tensor, target: Tensor) -> Tensor:
    """Sum of squared differences, in float32 (float64 stays float64)."""
    return (wide(features) - wide(target)).square().sum()


def squared_norm(features: Tensor) -> float:
    """Sum of squares: of a channel in float32 (float64 stays float64), of the channels in float64,
    which not every device has.
    """
    by_channel = wide(features.detach()).square().sum((0, 2, 3))
    return float(by_channel.cpu().double().sum())


def content_divisor(energy: float, count: int, normalization: ContentNormalization) -> float:
    """What a sum of squared differences is divided by; the same for a whole layer and its parts.

    Args:
        energy: sum of squares of the whole target.
        count: of its elements.
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


def gram_loss(
    moments: Moments, target: Moments, normalization: StyleNormalization, over: GramOver = "hw"
) -> Tensor:
    """Squared difference of Gram matrices.

    Args:
        moments: of the result, second moment [C, C].
        target: of the painting(s).
        normalization: ``mean`` over the C*C elements; ``sum``; ``paper`` the 1/(4 N^2 M^2) of
            equation 4, whose Gram is not divided by M: with Grams over HW that is sum / (4 N^2),
            for pictures of any two sizes; ``relative`` sum / sum of squares of the target.
        over: whether the Gram is divided by HW or by CHW.

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


def spread_of(painting: Moments) -> float:
    """The trace of the covariance, or its floor: what distances to the painting are relative to."""
    squares = float(painting.second.diagonal().sum())
    spread = squares - float(painting.mean.square().sum())
    return max(spread, FLOOR * squares, LEAST * len(painting.mean))


def covariance_loss(moments: Moments, target: Moments) -> Tensor:
    """Squared differences of means and of covariances (Frobenius), each relative to the painting.

    Args:
        moments: of the result, mean [C] and second moment [C, C].
        target: of the painting(s).

    Returns:
        A scalar >= 0; about 1 when a result of no texture is compared with the painting.
    """
    wanted = target.covariance
    energy = wanted.square().sum()
    least = (spread_of(target) / len(target.mean)) ** 2
    shift = (moments.mean - target.mean).square().sum() / spread_of(target)
    return shift + (moments.covariance - wanted).square().sum() / energy.clamp(min=least)


def mean_std_loss(moments: Moments, target: Moments) -> Tensor:
    """Squared differences of channels' means and standard deviations over the painting's spread.

    The statistics of AdaIN (Huang and Belongie, arXiv:1703.06868): the Wasserstein distance if the
    channels were independent.

    Args:
        moments: of the result, mean [C] and second moment [C, C].
        target: of the painting(s).

    Returns:
        A scalar >= 0; about 1 when a result of no texture is compared with the painting.
    """
    spread = spread_of(target)
    # A silent channel would have an infinite slope.
    silent = SILENT * spread / len(target.mean)
    deviations = [_variances(each).add(silent).sqrt() for each in (moments, target)]
    shift = (moments.mean - target.mean).square().sum()
    return (shift + (deviations[0] - deviations[1]).square().sum()) / spread


def _variances(moments: Moments) -> Tensor:
    return (moments.second.diagonal() - moments.mean.square()).clamp(min=0)


def total_variation(image: Tensor, kind: Variation) -> Tensor:
    """Mean absolute (``l1``) or squared (``l2``) difference of neighbors, both directions added.

    Args:
        image: [N, C, H, W]; a direction with a single pixel counts 0.

    Returns:
        A scalar >= 0, independent of the picture's size.
    """
    height, width = image.shape[-2:]
    return variation_of(image, height, width, kind, image.shape)


def variation_of(
    image: Tensor, rows: int, columns: int, kind: Variation, whole: Sequence[int]
) -> Tensor:
    """What the differences that begin in some pixels add to the total variation of a picture.

    Args:
        image: [N, C, h, w], a part of the picture; one pixel more than ``rows`` and ``columns``
            where the picture goes on.
        rows, columns: how many of the part's count.
        kind: as of :func:`total_variation`.
        whole: the shape of the picture.
    """
    batch, channels, height, width = whole
    below = image[..., 1 : rows + 1, :columns]
    right = image[..., :rows, 1 : columns + 1]
    total = image.new_zeros(())
    for difference, count in (
        (below - image[..., : below.shape[-2], :columns], (height - 1) * width),
        (right - image[..., :rows, : right.shape[-1]], height * (width - 1)),
    ):
        if difference.numel():
            size = difference.abs() if kind == "l1" else difference.square()
            total = total + size.sum() / (batch * channels * count)
    return total
