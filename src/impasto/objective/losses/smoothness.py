"""Smoothness: total variation of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Variation = Literal["l1", "l2"]


def count_differences(shape: Sequence[int], weight: Tensor | None = None) -> tuple[float, float]:
    """Count the numbers that differ between adjacent rows, and between adjacent columns.

    Args:
        shape: shape [N, C, H, W] of the whole picture.
        weight: [H, W] of the pixels; see :func:`total_variation`. None: all weights are 1.

    Returns:
        The sum of the weights of all differences, in both directions.
    """
    batch, channels, height, width = shape
    planes = batch * channels
    if weight is None:
        return planes * (height - 1) * width, planes * height * (width - 1)
    below, right = (float(each.cpu().double().sum()) for each in _weigh_differences(weight))
    return planes * below, planes * right


def _weigh_differences(weight: Tensor) -> tuple[Tensor, Tensor]:
    return torch.minimum(weight[1:], weight[:-1]), torch.minimum(weight[:, 1:], weight[:, :-1])


def total_variation(
    image: Tensor,
    kind: Variation,
    weight: Tensor | None = None,
    *,
    core: tuple[int, int] | None = None,
    counts: tuple[float, float] | None = None,
) -> Tensor:
    """Compute the mean absolute (``l1``) or squared (``l2``) difference of adjacent pixels, both
    directions added.

    Args:
        image: [N, C, H, W]; a direction with a single pixel adds 0. Or a part of a picture, with
            one more row and column where the picture continues: the result is what the
            differences that begin in the part add to the variation of the picture.
        kind: ``l1`` or ``l2``.
        weight: [H, W] in [0, 1] of the pixels. A difference counts as much as the lesser of its
            two pixels, and the mean is over the weights. None: all count alike.
        core: rows and columns of the part without the additional ones. None: the image is whole.
        counts: what :func:`count_differences` returns for the whole picture. None: for the image.

    Returns:
        A scalar >= 0, independent of the picture's size.
    """
    rows, columns = core or image.shape[-2:]
    counts = counts or count_differences(image.shape, weight)
    below = image[..., 1 : rows + 1, :columns]
    right = image[..., :rows, 1 : columns + 1]
    differences = (
        below - image[..., : below.shape[-2], :columns],
        right - image[..., :rows, : right.shape[-1]],
    )
    weights: tuple[Tensor | None, Tensor | None] = (None, None)
    if weight is not None:
        lesser = _weigh_differences(weight)
        weights = lesser[0][:rows, :columns], lesser[1][:rows, :columns]
    total = image.new_zeros(())
    for difference, count, each in zip(differences, counts, weights, strict=True):
        if difference.numel() and count:
            size = difference.abs() if kind == "l1" else difference.square()
            total = total + (size if each is None else size * each.to(size)).sum() / count
    return total
