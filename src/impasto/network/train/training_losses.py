"""What the network is trained by: pure functions of batches, each a mean over the batch.

All of them are relative to their target, so that a bold and a pale painting count alike.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.style_code import PictureMoments

DAMPING = 0.05
"""Least variance of a channel, of the mean of its layer's, that deviations are relative to."""
FLOOR = 0.02
"""Least mean variance of a layer that distances are relative to, of a mean square of 1."""
WINDOW = 11
GRID = 8
"""Pixels a place of the network's coarsest features."""
STABILITY = 9e-4
"""Of :func:`structure_loss`, (0.03)^2 as in SSIM."""


def deviation_loss(found: PictureMoments, target: PictureMoments) -> Tensor:
    """Squared Wasserstein distance of every channel taken by itself, over the target's spread.

    ``sum (m - m*)^2 + (s - s*)^2`` over ``sum s*^2``, mean over the layers: the statistics that
    AdaIN matches (Huang and Belongie, arXiv:1703.06868).

    Returns:
        [N].
    """
    losses = []
    for mean, second, mean_t, second_t in _layers(found, target):
        deviation, deviation_t = _variance(mean, second), _variance(mean_t, second_t)
        shift = (mean - mean_t).square() + (deviation.sqrt() - deviation_t.sqrt()).square()
        losses.append(shift.mean(1) / deviation_t.mean(1).clamp(min=FLOOR))
    return torch.stack(losses).mean(0)


def covariance_loss(
    found: PictureMoments, target: PictureMoments, weights: tuple[float, ...]
) -> Tensor:
    """Relative squared error of the covariances, channels in units of the target's deviations.

    Without the units the few channels of large variance are all that is seen.

    Args:
        found, target: moments of N pictures.
        weights: of the layers.

    Returns:
        [N].
    """
    losses = []
    for mean, second, mean_t, second_t in _layers(found, target):
        variance = _variance(mean_t, second_t)
        least = DAMPING * variance.mean(1, keepdim=True).clamp(min=FLOOR)
        units = (variance + least).rsqrt()
        scale = units[:, :, None] * units[:, None]
        wanted = scale * (second_t - mean_t[:, :, None] * mean_t[:, None])
        found_ = scale * (second - mean[:, :, None] * mean[:, None])
        error = found_ - wanted
        both = found_.square().sum((1, 2)) + wanted.square().sum((1, 2))
        losses.append(error.square().sum((1, 2)) / both.clamp(min=1e-3))
    return sum(w * each for w, each in zip(weights, losses, strict=True)) / sum(weights)  # type: ignore[return-value]


def content_loss(found: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of features normalized over the picture: [N] of [N, C, H, W].

    What style is to change, mean and deviation of the channels, does not count.
    """
    return (_normalized(found) - _normalized(target)).square().mean((1, 2, 3))


def similarity_loss(found: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the cosine similarities of all pairs of places: [N] of
    features [N, C, H, W].

    What belongs together in the photo shall do so in the picture, whatever both look like
    (Kolkin et al., arXiv:1904.12785).
    """
    return (_similarities(found) - _similarities(target)).abs().mean((1, 2))


def structure_loss(found: Tensor, target: Tensor) -> Tensor:
    """One less the contrast and structure factors of SSIM on luma, mean of two octaves: [N].

    Wang et al., "Multiscale structural similarity" (2003); a box for a window. How light a place
    is does not count, so that the palette is free.
    """
    losses = []
    for _ in range(2):
        a, b = _centered(found), _centered(target)
        both, own, other = (F.avg_pool2d(x, WINDOW, 2) for x in (a * b, a * a, b * b))
        similarity = (2 * both + STABILITY) / (own + other + STABILITY)
        losses.append(1 - similarity.mean((1, 2, 3)))
        found, target = F.avg_pool2d(found, 2), F.avg_pool2d(target, 2)
    return torch.stack(losses).mean(0)


def roughness(image: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels: [N] of [N, 3, H, W]."""
    across = image.diff(dim=3).square().mean((1, 2, 3))
    return across + image.diff(dim=2).square().mean((1, 2, 3))


def grid_loss(images: Tensor) -> Tensor:
    """How much the mean step between neighboring pixels depends on where in a grid of 8 px they
    are: its variance over the columns, and rows, of the grid, relative to its square mean.

    A network that enlarges its features can tell the places of their grid, and strokes that keep to
    it look like a mosaic.

    Args:
        images: [N, 3, H, W], sides at least 16 px; taken together, for the chances of one even out.

    Returns:
        a number.
    """
    losses = []
    for dimension, other in ((2, 3), (3, 2)):
        steps = images.diff(dim=dimension).abs().mean((0, 1, other))
        phases = steps[: len(steps) // GRID * GRID].view(-1, GRID).mean(0)
        losses.append(phases.var(correction=0) / phases.mean().square().clamp(min=1e-6))
    return torch.stack(losses).mean()


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared distance from [0, 1]: [N] of [N, 3, H, W]."""
    return (image - image.clamp(0, 1)).square().mean((1, 2, 3))


def _layers(a: PictureMoments, b: PictureMoments) -> zip[tuple[Tensor, ...]]:
    return zip(a.means, a.seconds, b.means, b.seconds, strict=True)


def _variance(mean: Tensor, second: Tensor) -> Tensor:
    return (second.diagonal(dim1=1, dim2=2) - mean.square()).clamp(min=1e-4)


def _normalized(features: Tensor) -> Tensor:
    centered = features - features.mean((2, 3), keepdim=True)
    variance = centered.square().mean((2, 3), keepdim=True)
    return centered / (variance + 1e-3 * variance.mean(1, keepdim=True) + 1e-8).sqrt()


def _similarities(features: Tensor) -> Tensor:
    unit = F.normalize(features.flatten(2), dim=1)
    return unit.transpose(1, 2) @ unit


def _centered(image: Tensor) -> Tensor:
    weights = image.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
    gray = (image * weights).sum(1, keepdim=True)
    inner = gray[..., WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)]
    return inner - F.avg_pool2d(gray, WINDOW, 1)
