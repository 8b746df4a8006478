"""Colour and contrast of every octave, in closed form: nothing to be learnt.

A picture is taken apart into a Laplacian pyramid (Burt and Adelson 1983), and each of its levels
gets, by a Monge-Kantorovich map, the mean and covariance that it has in a painting. So fine hatching
and large patches are as strong as the painting's, in its colours, wherever they come from; and the
network is left to say where they go.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.fast.recoloring import (
    COLOR_NUMBERS,
    RIDGE,
    color_map,
    color_moments,
)

OCTAVES = 4
"""Levels of detail, above the rest at a sixteenth of the size."""
CELL = 2**OCTAVES
"""Sides of what is graded are multiples of it; others are padded by reflection."""
GRADE_NUMBERS = (OCTAVES + 1) * COLOR_NUMBERS
"""Of a picture's grade: colour moments of the levels, finest first."""
DETAIL_RIDGE = 1e-4
"""Added to the variances of detail, 0.01 in RGB: a photo's noise is not blown up to strokes."""


def pyramid(image: Tensor) -> list[Tensor]:
    """[N, 3, H, W], sides multiples of :data:`CELL`, as levels [N, 3, h, w], finest first."""
    levels = []
    for _ in range(OCTAVES):
        coarse = F.avg_pool2d(image, 2)
        levels.append(image - _doubled(coarse))
        image = coarse
    return [*levels, image]


def collapsed(levels: list[Tensor]) -> Tensor:
    """The picture of a :func:`pyramid`."""
    image = levels[-1]
    for level in reversed(levels[:-1]):
        image = level + _doubled(image)
    return image


def grade(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """[N, GRADE_NUMBERS] of pictures [N, 3, H, W] of any size.

    Args:
        image: the pictures.
        mask: [N, 1, H, W] >= 0, how much each place counts; none: all alike.
    """
    mask = None if mask is None else padded(mask)
    return torch.cat([color_moments(level, mask) for level in pyramid(padded(image))], 1)


def graded(image: Tensor, own: Tensor, wanted: Tensor, masks: Tensor | None = None) -> Tensor:
    """Pictures with the grades that are wanted; as they are where those are their own.

    Args:
        image: [N, 3, H, W], sides multiples of :data:`CELL`.
        own: [N, GRADE_NUMBERS], of the pictures, or of what they are parts of.
        wanted: [N, K, GRADE_NUMBERS].
        masks: [N, K, H, W], where each of them is, adding up to 1; none: K is 1.
    """
    grades = zip(own.split(COLOR_NUMBERS, 1), wanted.split(COLOR_NUMBERS, 2), strict=True)
    levels = []
    for position, (level, (here, there)) in enumerate(zip(pyramid(image), grades, strict=True)):
        ridge = RIDGE if position == OCTAVES else DETAIL_RIDGE
        levels.append(_mapped(level, here, there, masks, ridge))
    return collapsed(levels)


def _mapped(
    level: Tensor, own: Tensor, wanted: Tensor, masks: Tensor | None, ridge: float
) -> Tensor:
    pixels = level.flatten(2)
    result = torch.zeros_like(pixels)
    for k in range(wanted.shape[1]):
        matrix, offset = color_map(own, wanted[:, k], ridge)
        mapped = torch.baddbmm(offset, matrix, pixels)
        if masks is None:
            return mapped.view_as(level)
        where = F.adaptive_avg_pool2d(masks[:, k : k + 1], (level.shape[2], level.shape[3]))
        result = result + mapped * where.flatten(2)
    return result.view_as(level)


def padded(image: Tensor) -> Tensor:
    """Reflected at the lower right up to multiples of :data:`CELL`, by indices: what ONNX makes of
    a padding whose width depends on the size is not the same everywhere."""
    rows, columns = (_reflected(side, image.device) for side in image.shape[2:])
    return image[:, :, rows][..., columns]


def _reflected(side: int, device: torch.device) -> Tensor:
    places = torch.arange(side + (CELL - side % CELL) % CELL, device=device)
    return torch.minimum(places, 2 * (side - 1) - places)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
