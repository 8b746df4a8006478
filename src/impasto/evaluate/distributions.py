"""Compute distances between distributions in float64, the basis of the style metrics."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

QUANTILES = 4096


def fit_gaussian(points: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean [C] and covariance [C, C], float64, of points [M, C]."""
    points = points.double()
    mean = points.mean(0)
    centered = points - mean
    return mean, centered.T @ centered / points.shape[0]


def compute_wasserstein2(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> float:
    """Compute the exact squared 2-Wasserstein distance of two Gaussians (mean, covariance).

    |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_b^1/2 S_a S_b^1/2)^1/2), Givens and Shortt (1984). The last
    trace is computed as the sum of the singular values of S_a^1/2 S_b^1/2, which does not lose
    small eigenvalues by squaring them.
    """
    (mean_a, cov_a), (mean_b, cov_b) = a, b
    cross = torch.linalg.svdvals(_compute_root(cov_a) @ _compute_root(cov_b)).sum()
    shift = (mean_a - mean_b).square().sum()
    return max(0.0, float(shift + cov_a.trace() + cov_b.trace() - 2 * cross))


def _compute_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def compute_sliced_wasserstein(a: Tensor, b: Tensor) -> float:
    """Compute the mean 1-Wasserstein distance over projections of two point sets.

    Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures" (2015).

    Args:
        a, b: results of :func:`project_quantiles` with the same directions.
    """
    return float((a - b).abs().mean())


def project_quantiles(points: Tensor, directions: int = 128, seed: int = 0) -> Tensor:
    """Project points on random directions and compute the quantiles of each projection.

    Quantiles make point sets of different sizes comparable.

    Args:
        points: [M, C].
        directions: number of directions.
        seed: seed of the directions.

    Returns:
        [directions, QUANTILES] float64.
    """
    generator = torch.Generator().manual_seed(seed)
    axes = torch.randn(points.shape[1], directions, generator=generator, dtype=torch.float64)
    axes = axes / axes.norm(dim=0)
    projections = (axes.T @ points.double().T).numpy()
    ordered = torch.from_numpy(np.sort(projections, axis=1))  # ten times as fast as torch's sort
    levels = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    return ordered[:, (levels * len(points)).long()]
