"""Define the losses of training as functions of batches.

Losses are relative to their targets, so that bold and pale paintings have equal weight.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.painter.style_code import PictureMoments

DAMPING = 0.05
"""Added to a channel's variance before division, relative to the mean variance of its layer."""
FLOOR = 0.02
"""Smallest mean variance of a layer that distances are divided by; the mean square is 1."""
WINDOW = 11
"""Side in pixels of the window of :func:`compute_structure_loss`."""
GRID = 8
"""Pixels per place of the network's coarsest features."""
STABILITY = 9e-4
"""Constant of :func:`compute_structure_loss`, (0.03)^2 as in SSIM."""


def compute_deviation_loss(result: PictureMoments, target: PictureMoments) -> Tensor:
    """Compute the squared Wasserstein distance per channel, relative to the target's variance.

    ``sum (m - m*)^2 + (s - s*)^2`` over ``sum s*^2`` with means m and deviations s, averaged over
    the layers. These are the statistics that AdaIN matches (Huang and Belongie, arXiv:1703.06868).

    Returns:
        [N].
    """
    losses = [
        compare_deviations(
            mean, _compute_variance(mean, second), mean_t, _compute_variance(mean_t, second_t)
        )
        for mean, second, mean_t, second_t in _zip_layers(result, target)
    ]
    return torch.stack(losses).mean(0)


def compare_deviations(
    mean: Tensor, variance: Tensor, mean_t: Tensor, variance_t: Tensor, own_share: float = 0.0
) -> Tensor:
    """Compare the channels of one layer: the term [N] of :func:`compute_deviation_loss`.

    Args:
        mean, variance: [N, C] of the result.
        mean_t, variance_t: [N, C] of the target.
        own_share: factor of the result's variance that is added to the divisor.
    """
    shift = (mean - mean_t).square() + (variance.sqrt() - variance_t.sqrt()).square()
    scale = variance_t.mean(1) + own_share * variance.mean(1)
    return shift.mean(1) / scale.clamp(min=FLOOR)


def compute_covariance_loss(
    result: PictureMoments, target: PictureMoments, weights: tuple[float, ...]
) -> Tensor:
    """Compute the relative squared error of covariances, in units of the target's deviations.

    Without these units, only the few channels with large variances would count.

    Args:
        result, target: moments of N pictures.
        weights: weights of the layers.

    Returns:
        [N].
    """
    losses = []
    for mean, second, mean_t, second_t in _zip_layers(result, target):
        covariance = second - mean[:, :, None] * mean[:, None]
        covariance_t = second_t - mean_t[:, :, None] * mean_t[:, None]
        variance_t = _compute_variance(mean_t, second_t)
        losses.append(compare_covariances(covariance, covariance_t, variance_t))
    return sum(w * each for w, each in zip(weights, losses, strict=True)) / sum(weights)  # type: ignore[return-value]


def compare_covariances(covariance: Tensor, covariance_t: Tensor, variance_t: Tensor) -> Tensor:
    """Compare the covariances of one layer: the term [N] of :func:`compute_covariance_loss`.

    Args:
        covariance: [N, C, C] of the result.
        covariance_t: [N, C, C] of the target.
        variance_t: [N, C] of the target.
    """
    least = DAMPING * variance_t.mean(1, keepdim=True).clamp(min=FLOOR)
    units = (variance_t + least).rsqrt()
    scale = units[:, :, None] * units[:, None]
    covariance, covariance_t = scale * covariance, scale * covariance_t
    both = covariance.square().sum((1, 2)) + covariance_t.square().sum((1, 2))
    return (covariance - covariance_t).square().sum((1, 2)) / both.clamp(min=1e-3)


