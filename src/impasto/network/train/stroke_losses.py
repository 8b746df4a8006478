"""Define the losses of the stroke network that others do not share, as functions of batches.

Losses of style compare a picture with its painting. They are relative to the painting, so that bold
and pale ones have equal weight. The other losses compare it with the photo. All results are [N].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.train.training_losses import (
    compare_covariances,
    compare_deviations,
    measure_luma,
)

DIRECTIONS = 64
"""Directions along which the distribution of patches is measured."""
BINS = 32
"""Numbers per distribution: means of equal shares of its sorted values."""
BANDS = 4
"""Octaves of luma whose energy is measured."""
ENERGY_BINS = 16
"""Numbers per distribution of energy over the picture."""
ENERGY_WINDOW = 8
"""Side in places of a window in which energy is measured."""
OWN_SHARE = 0.1
"""Factor of the picture's own variance in divisors. Without it, the losses of a nearly empty
painting would be a hundred times those of others."""
SLACK = 3.0 / 255
"""Luma that a ring may have."""


@dataclass(frozen=True)
class FeatureMoments:
    """Moments of the features of N pictures, in units of their layers' root mean squares.

    Attributes:
        means: [N, C] for each layer.
        covariances: [N, C, C] for each layer; [N, C] for layers with variances only.
    """

    means: list[Tensor]
    covariances: list[Tensor]

    def blend(self, other: FeatureMoments, share: Tensor) -> FeatureMoments:
        """Compute the moments of a mixture of places, of which ``share`` [N] are the other's."""
        means, covariances = [], []
        for a, b, c, d in zip(
            self.means, other.means, self.covariances, other.covariances, strict=True
        ):
            shift = a - b
            between = shift[:, :, None] * shift[:, None] if c.dim() == 3 else shift.square()
            part = share.view(-1, *(1,) * (c.dim() - 1))
            means.append(torch.lerp(a, b, share[:, None]))
            covariances.append(torch.lerp(c, d, part) + part * (1 - part) * between)
        return FeatureMoments(means, covariances)


