"""Define the metrics of `impasto compare` as functions of pictures in [0, 1] and of features.

There are several metrics for style and for content, because each single one can be fooled. Lower is
better, except for ``content_ssim``. No built-in recipe optimizes the layers in :data:`HELD_OUT`,
so that no recipe is trained on the test.

A function that computes a metric has the name of the metric, as in the output of the command.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.evaluate.distributions import (
    compute_sliced_wasserstein,
    compute_wasserstein2,
    fit_gaussian,
    project_quantiles,
)
from impasto.image.color.spaces import srgb_to_oklab

GRAM_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
HELD_OUT = ("relu2_2", "relu3_2", "relu4_3")
SELF_SIMILARITY_LAYER = "relu4_1"
SELF_SIMILARITY_GRID = 32
LUMA = (0.299, 0.587, 0.114)
EPSILON = 1e-12
PATCH, OCTAVES = 7, 3
"""Side of the patches for the sliced distance in pixels, and number of scales, halved each."""


@dataclass(frozen=True)
class StyleStatistics:
    """Statistics of a picture for the style metrics, float64.

    Attributes:
        grams: [C, C] per layer of :data:`GRAM_LAYERS`.
        gaussians: mean [C] and covariance [C, C] per layer of :data:`HELD_OUT`.
        patches: quantiles of projected 7 x 7 RGB patches per octave, up to three, finest first.
        colors: quantiles of projected OKLab colors.
    """

    grams: dict[str, Tensor]
    gaussians: dict[str, tuple[Tensor, Tensor]]
    patches: tuple[Tensor, ...]
    colors: Tensor

    @classmethod
    def measure(cls, image: Tensor, features: dict[str, Tensor]) -> StyleStatistics:
        """Measure an image [1, 3, H, W] in [0, 1] with features [1, C, h, w] at those layers."""
        pixels = image[0].permute(1, 2, 0).numpy()
        return cls(
            grams={layer: _compute_gram(features[layer]) for layer in GRAM_LAYERS},
            gaussians={layer: fit_gaussian(_flatten(features[layer])) for layer in HELD_OUT},
            patches=tuple(project_quantiles(each) for each in _extract_patches(image)),
            colors=project_quantiles(torch.from_numpy(srgb_to_oklab(pixels).reshape(-1, 3))),
        )


def compute_luma(image: Tensor) -> Tensor:
    """Compute the Rec. 601 luma [1, 1, H, W], float64, of sRGB [1, 3, H, W]."""
    weights = torch.tensor(LUMA, dtype=torch.float64).view(1, 3, 1, 1)
    return (image.double() * weights).sum(1, keepdim=True)


def content_ssim(photo: Tensor, result: Tensor) -> float:
    """Compute the mean structural similarity of luma, 1 for equal pictures.

    Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004):
    Gaussian window of 11 px with sigma 1.5, K1 0.01, K2 0.03, range 1. Positions whose window
    leaves the picture are left out.

    Args:
        photo, result: [1, 3, H, W] in [0, 1], equal sizes of at least 11 px a side.
    """
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-offsets.square() / (2 * 1.5**2))
    window = window / window.sum()

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))

    a, b = compute_luma(photo), compute_luma(result)
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return float(similarity.mean())


def content_selfsim(photo: Tensor, result: Tensor) -> float:
    """Compute the mean absolute difference of two cosine self-similarity matrices, in [0, 2].

    It compares structure and ignores color (Shechtman and Irani 2007; STROTSS, Kolkin et al. 2019).

    Args:
        photo, result: features [1, C, h, w]; they are averaged to a grid of at most 32 x 32.
    """

    def compute_similarities(features: Tensor) -> Tensor:
        height, width = (min(side, SELF_SIMILARITY_GRID) for side in features.shape[2:])
        grid = F.adaptive_avg_pool2d(features.double(), (height, width))
        unit = F.normalize(grid[0].flatten(1), dim=0, eps=EPSILON)
        return unit.T @ unit

    return float((compute_similarities(photo) - compute_similarities(result)).abs().mean())


def style_gram(painting: StyleStatistics, result: StyleStatistics) -> float:
    """Compute the relative error |G - G*| / |G*| of Gram matrices, mean over GRAM_LAYERS.

    The norm is Frobenius's.
    """
    errors = []
    for layer in GRAM_LAYERS:
        target, gram = painting.grams[layer], result.grams[layer]
        errors.append(float((gram - target).norm() / (target.norm() + EPSILON)))
    return sum(errors) / len(errors)


def style_w2(painting: StyleStatistics, result: StyleStatistics) -> float:
    """Compute the relative squared 2-Wasserstein distance of Gaussians, mean over HELD_OUT.

    Each distance is divided by the trace of the painting's covariance.
    """
    distances = []
    for layer in HELD_OUT:
        target, gaussian = painting.gaussians[layer], result.gaussians[layer]
        distances.append(
            compute_wasserstein2(gaussian, target) / (float(target[1].trace()) + EPSILON)
        )
    return sum(distances) / len(distances)


def style_swd(painting: StyleStatistics, result: StyleStatistics) -> float:
    """Compute the sliced Wasserstein distance of 7 x 7 RGB patches, mean over common octaves."""
    pairs = list(zip(painting.patches, result.patches, strict=False))
    return sum(compute_sliced_wasserstein(*pair) for pair in pairs) / len(pairs)


def palette(painting: StyleStatistics, result: StyleStatistics) -> float:
    """Compute the sliced Wasserstein distance of OKLab colors."""
    return compute_sliced_wasserstein(painting.colors, result.colors)


def noise(painting: Tensor, result: Tensor) -> float:
    """Compute by how much the result's fine detail exceeds that of the painting, at least 0.

    Fine detail is the root mean square of luma minus its 2 x 2 means, in luma units.

    Args:
        painting, result: [1, 3, H, W] RGB in [0, 1], each of its own size, at least 2 px a side.
    """

    def measure_detail(image: Tensor) -> float:
        y = compute_luma(image)
        y = y[..., : y.shape[2] // 2 * 2, : y.shape[3] // 2 * 2]
        coarse = F.avg_pool2d(y, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return math.sqrt(float((y - coarse).square().mean()))

    return max(0.0, measure_detail(result) - measure_detail(painting))


def blockiness(image: Tensor) -> float:
    """Compute the relative excess of luma steps across an 8 or 16 px grid over those elsewhere.

    The result is the worst of both grids and both directions, at least 0.

    Args:
        image: [1, 3, H, W] RGB in [0, 1].
    """
    y = compute_luma(image)
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


def _flatten(features: Tensor) -> Tensor:
    """Convert features [1, C, h, w] to points [h * w, C]."""
    return features[0].flatten(1).T


def _compute_gram(features: Tensor) -> Tensor:
    points = _flatten(features).double()
    return points.T @ points / points.shape[0]


def _extract_patches(image: Tensor) -> Iterator[Tensor]:
    """Yield patches [N, 3 * 7 * 7] of each octave, finest first."""
    for _ in range(OCTAVES):
        if min(image.shape[2:]) < PATCH:
            return
        patches = F.unfold(image.double(), PATCH)[0].T
        # Enough for stable quantiles, and evenly spaced to be deterministic.
        yield patches[:: max(1, len(patches) // 16_384)]
        image = F.avg_pool2d(image, 2)
