"""The colours of a style by one 3 x 3 map, in closed form: nothing to be learnt.

As :mod:`impasto.media.recolor`, but of batches, on any device, and of matrix products alone, so
that it is part of the exported network.
"""

from __future__ import annotations

import torch
from torch import Tensor

COLOR_NUMBERS = 12
"""Of a picture's colour moments: the mean [3] and the second moment [3, 3], row by row."""
RIDGE = 5e-4
"""Added to the variances, 0.02 in RGB: a photo's noise is not spread over a painting's palette."""
ITERATIONS = 24
"""Enough for eigenvalues down to 1e-6 of the trace."""


def color_moments(image: Tensor) -> Tensor:
    """Mean and mean outer product of the RGB values: [N, 12] of [N, 3, H, W]."""
    pixels = image.flatten(2)
    second = pixels @ pixels.transpose(1, 2) / pixels.shape[2]
    return torch.cat([pixels.mean(2), second.flatten(1)], 1)


def color_map(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The Monge-Kantorovich map of one Gaussian of colours to another.

    ``S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2`` (Pitié and Kokaram 2007); the identity if they are equal.

    Args:
        source, target: [N, 12] of :func:`color_moments`.

    Returns:
        Matrix [N, 3, 3] and offset [N, 3, 1]: ``matrix @ pixels + offset``.
    """
    (mean_s, cov_s), (mean_t, cov_t) = _mean_and_covariance(source), _mean_and_covariance(target)
    root, inverse = roots(cov_s)
    matrix = inverse @ roots(root @ cov_t @ root)[0] @ inverse
    return matrix, mean_t - matrix @ mean_s


def roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root and its inverse of positive matrices [N, n, n], by Newton-Schulz iteration.

    Coupled form, Higham, "Functions of Matrices" (2008), section 6.7.
    """
    scale = matrix.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    root, inverse = matrix / scale, identity.expand_as(matrix)
    for _ in range(ITERATIONS):
        step = (3 * identity - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
    return root * scale.sqrt(), inverse / scale.sqrt()


def _mean_and_covariance(moments: Tensor) -> tuple[Tensor, Tensor]:
    mean = moments[:, :3].unsqueeze(2)
    second = moments[:, 3:].unflatten(1, (3, 3))
    ridge = RIDGE * torch.eye(3, dtype=moments.dtype, device=moments.device)
    return mean, second - mean @ mean.transpose(1, 2) + ridge
