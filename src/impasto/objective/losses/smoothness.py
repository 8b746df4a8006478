"""Smoothness: total variation of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Variation = Literal["l1", "l2"]


def total_variation(image: Tensor, kind: Variation, weight: Tensor | None = None) -> Tensor:
    """Compute the mean absolute (``l1``) or squared (``l2``) difference of adjacent pixels, both
    directions added.

    Args:
        image: [N, C, H, W]; a direction with a single pixel adds 0.
        kind: ``l1`` or ``l2``.
        weight: [H, W] in [0, 1] of the pixels. A difference counts as much as the lesser of its
            two pixels, and the mean is over the weights. None: all count alike.

    Returns:
        A scalar >= 0, independent of the picture's size.
    """
    if weight is not None:
        return _weighted_variation(image, kind, weight)
    height, width = image.shape[-2:]
    return partial_variation(image, height, width, kind, image.shape)


def _weighted_variation(image: Tensor, kind: Variation, weight: Tensor) -> Tensor:
    total = image.new_zeros(())
    for dimension in (-2, -1):
        difference = image.diff(dim=dimension)
        size = difference.abs() if kind == "l1" else difference.square()
        length = weight.shape[dimension] - 1
        lesser = torch.minimum(
            weight.narrow(dimension, 0, length), weight.narrow(dimension, 1, length)
        ).to(size)
        total = total + (size.mean((0, 1)) * lesser).sum() / lesser.sum().clamp(min=1e-12)
    return total


def partial_variation(
    image: Tensor, rows: int, columns: int, kind: Variation, whole: Sequence[int]
) -> Tensor:
    """Compute what the differences that begin in a part of a picture add to its total variation.

    Args:
        image: [N, C, h, w], the part, with one more row and column where the picture continues.
        rows, columns: size of the part without these.
        kind: as in :func:`total_variation`.
        whole: shape of the whole picture.
    """
    batch, channels, height, width = whole
    below = image[..., 1 : rows + 1, :columns]
    right = image[..., :rows, 1 : columns + 1]
    total = image.new_zeros(())
    for difference, count in (
        (below - image[..., : below.shape[-2], :columns], (height - 1) * width),
        (right - image[..., :rows, : right.shape[-1]], height * (width - 1)),
    ):
        if difference.numel():
            size = difference.abs() if kind == "l1" else difference.square()
            total = total + size.sum() / (batch * channels * count)
    return total
