"""Color and contrast of every octave, in closed form: nothing to be learned.

A picture is taken apart into a Laplacian pyramid (Burt and Adelson 1983), and each of its levels
gets, by a Monge-Kantorovich map, the mean and covariance that it has in a painting. So hatching and
large patches are as strong as the painting's, in its colors, wherever they come from; and the
network is left to say where they go.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.color_map import (
    COLOR_NUMBERS,
    RIDGE,
    TINY,
    color_map,
    color_moments,
    mean_and_covariance,
)

OCTAVES = 4
"""Levels of detail, above the rest at a sixteenth of the size."""
CELL = 2**OCTAVES
"""Sides of what is graded are multiples of it; others are padded by reflection."""
GRADE_NUMBERS = (OCTAVES + 1) * COLOR_NUMBERS
"""Of a picture's grade: color moments of the levels, finest first."""
GRADED = "1331"
"""Which pyramid: part of the names of files that keep grades."""
SEEN = 4 * CELL
"""Pixels beyond a part of a picture that reach into its levels, and more."""
DETAIL_RIDGE = 1e-4
"""Added to the variances of detail, 0.01 in RGB: a photo's noise is not blown up to strokes."""


def pyramid(image: Tensor) -> list[Tensor]:
    """[N, 3, H, W], sides multiples of :data:`CELL`, as levels [N, 3, h, w], finest first."""
    levels = []
    for _ in range(OCTAVES):
        coarse = _halved(image)
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


def possible_grade(grades: Tensor) -> Tensor:
    """The nearest grades [N, GRADE_NUMBERS] that pictures can have: covariances are not negative,
    which those of codes beyond a painting's may be."""
    mean, covariance = mean_and_covariance(grades.reshape(-1, COLOR_NUMBERS))
    values, axes = torch.linalg.eigh(covariance)
    covariance = axes @ torch.diag_embed(values.clamp(min=0)) @ axes.transpose(1, 2)
    second = covariance + mean @ mean.transpose(1, 2)
    return torch.cat([mean.flatten(1), second.flatten(1)], 1).view_as(grades)


def grades_in_strips(image: Tensor, rows: int, masks: Tensor | None = None) -> Tensor:
    """As :func:`grade` where each of some masks is, looking at so many rows at a time.

    Args:
        image: [N, 3, H, W].
        rows: a multiple of :data:`CELL`.
        masks: [N or 1, K, H, W] >= 0; none: one, of all places alike.

    Returns:
        [N, K, GRADE_NUMBERS].
    """
    if masks is None:
        masks = image.new_ones(1, 1, 1, 1).expand(1, 1, *image.shape[2:])
    total = torch.zeros((), device=image.device)
    weight = total
    for start in range(0, image.shape[2], rows):
        first, stop = max(0, start - SEEN), start + rows
        levels = pyramid(padded(image[:, :, first : stop + SEEN]))
        inner = [x[:, :, (start - first) >> k : (stop - first) >> k] for k, x in enumerate(levels)]
        where = padded(masks[:, :, first : stop + SEEN].to(image.device))
        where = where[:, :, start - first : stop - first]
        share = where.sum((2, 3)).unsqueeze(2)
        total = total + share * _grades(inner, where)
        weight = weight + share
    mean: Tensor = total / weight.clamp(min=TINY)
    return mean


def _grades(levels: list[Tensor], masks: Tensor) -> Tensor:
    """[N, K, GRADE_NUMBERS] of levels, where each of masks [N or 1, K, h, w] is."""
    each = [
        torch.cat([color_moments(level, mask) for level in levels], 1)
        for mask in masks.split(1, 1)  # type: ignore[no-untyped-call]
    ]
    return torch.stack(each, 1)


def graded(
    image: Tensor, own: Tensor | None, wanted: Tensor, masks: Tensor | None = None
) -> Tensor:
    """Pictures with the grades that are wanted; as they are where those are their own.

    Args:
        image: [N, 3, H, W], sides multiples of :data:`CELL`.
        own: [N, GRADE_NUMBERS] or [N, K, GRADE_NUMBERS], of what they are parts of; none: of the
            pictures, where each of the masks is, so that a part of one has all of its style.
        wanted: [N, K, GRADE_NUMBERS].
        masks: [N, K, H, W], where each of them is, adding up to 1; none: K is 1.
    """
    levels = pyramid(image)
    if own is None and masks is not None:
        own = _grades(levels, masks)
    elif own is None:
        own = torch.cat([color_moments(level) for level in levels], 1)
    if own.dim() == 2:
        own = own[:, None]
    shape = (*wanted.shape[:2], OCTAVES + 1)
    ridges = own.new_tensor((*(DETAIL_RIDGE,) * OCTAVES, RIDGE)).view(-1, 1, 1)
    matrices, offsets = color_map(
        own.expand_as(wanted).reshape(-1, COLOR_NUMBERS),
        wanted.reshape(-1, COLOR_NUMBERS),
        ridges.repeat(shape[0] * shape[1], 1, 1),
    )
    matrices, offsets = matrices.view(*shape, 3, 3), offsets.view(*shape, 3, 1)
    return collapsed(
        [
            _mapped(level, matrices[:, :, k], offsets[:, :, k], masks)
            for k, level in enumerate(levels)
        ]
    )


def _mapped(level: Tensor, matrices: Tensor, offsets: Tensor, masks: Tensor | None) -> Tensor:
    """A level by the maps [N, K, 3, 3] and [N, K, 3, 1], each in its place."""
    pixels = level.flatten(2)
    if masks is None:
        return torch.baddbmm(offsets[:, 0], matrices[:, 0], pixels).view_as(level)
    where = F.adaptive_avg_pool2d(masks, (level.shape[2], level.shape[3])).flatten(2)
    mapped = matrices @ pixels[:, None] + offsets
    return (mapped * where[:, :, None]).sum(1).view_as(level)


def padded(image: Tensor) -> Tensor:
    """Reflected at the lower right up to multiples of :data:`CELL`, by indices: what ONNX makes of
    a padding whose width depends on the size is not the same everywhere."""
    if not torch.compiler.is_exporting() and not any(side % CELL for side in image.shape[2:]):
        return image
    rows, columns = (_reflected(side, image.device) for side in image.shape[2:])
    return image[:, :, rows][..., columns]


def _reflected(side: int, device: torch.device) -> Tensor:
    places = torch.arange((side + CELL - 1) // CELL * CELL, device=device)
    return torch.minimum(places, 2 * (side - 1) - places)


def _halved(x: Tensor) -> Tensor:
    """Half the size, by weights 1, 3, 3, 1: those by which :func:`_doubled` doubles it. Levels of
    means of 2 x 2 px depend on where their grid lies, and what is graded shows its squares."""
    size = x.shape[2] // 2, x.shape[3] // 2
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)


def _doubled(x: Tensor) -> Tensor:
    size = 2 * x.shape[2], 2 * x.shape[3]
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
