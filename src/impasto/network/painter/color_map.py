"""Map colors to those of a style by a 3 x 3 matrix in closed form.

This is the map of :mod:`impasto.image.color.transfer` for batches on any device. It consists of
matrix products only, so that it can be exported with the network. Nothing here is learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

COLOR_NUMBERS = 12
"""Length of color moments: the mean [3] and the second moment [3, 3], row by row."""
RIDGE = 5e-4
"""Added to variances, (0.02)^2 in RGB, so that noise does not get the colors of the painting."""
GRAY = 0.1
"""Color variance, relative to the ridge, below which the ridge of a target is reduced in color, so
that a photo in the style of an engraving becomes gray."""
TINY = 1e-12
SMALLEST_EIGENVALUE = 1e-5
"""Smallest eigenvalue, relative to the trace, for which roots are exact."""
ROUNDING = 5e-7
"""Also added to variances, because rounded moments may have negative eigenvalues, which have no
roots. It changes colors by less than a fifth of an 8-bit level."""
ITERATIONS = 10
"""Steps of the Newton-Schulz iteration."""


def measure_place_moments(features: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Measure the mean [N, C] and the mean outer product [N, C, C] over the places of features.

    Args:
        features: [N, C, H, W].
        mask: [N, 1, h, w] >= 0, at any size, weight of each place. None: equal weights.
    """
    points = features.flatten(2)
    if mask is None:
        return points.mean(2), points @ points.transpose(1, 2) / points.shape[2]
    weighted = points * normalize_mask(features, mask)
    return weighted.sum(2), weighted @ points.transpose(1, 2)


def normalize_mask(features: Tensor, mask: Tensor | None) -> Tensor:
    """Resize a mask to the places of features, and normalize it to sum 1 in float32.

    Args:
        features: [N, C, H, W]; only their size is used.
        mask: see :func:`measure_place_moments`.

    Returns:
        [N or 1, 1, H * W].
    """
    height, width = features.shape[2:]
    if mask is None:
        mask = torch.ones(1, 1, height, width, device=features.device)
    shares = F.adaptive_avg_pool2d(mask, (height, width)).flatten(2)
    return shares / shares.sum(2, keepdim=True).clamp(min=TINY)


def measure_color_moments(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """Measure the color moments [N, 12] of [N, 3, H, W].

    Sums are taken around the mean. The rounding error of a sum of a million squares would exceed
    the variance of an even picture, and its covariance would not be positive.

    Args:
        image: [N, 3, H, W].
        mask: see :func:`measure_place_moments`.
    """
    points = image.flatten(2)
    shares = None if mask is None else normalize_mask(image, mask)
    mean = points.mean(2, True) if shares is None else (points * shares).sum(2, True)
    around = points - mean
    weighted = around / points.shape[2] if shares is None else around * shares
    second = weighted @ around.transpose(1, 2) + mean @ mean.transpose(1, 2)
    return torch.cat([mean.flatten(1), second.flatten(1)], 1)


def compute_color_map(
    source: Tensor, target: Tensor, ridge: float | Tensor = RIDGE
) -> tuple[Tensor, Tensor]:
    """Compute the Monge-Kantorovich map from one Gaussian color distribution to another.

    ``S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2`` for covariances S and T (Pitié and Kokaram 2007); the
    identity if both are equal.

    Args:
        source, target: [N, 12], see :func:`measure_color_moments`.
        ridge: added to the variances of both, a number or [N, 1, 1]. It is reduced in the color
            plane of a target with little color.

    Returns:
        Matrix [N, 3, 3] and offset [N, 3, 1]: ``matrix @ pixels + offset``.
    """
    (mean_s, cov_s), (mean_t, cov_t) = map(split_moments, (source, target))
    identity = torch.eye(3, dtype=cov_s.dtype, device=cov_s.device)
    cov_s = cov_s + (ridge + ROUNDING) * identity
    cov_t = cov_t + ridge * _shape_target_ridge(cov_t, ridge, identity) + ROUNDING * identity
    root, inverse = compute_roots(cov_s)
    matrix = inverse @ compute_roots(root @ cov_t @ root)[0] @ inverse
    return matrix, mean_t - matrix @ mean_s


def compute_roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the square root of positive matrices [N, n, n] and its inverse.

    This is the coupled Newton-Schulz iteration (Higham, "Functions of Matrices", 2008, section
    6.7). Each step is scaled optimally for eigenvalues from :data:`SMALLEST_EIGENVALUE` on (Chen
    and Chow, "A stable scaling of Newton-Schulz for improving the sign function computation of a
    Hermitian matrix", 2014).
    """
    scale = matrix.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    root, inverse = matrix / scale, identity.expand_as(matrix)
    for constant, linear in _COEFFICIENTS:
        step = constant * identity - linear * (inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * scale.sqrt(), inverse / scale.sqrt()


def _compute_coefficients() -> Iterator[tuple[float, float]]:
    """Yield the coefficients of each step, which map the smallest root and 1 to the same value."""
    least = math.sqrt(SMALLEST_EIGENVALUE)
    for _ in range(ITERATIONS):
        scale = math.sqrt(3 / (1 + least + least**2))
        yield 1.5 * scale, scale**3 / 2
        least = scale * least * (3 - (scale * least) ** 2) / 2


_COEFFICIENTS = tuple(_compute_coefficients())


def split_moments(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Convert color moments [N, 12] to means [N, 3, 1] and covariances [N, 3, 3]."""
    mean = moments[:, :3].unsqueeze(2)
    return mean, moments[:, 3:].view(-1, 3, 3) - mean @ mean.transpose(1, 2)


def _shape_target_ridge(covariance: Tensor, ridge: float | Tensor, identity: Tensor) -> Tensor:
    """Compute the ridge's shape [N, 3, 3]: the identity, reduced in color where there is little."""
    gray = torch.full_like(identity, 1 / 3)
    total = covariance.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
    color = (total - (covariance * gray).sum((1, 2), keepdim=True)).clamp(min=0) / 2
    share = (color / (GRAY * ridge)).clamp(max=1)
    return gray + share * (identity - gray)
