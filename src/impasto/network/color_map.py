"""The colors of a style by one 3 x 3 map, in closed form: nothing to be learned.

As :mod:`impasto.image.color.transfer`, but of batches, on any device, and of matrix products
alone, so
that it is part of the exported network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

COLOR_NUMBERS = 12
"""Of a picture's color moments: the mean [3] and the second moment [3, 3], row by row."""
RIDGE = 5e-4
"""Added to the variances, 0.02 in RGB: a photo's noise is not spread over a painting's palette."""
GRAY = 0.1
"""Of the ridge: variance of color, down to which a target's ridge has all of its color. A photo
after an engraving shall be as gray as that."""
TINY = 1e-12
LEAST = 1e-5
"""Eigenvalue, of the trace, down to which roots are exact."""
ROUNDING = 5e-7
"""Added to all variances besides: moments in float32 are not quite those of a picture,
and what is below zero has no root. A tint of less than a fifth of an 8-bit level."""
ITERATIONS = 10


def moments_of_places(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean [N, C] and mean outer product [N, C, C] over the places of [N, C, H, W].

    Args:
        features: anything.
        mask: [N, 1, h, w] >= 0, at any size, how much each place counts; none: all alike.
    """
    points = features.flatten(2)
    if mask is None:
        return points.mean(2), points @ points.transpose(1, 2) / points.shape[2]
    weighted = points * shares_of_places(features, mask)
    return weighted.sum(2), weighted @ points.transpose(1, 2)


def shares_of_places(features: Tensor, mask: Tensor | None) -> Tensor:
    """How much each place of [N, C, H, W] counts, [N or 1, 1, H * W] adding up to 1 in float32.

    Args:
        features: only their size is read.
        mask: as of :func:`moments_of_places`.
    """
    height, width = features.shape[2:]
    if mask is None:
        mask = torch.ones(1, 1, height, width, device=features.device)
    shares = F.adaptive_avg_pool2d(mask, (height, width)).flatten(2)
    return shares / shares.sum(2, keepdim=True).clamp(min=TINY)


def color_moments(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """[N, 12] of the RGB values of [N, 3, H, W], and a mask as of :func:`moments_of_places`.

    Summed around the mean: squares of a million bright pixels are rounded by more than an even
    picture varies, and its covariance would not be positive.
    """
    points = image.flatten(2)
    shares = None if mask is None else shares_of_places(image, mask)
    mean = points.mean(2, True) if shares is None else (points * shares).sum(2, True)
    around = points - mean
    weighted = around / points.shape[2] if shares is None else around * shares
    second = weighted @ around.transpose(1, 2) + mean @ mean.transpose(1, 2)
    return torch.cat([mean.flatten(1), second.flatten(1)], 1)


def color_map(
    source: Tensor, target: Tensor, ridge: float | Tensor = RIDGE
) -> tuple[Tensor, Tensor]:
    """The Monge-Kantorovich map of one Gaussian of colors to another.

    ``S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2`` (Pitié and Kokaram 2007); the identity if they are equal.

    Args:
        source, target: [N, 12] of :func:`color_moments`.
        ridge: added to the variances of both; one, or [N, 1, 1]. To those of a target's colors
            only so far as it has any.

    Returns:
        Matrix [N, 3, 3] and offset [N, 3, 1]: ``matrix @ pixels + offset``.
    """
    (mean_s, cov_s), (mean_t, cov_t) = map(mean_and_covariance, (source, target))
    identity = torch.eye(3, dtype=cov_s.dtype, device=cov_s.device)
    cov_s = cov_s + (ridge + ROUNDING) * identity
    cov_t = cov_t + ridge * _without_color_of_gray(cov_t, ridge, identity) + ROUNDING * identity
    root, inverse = roots(cov_s)
    matrix = inverse @ roots(root @ cov_t @ root)[0] @ inverse
    return matrix, mean_t - matrix @ mean_s


def roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root and its inverse of positive matrices [N, n, n], by Newton-Schulz iteration.

    Coupled form, Higham, "Functions of Matrices" (2008), section 6.7; every step scaled as is best
    for eigenvalues from :data:`LEAST` on (Chen and Chow, "Stable scaling of Newton-Schulz", 2014).
    """
    scale = matrix.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    root, inverse = matrix / scale, identity.expand_as(matrix)
    for constant, linear in _SCALED:
        step = constant * identity - linear * (inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * scale.sqrt(), inverse / scale.sqrt()


def _scaled() -> Iterator[tuple[float, float]]:
    """Coefficients of each step: what takes the smallest root, and the largest, 1, to the same."""
    least = math.sqrt(LEAST)
    for _ in range(ITERATIONS):
        scale = math.sqrt(3 / (1 + least + least**2))
        yield 1.5 * scale, scale**3 / 2
        least = scale * least * (3 - (scale * least) ** 2) / 2


_SCALED = tuple(_scaled())


def mean_and_covariance(moments: Tensor) -> tuple[Tensor, Tensor]:
    """[N, 3, 1] and [N, 3, 3] of [N, 12] as of :func:`color_moments`."""
    mean = moments[:, :3].unsqueeze(2)
    return mean, moments[:, 3:].view(-1, 3, 3) - mean @ mean.transpose(1, 2)


def _without_color_of_gray(covariance: Tensor, ridge: float | Tensor, identity: Tensor) -> Tensor:
    """The identity [N, 3, 3], in whose plane of colors there is as little as there is color."""
    gray = torch.full_like(identity, 1 / 3)
    total = covariance.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
    color = (total - (covariance * gray).sum((1, 2), keepdim=True)).clamp(min=0) / 2
    share = (color / (GRAY * ridge)).clamp(max=1)
    return gray + share * (identity - gray)
