"""Blur tensors with a Gaussian."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def blur(image: Tensor, sigma: float) -> Tensor:
    """Blur [N, C, H, W] by a Gaussian that is cut at 3 sigma; borders are reflected."""
    channels = image.shape[1]
    for dimension in (2, 3):
        radius = min(round(3 * sigma), image.shape[dimension] - 1)
        offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
        kernel = torch.exp(-offsets.square() / (2 * sigma**2))
        kernel = kernel / kernel.sum()
        kernel = kernel.view(1, 1, -1, 1).expand(channels, -1, -1, -1)
        padding = (0, 0, radius, radius)
        if dimension == 3:
            kernel, padding = kernel.transpose(2, 3), (radius, radius, 0, 0)
        image = F.conv2d(F.pad(image, padding, mode="reflect"), kernel, groups=channels)
    return image