class CovarianceFunction(torch.autograd.Function):
    """Mean and covariance over places, with a gradient that needs no float32 copy of features.

    With the gradient of autograd, a step of training takes three times as long in bfloat16.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        number, channels, height, width = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(number, height * width, channels)
        mean = rows.mean(1, dtype=torch.promote_types(rows.dtype, torch.float32))
        around = rows - mean.to(rows.dtype)[:, None]
        ctx.save_for_backward(around)
        ctx.size = height, width
        return mean, (around.transpose(1, 2) @ around).to(mean.dtype) / rows.shape[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (around,) = ctx.saved_tensors
        of_mean, of_covariance = gradients
        number, places, channels = around.shape
        both = ((of_covariance + of_covariance.transpose(1, 2)) / places).to(around.dtype)
        shift = (of_mean / places)[:, None].to(around.dtype)
        gradient = torch.baddbmm(shift, around, both)
        return gradient.view(number, *ctx.size, channels).permute(0, 3, 1, 2)


def measure_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    """Measure the mean [N, C] and covariance [N, C, C] of features [N, C, H, W] over places."""
    mean, covariance = CovarianceFunction.apply(features)  # type: ignore[no-untyped-call]
    return mean, covariance


def measure_variance(features: Tensor) -> tuple[Tensor, Tensor]:
    """Measure the mean and variance, both [N, C], of features [N, C, H, W] over places."""
    variance, mean = torch.var_mean(features.float(), (2, 3), correction=0)
    return mean, variance


def compute_channel_loss(result: FeatureMoments, target: FeatureMoments) -> Tensor:
    """Compute the squared Wasserstein distance per channel, averaged over the layers.

    The formula is that of :func:`.training_losses.compute_deviation_loss`, with a share of the
    picture's own variance in the divisor.
    """
    losses = [
        compare_deviations(mean, _get_variance(cov), mean_t, _get_variance(cov_t), OWN_SHARE)
        for mean, cov, mean_t, cov_t in _zip_moments(result, target)
    ]
    return torch.stack(losses).mean(0)


def compute_correlation_loss(
    result: FeatureMoments, target: FeatureMoments, weights: tuple[float, ...]
) -> Tensor:
    """Compute the relative squared error of covariances, in units of the target's deviations.

    The formula is that of :func:`.training_losses.compute_covariance_loss`.

    Args:
        result, target: moments of N pictures.
        weights: weights of the layers that have covariances.
    """
    losses = [
        compare_covariances(covariance, covariance_t, _get_variance(covariance_t))
        for _, covariance, _, covariance_t in _zip_moments(result, target)
        if covariance.dim() == 3
    ]
    total: Tensor = torch.stack([w * v for w, v in zip(weights, losses, strict=True)]).sum(0)
    return total / sum(weights)


@cache
def draw_directions(channels: int) -> Tensor:
    """Draw the directions of patches of 3 x 3 places: [DIRECTIONS, C, 3, 3], always the same."""
    generator = torch.Generator().manual_seed(channels)
    noise = torch.randn(DIRECTIONS, channels, 3, 3, generator=generator)
    unit: Tensor = F.normalize(noise.flatten(1)).view_as(noise)
    return unit


def measure_patches(features: Tensor, indices: Tensor, stride: int) -> Tensor:
    """Measure the distribution of patches of 3 x 3 places along random directions.

    Args:
        features: [N, C, H, W].
        indices: [K], indices of :func:`draw_directions`.
        stride: places between patches.

    Returns:
        [N, K, BINS]: means of equal shares of the sorted projections, smallest first.
    """
    kernels = draw_directions(features.shape[1])[indices].to(features)
    projections = F.conv2d(features, kernels, stride=stride).flatten(2).float()
    return F.adaptive_avg_pool1d(projections.sort(2).values, BINS)


def compute_patch_loss(result: Tensor, target: Tensor) -> Tensor:
    """Compute the sliced Wasserstein distance of patches, relative to the target's variance.

    A few strong edges may have the same covariance as strokes everywhere, but not the same
    distribution. After Heitz et al., "A Sliced Wasserstein Loss for Neural Texture Synthesis"
    (arXiv:2006.07229), with patches.

    Args:
        result, target: [N, K, BINS] of :func:`measure_patches`.
    """
    spread = target.var(2, correction=0) + OWN_SHARE * result.var(2, correction=0)
    spread = spread + 0.1 * spread.mean(1, keepdim=True) + 1e-4
    return ((result - target).square().mean(2) / spread).mean(1)


def measure_energy(image: Tensor) -> Tensor:
    """Measure how the energy of each octave of luma is distributed over the picture.

    Args:
        image: [N, 3, H, W] in [0, 1], sides at least 64 px.

    Returns:
        [N, BANDS, ENERGY_BINS]: root mean squares in windows of 8 x 8 places are sorted, smallest
        first; the numbers are means of equal shares of them.
    """
    bands = []
    for band in split_octaves(measure_luma(image))[:-1]:
        energy = F.avg_pool2d(band.square(), ENERGY_WINDOW, ENERGY_WINDOW // 2).flatten(2)
        ordered = (energy + 1e-7).sqrt().sort(2).values
        bands.append(F.adaptive_avg_pool1d(ordered, ENERGY_BINS))
    return torch.cat(bands, 1)


def compute_energy_loss(result: Tensor, target: Tensor) -> Tensor:
    """Compute the Wasserstein distance of energies, relative to the target's mean square.

    Rings around edges beside empty areas can have the mean energy of a painting, but not its
    distribution: a painting has energy everywhere, a photo at its edges.

    Args:
        result, target: [N, BANDS, ENERGY_BINS] of :func:`measure_energy`.
    """
    error = (result - target).square().mean(2)
    scale = target.square().mean(2) + OWN_SHARE * result.square().mean(2) + 2e-5
    return (error / scale).mean(1)


def compute_halo_loss(picture: Tensor, toned: Tensor) -> Tensor:
    """Compute how far luma exceeds that of both sides of a strong edge, in narrow and wide rings.

    The range of the toned photo within 8 px, and of its larger features within 32 px, is allowed.
    Only places where this range is wide count: strokes in flat areas may be darker or brighter.

    Args:
        picture, toned: [N, 3, H, W], compared at a half and at an eighth of their size.
    """
    luma, base = (F.avg_pool2d(_blur_binomially(measure_luma(x)), 2) for x in (picture, toned))
    narrow = _measure_overshoot(luma, base)
    luma, base = (_blur_binomially(F.avg_pool2d(x, 4)) for x in (luma, base))
    return narrow + _measure_overshoot(luma, base)


def _measure_overshoot(luma: Tensor, base: Tensor) -> Tensor:
    highest, lowest = _dilate(base), -_dilate(-base)
    edge = ((highest - lowest - 0.15) / 0.25).clamp(0, 1).detach()
    excess = F.relu(luma - highest - SLACK) + F.relu(lowest - luma - SLACK)
    return (edge * excess.square()).mean((1, 2, 3))


def compute_emboss_loss(picture: Tensor, toned: Tensor) -> Tensor:
    """Compute how much the picture amplifies the octaves of the toned photo.

    In each window an octave of the picture is regressed on that of the photo. A slope above 1 is
    an embossed edge. Strokes are uncorrelated with the photo and do not count.

    Args:
        picture, toned: [N, 3, H, W].
    """
    losses = []
    octaves = (split_octaves(measure_luma(x))[:-1] for x in (picture, toned))
    for band, base in zip(*octaves, strict=True):
        both, own = (
            F.avg_pool2d(x, ENERGY_WINDOW, ENERGY_WINDOW // 2) for x in (band * base, base * base)
        )
        excess = F.relu(both - own).square().sum((1, 2, 3))
        losses.append(excess / (own.square().sum((1, 2, 3)) + 1e-6))
    return torch.stack(losses).mean(0)


def split_octaves(image: Tensor) -> list[Tensor]:
    """Split [N, C, H, W] into :data:`BANDS` octaves and the rest, finest first.

    The pyramid has the binomial filter of Burt and Adelson (1983). That of
    :mod:`impasto.network.painter.grade` has the filters that map octaves without a visible grid.
    """
    levels = []
    for _ in range(BANDS):
        coarse = F.avg_pool2d(_blur_binomially(image), 2)
        again = F.interpolate(coarse, image.shape[2:], mode="bilinear", align_corners=False)
        levels.append(image - again)
        image = coarse
    return [*levels, image]


def _blur_binomially(image: Tensor) -> Tensor:
    """Blur with weights 1, 2, 1, three times, which has a standard deviation of 1.2 px."""
    for _ in range(3):
        padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
        image = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
        image = (image[:, :, :-2] + 2 * image[:, :, 1:-1] + image[:, :, 2:]) / 4
    return image


def _dilate(image: Tensor) -> Tensor:
    """Compute the maximum within 4 places."""
    return F.max_pool2d(F.max_pool2d(image, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))


def _zip_moments(a: FeatureMoments, b: FeatureMoments) -> zip[tuple[Tensor, ...]]:
    return zip(a.means, a.covariances, b.means, b.covariances, strict=True)


def _get_variance(covariance: Tensor) -> Tensor:
    variance = covariance if covariance.dim() == 2 else covariance.diagonal(dim1=1, dim2=2)
    return variance.clamp(min=1e-4)