def compute_content_loss(result: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared difference [N] of normalized features [N, C, H, W].

    Mean and deviation of the channels, which belong to the style, do not count.
    """
    return (_normalize(result) - _normalize(target)).square().mean((1, 2, 3))


def compute_similarity_loss(result: Tensor, target: Tensor, stride: int = 1) -> Tensor:
    """Compute the mean absolute difference [N] of cosine similarities between places.

    Places that are similar in the photo should be similar in the result, whatever they look like
    (Kolkin et al., arXiv:1904.12785).

    Args:
        result, target: features [N, C, H, W].
        stride: each place is compared with every ``stride``-th place of every ``stride``-th row.
    """
    difference = _compute_similarities(result, stride) - _compute_similarities(target, stride)
    return difference.abs().mean((1, 2))


def compute_structure_loss(result: Tensor, target: Tensor) -> Tensor:
    """Compute 1 minus the contrast and structure terms of SSIM on luma, mean of two octaves: [N].

    Wang et al., "Multiscale structural similarity for image quality assessment" (2003), with a box
    window. The luminance term is omitted, so that the palette is free.
    """
    losses = []
    for _ in range(2):
        a, b = _center_luma(result), _center_luma(target)
        both, own, other = (F.avg_pool2d(x, WINDOW, 2) for x in (a * b, a * a, b * b))
        similarity = (2 * both + STABILITY) / (own + other + STABILITY)
        losses.append(1 - similarity.mean((1, 2, 3)))
        result, target = F.avg_pool2d(result, 2), F.avg_pool2d(target, 2)
    return torch.stack(losses).mean(0)


def compute_roughness_loss(image: Tensor) -> Tensor:
    """Compute the mean squared difference [N] of neighboring pixels of [N, 3, H, W]."""
    across = image.diff(dim=3).square().mean((1, 2, 3))
    return across + image.diff(dim=2).square().mean((1, 2, 3))


def compute_grid_loss(images: Tensor, cell: int = GRID) -> Tensor:
    """Compute how much the step between neighboring pixels depends on their place in a grid.

    The loss is the variance of the mean step over the columns, or rows, of the grid, relative to
    its squared mean. A network that enlarges features could align its strokes with their grid,
    which looks like a mosaic.

    Args:
        images: [N, 3, H, W], sides at least two cells; the batch is pooled to reduce noise.
        cell: pixels per place of the grid.

    Returns:
        A scalar.
    """
    losses = []
    for dimension, other in ((2, 3), (3, 2)):
        steps = images.diff(dim=dimension).abs().mean((0, 1, other))
        phases = steps[: len(steps) // cell * cell].view(-1, cell).mean(0)
        losses.append(phases.var(correction=0) / phases.mean().square().clamp(min=1e-6))
    return torch.stack(losses).mean()


def compute_bounds_loss(image: Tensor) -> Tensor:
    """Compute the mean squared distance [N] of [N, 3, H, W] from [0, 1]."""
    return (image - image.clamp(0, 1)).square().mean((1, 2, 3))


def measure_luma(image: Tensor) -> Tensor:
    """Compute the luma [N, 1, H, W] of RGB [N, 3, H, W]."""
    weights = image.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def _zip_layers(a: PictureMoments, b: PictureMoments) -> zip[tuple[Tensor, ...]]:
    return zip(a.means, a.seconds, b.means, b.seconds, strict=True)


def _compute_variance(mean: Tensor, second: Tensor) -> Tensor:
    return (second.diagonal(dim1=1, dim2=2) - mean.square()).clamp(min=1e-4)


def _normalize(features: Tensor) -> Tensor:
    centered = features - features.mean((2, 3), keepdim=True)
    variance = centered.square().mean((2, 3), keepdim=True)
    return centered / (variance + 1e-3 * variance.mean(1, keepdim=True) + 1e-8).sqrt()


def _compute_similarities(features: Tensor, stride: int) -> Tensor:
    unit = F.normalize(features, dim=1)
    return unit.flatten(2).transpose(1, 2) @ unit[:, :, ::stride, ::stride].flatten(2)


def _center_luma(image: Tensor) -> Tensor:
    gray = measure_luma(image)
    inner = gray[..., WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)]
    return inner - F.avg_pool2d(gray, WINDOW, 1)
