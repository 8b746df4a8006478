"""The metrics of `impasto compare`: pure functions of pictures in [0, 1] and of features.

Style and content each have several, because each single one can be fooled. Lower is better but
for ``content_ssim``. Layers in :data:`HELD_OUT` are optimised by no recipe of ours, so that a
recipe cannot be good at them by having trained for the test.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.evaluate.statistics import gaussian, sliced_wasserstein, wasserstein2
from impasto.media.color import srgb_to_oklab

GRAM_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
HELD_OUT = ("relu2_2", "relu3_2", "relu4_3")
SELF_SIMILARITY_LAYER = "relu4_1"
SELF_SIMILARITY_GRID = 32
LUMA = (0.299, 0.587, 0.114)
EPSILON = 1e-12


@dataclass(frozen=True)
class Statistics:
    """What the style metrics look at, float64.

    Attributes:
        grams: [C, C] at :data:`GRAM_LAYERS`.
        gaussians: mean [C] and covariance [C, C] at :data:`HELD_OUT`.
    """

    grams: dict[str, Tensor]
    gaussians: dict[str, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, features: dict[str, Tensor]) -> Statistics:
        """Of one picture's features [1, C, H, W] at those layers."""
        return cls(
            {layer: _gram(features[layer]) for layer in GRAM_LAYERS},
            {layer: gaussian(_points(features[layer])) for layer in HELD_OUT},
        )


def luma(image: Tensor) -> Tensor:
    """[1, 1, H, W] Rec. 601 luma of [1, 3, H, W] sRGB, float64."""
    weights = torch.tensor(LUMA, dtype=torch.float64).view(1, 3, 1, 1)
    return (image.double() * weights).sum(1, keepdim=True)


def content_ssim(photo: Tensor, result: Tensor) -> float:
    """Mean structural similarity of luma, 1 for equal pictures.

    Wang et al. 2004: Gaussian window of 11 px with sigma 1.5, K1 0.01, K2 0.03, range 1; positions
    whose window leaves the picture are left out.

    Args:
        photo, result: [1, 3, H, W] in [0, 1], equal sizes of at least 11 px a side.
    """
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-offsets.square() / (2 * 1.5**2))
    window = window / window.sum()

    def mean(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))

    a, b = luma(photo), luma(result)
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    cov = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return float(similarity.mean())


def content_selfsim(photo: Tensor, result: Tensor) -> float:
    """Mean absolute difference of the cosine similarity matrices of two feature maps, in [0, 2].

    Structure without colour (Shechtman and Irani 2007; STROTSS, Kolkin et al. 2019).

    Args:
        photo, result: [1, C, h, w] features, averaged down to a grid of at most 32 x 32.
    """

    def similarities(features: Tensor) -> Tensor:
        height, width = (min(side, SELF_SIMILARITY_GRID) for side in features.shape[2:])
        grid = F.adaptive_avg_pool2d(features.double(), (height, width))
        unit = F.normalize(grid[0].flatten(1), dim=0, eps=EPSILON)
        return unit.T @ unit

    return float((similarities(photo) - similarities(result)).abs().mean())


def style_gram(painting: Statistics, result: Statistics) -> float:
    """Mean relative error |G - G*| / |G*| (Frobenius) of Gram matrices over :data:`GRAM_LAYERS`."""
    errors = []
    for layer in GRAM_LAYERS:
        target, found = painting.grams[layer], result.grams[layer]
        errors.append(float((found - target).norm() / (target.norm() + EPSILON)))
    return sum(errors) / len(errors)


def style_w2(painting: Statistics, result: Statistics) -> float:
    """Squared Gaussian 2-Wasserstein distance over the trace of the painting's covariance, mean
    over :data:`HELD_OUT`."""
    distances = []
    for layer in HELD_OUT:
        target, found = painting.gaussians[layer], result.gaussians[layer]
        distances.append(wasserstein2(found, target) / (float(target[1].trace()) + EPSILON))
    return sum(distances) / len(distances)


def style_swd(painting: Tensor, result: Tensor, patch: int = 7, scales: int = 3) -> float:
    """Sliced Wasserstein distance of 7 x 7 RGB patches, mean over three octaves.

    Args:
        painting, result: [1, 3, H, W] in [0, 1]; octaves shorter than a patch are left out.
    """
    distances = []
    for _ in range(scales):
        if min(*painting.shape[2:], *result.shape[2:]) < patch:
            break
        distances.append(sliced_wasserstein(_patches(painting, patch), _patches(result, patch)))
        painting, result = (F.avg_pool2d(x, 2) for x in (painting, result))
    return sum(distances) / len(distances)


def palette(painting: NDArray[np.float32], result: NDArray[np.float32]) -> float:
    """Sliced Wasserstein distance of OKLab colours of two pictures [H, W, 3] in [0, 1]."""
    clouds = [torch.from_numpy(srgb_to_oklab(p).reshape(-1, 3)) for p in (painting, result)]
    return sliced_wasserstein(clouds[0], clouds[1])


def noise(painting: Tensor, result: Tensor) -> float:
    """How much more of the result's luma lies in the top octave than of the painting's.

    Excess of the root mean square of luma minus its 2x2-binned self, in luma units; 0 if there is
    no more than in the painting.
    """

    def top_octave(image: Tensor) -> float:
        y = luma(image)
        y = y[..., : y.shape[2] // 2 * 2, : y.shape[3] // 2 * 2]
        coarse = F.avg_pool2d(y, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return math.sqrt(float((y - coarse).square().mean()))

    return max(0.0, top_octave(result) - top_octave(painting))


def blockiness(image: Tensor) -> float:
    """Excess of luma steps across an 8 or 16 px grid over those elsewhere, relative; 0 for none.

    The worse of both grids and both directions.
    """
    y = luma(image)
    worst = 0.0
    for dimension in (2, 3):
        steps = y.diff(dim=dimension).abs().mean(dim=(0, 1, 5 - dimension))
        for period in (8, 16):
            on_grid = torch.zeros(len(steps), dtype=torch.bool)
            on_grid[period - 1 :: period] = True
            if bool(on_grid.any()) and not bool(on_grid.all()):
                elsewhere = float(steps[~on_grid].mean())
                excess = float(steps[on_grid].mean()) - elsewhere
                worst = max(worst, excess / (elsewhere + 1e-3))
    return worst


def _points(features: Tensor) -> Tensor:
    return features[0].flatten(1).T


def _gram(features: Tensor) -> Tensor:
    points = _points(features).double()
    return points.T @ points / points.shape[0]


def _patches(image: Tensor, side: int) -> Tensor:
    patches = F.unfold(image.double(), side)[0].T
    # Enough for stable quantiles; evenly spaced, so that the same picture gives the same patches.
    return patches[:: max(1, len(patches) // 16_384)]
