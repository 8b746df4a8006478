"""The metrics of `impasto compare`: pure functions of pictures in [0, 1] and of features.

Style and content each have several, because each single one can be fooled. Lower is better but
for ``content_ssim``. Layers in :data:`HELD_OUT` are optimized by no recipe of ours, so that a
recipe cannot be good at them by having trained for the test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.evaluate.distributions import gaussian, sliced_wasserstein, slices, wasserstein2
from impasto.image.color.spaces import srgb_to_oklab

GRAM_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
HELD_OUT = ("relu2_2", "relu3_2", "relu4_3")
SELF_SIMILARITY_LAYER = "relu4_1"
SELF_SIMILARITY_GRID = 32
LUMA = (0.299, 0.587, 0.114)
EPSILON = 1e-12
PATCH, OCTAVES = 7, 3
"""Of what the sliced distances look at: side in pixels, and how often the picture is halved."""


@dataclass(frozen=True)
class Statistics:
    """What the style metrics look at, float64.

    Attributes:
        grams: [C, C] at :data:`GRAM_LAYERS`.
        gaussians: mean [C] and covariance [C, C] at :data:`HELD_OUT`.
        patches: :func:`slices` of 7 x 7 RGB patches at up to three octaves, finest first.
        colors: :func:`slices` of OKLab colors.
    """

    grams: dict[str, Tensor]
    gaussians: dict[str, tuple[Tensor, Tensor]]
    patches: tuple[Tensor, ...]
    colors: Tensor

    @classmethod
    def of(cls, image: Tensor, features: dict[str, Tensor]) -> Statistics:
        """Of a picture [1, 3, H, W] in [0, 1] and its features at those layers."""
        pixels = image[0].permute(1, 2, 0).numpy()
        return cls(
            {layer: _gram(features[layer]) for layer in GRAM_LAYERS},
            {layer: gaussian(_points(features[layer])) for layer in HELD_OUT},
            tuple(slices(each) for each in _octaves_of_patches(image)),
            slices(torch.from_numpy(srgb_to_oklab(pixels).reshape(-1, 3))),
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

    Structure without color (Shechtman and Irani 2007; STROTSS, Kolkin et al. 2019).

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


def style_swd(painting: Statistics, result: Statistics) -> float:
    """Sliced Wasserstein distance of 7 x 7 RGB patches, mean over the octaves both have."""
    pairs = list(zip(painting.patches, result.patches, strict=False))
    return sum(sliced_wasserstein(*pair) for pair in pairs) / len(pairs)


def palette(painting: Statistics, result: Statistics) -> float:
    """Sliced Wasserstein distance of OKLab colors."""
    return sliced_wasserstein(painting.colors, result.colors)


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


def _octaves_of_patches(image: Tensor) -> Iterator[Tensor]:
    for _ in range(OCTAVES):
        if min(image.shape[2:]) < PATCH:
            return
        patches = F.unfold(image.double(), PATCH)[0].T
        # Enough for stable quantiles; evenly spaced, so that the same picture has the same ones.
        yield patches[:: max(1, len(patches) // 16_384)]
        image = F.avg_pool2d(image, 2)
