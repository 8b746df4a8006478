"""Match color and contrast at every scale in closed form.

A picture is split into a Laplacian pyramid (Burt and Adelson, "The Laplacian Pyramid as a Compact
Image Code", 1983). A Monge-Kantorovich map gives each level the mean and covariance of the RGB
values that it has in the painting. Fine hatching and large patches thus become as strong as in the
painting, and have its colors. Nothing here is learned.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.painter.color_map import (
    COLOR_NUMBERS,
    RIDGE,
    TINY,
    compute_color_map,
    measure_color_moments,
    split_moments,
)

OCTAVES = 4
"""Levels of detail; what remains has a sixteenth of the size."""
CELL = 2**OCTAVES
"""Graded pictures have sides that are multiples of this, after reflection padding."""
GRADE_NUMBERS = (OCTAVES + 1) * COLOR_NUMBERS
"""Length of a grade: color moments of the levels, finest first."""
PYRAMID_KIND = "1331"
"""Filter of the pyramid; part of the names of cache files with grades."""
REACH = 4 * CELL
"""Pixels around a part of a picture that can affect its levels; an upper bound."""
DETAIL_RIDGE = 1e-4
"""Added to the variances of detail, (0.01)^2 in RGB, so that a photo's noise is not amplified."""


def build_pyramid(image: Tensor) -> list[Tensor]:
    """Split [N, 3, H, W], sides multiples of CELL, into levels [N, 3, h, w], finest first."""
    levels = []
    for _ in range(OCTAVES):
        coarse = _halve(image)
        levels.append(image - _double(coarse))
        image = coarse
    return [*levels, image]


def collapse_pyramid(levels: list[Tensor]) -> Tensor:
    """Reconstruct the picture of a pyramid, the inverse of :func:`build_pyramid`."""
    image = levels[-1]
    for level in reversed(levels[:-1]):
        image = level + _double(image)
    return image


def measure_grade(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """Measure the grade [N, GRADE_NUMBERS] of pictures.

    Args:
        image: [N, 3, H, W] of any size.
        mask: [N, 1, H, W] >= 0, weight of each pixel. None: equal weights.
    """
    mask = None if mask is None else pad_to_cells(mask)
    return torch.cat(
        [measure_color_moments(level, mask) for level in build_pyramid(pad_to_cells(image))], 1
    )


def project_grade(grades: Tensor) -> Tensor:
    """Project grades [N, GRADE_NUMBERS] to the nearest ones that pictures can have.

    Covariances become positive semidefinite; those of extrapolated codes may not be.
    """
    mean, covariance = split_moments(grades.reshape(-1, COLOR_NUMBERS))
    values, axes = torch.linalg.eigh(covariance)
    covariance = axes @ torch.diag_embed(values.clamp(min=0)) @ axes.transpose(1, 2)
    second = covariance + mean @ mean.transpose(1, 2)
    return torch.cat([mean.flatten(1), second.flatten(1)], 1).view_as(grades)


def measure_grades_in_strips(image: Tensor, rows: int, masks: Tensor | None = None) -> Tensor:
    """Measure the grade in each region like :func:`measure_grade`, some rows at a time.

    Args:
        image: [N, 3, H, W].
        rows: rows per strip, a multiple of :data:`CELL`.
        masks: [N or 1, K, H, W] >= 0, weights per region. None: one region with equal weights.

    Returns:
        [N, K, GRADE_NUMBERS].
    """
    if masks is None:
        masks = image.new_ones(1, 1, 1, 1).expand(1, 1, *image.shape[2:])
    total = torch.zeros((), device=image.device)
    weight = total
    for start in range(0, image.shape[2], rows):
        first, stop = max(0, start - REACH), start + rows
        levels = build_pyramid(pad_to_cells(image[:, :, first : stop + REACH]))
        inner = [x[:, :, (start - first) >> k : (stop - first) >> k] for k, x in enumerate(levels)]
        where = pad_to_cells(masks[:, :, first : stop + REACH].to(image.device))
        where = where[:, :, start - first : stop - first]
        share = where.sum((2, 3)).unsqueeze(2)
        total = total + share * _measure_grades(inner, where)
        weight = weight + share
    mean: Tensor = total / weight.clamp(min=TINY)
    return mean


def _measure_grades(levels: list[Tensor], masks: Tensor) -> Tensor:
    """Measure grades [N, K, GRADE_NUMBERS] of levels, in regions [N or 1, K, h, w]."""
    each = [
        torch.cat([measure_color_moments(level, mask) for level in levels], 1)
        for mask in masks.split(1, 1)  # type: ignore[no-untyped-call]
    ]
    return torch.stack(each, 1)


def apply_grade(
    image: Tensor, own: Tensor | None, target: Tensor, masks: Tensor | None = None
) -> Tensor:
    """Give pictures other grades; a picture whose grade is the target stays unchanged.

    Args:
        image: [N, 3, H, W], sides multiples of :data:`CELL`.
        own: [N, GRADE_NUMBERS] or [N, K, GRADE_NUMBERS], grade of the whole pictures that these
            are parts of. None: the grade of these pictures, in each region.
        target: [N, K, GRADE_NUMBERS].
        masks: [N or 1, K, H, W], regions with sum 1. None: K is 1.
    """
    levels = build_pyramid(image)
    if own is None and masks is not None:
        own = _measure_grades(levels, masks)
    elif own is None:
        own = torch.cat([measure_color_moments(level) for level in levels], 1)
    if own.dim() == 2:
        own = own[:, None]
    shape = (*target.shape[:2], OCTAVES + 1)
    ridges = own.new_tensor((*(DETAIL_RIDGE,) * OCTAVES, RIDGE)).view(-1, 1, 1)
    matrices, offsets = compute_color_map(
        own.expand_as(target).reshape(-1, COLOR_NUMBERS),
        target.reshape(-1, COLOR_NUMBERS),
        ridges.repeat(shape[0] * shape[1], 1, 1),
    )
    matrices, offsets = matrices.view(*shape, 3, 3), offsets.view(*shape, 3, 1)
    return collapse_pyramid(
        [
            map_level(level, matrices[:, :, k], offsets[:, :, k], masks)
            for k, level in enumerate(levels)
        ]
    )


def map_level(level: Tensor, matrices: Tensor, offsets: Tensor, masks: Tensor | None) -> Tensor:
    """Map the colors of a level with maps [N, K, 3, 3] and [N, K, 3, 1], each in its region."""
    pixels = level.flatten(2)
    if masks is None:
        return torch.baddbmm(offsets[:, 0], matrices[:, 0], pixels).view_as(level)
    regions = F.adaptive_avg_pool2d(masks, (level.shape[2], level.shape[3])).flatten(2)
    mapped = matrices @ pixels[:, None] + offsets
    return (mapped * regions[:, :, None]).sum(1).view_as(level)


def pad_to_cells(image: Tensor) -> Tensor:
    """Pad [N, C, H, W] at the right and bottom to multiples of :data:`CELL` by reflection.

    Rows and columns are selected by index, because runtimes disagree about ONNX's padding if its
    width depends on the size of the picture.
    """
    if not torch.compiler.is_exporting() and not any(side % CELL for side in image.shape[2:]):
        return image
    rows, columns = (_reflect_places(side, image.device) for side in image.shape[2:])
    return image[:, :, rows][..., columns]


def _reflect_places(side: int, device: torch.device) -> Tensor:
    places = torch.arange((side + CELL - 1) // CELL * CELL, device=device)
    return torch.minimum(places, 2 * (side - 1) - places)


def _halve(x: Tensor) -> Tensor:
    """Halve the size with weights 1, 3, 3, 1, the transpose of :func:`_double`.

    Means of 2 x 2 px would depend on the position of their grid, and graded pictures would show
    its squares.
    """
    size = x.shape[2] // 2, x.shape[3] // 2
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


def _double(x: Tensor) -> Tensor:
    size = 2 * x.shape[2], 2 * x.shape[3]
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
