"""A picture as a Laplacian pyramid, a canvas whose coefficients are structure of every size.

Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code" (1983). A step along a coefficient
of a coarse level moves a whole patch of the picture, so that colors and large shapes come as fast
as detail; STROTSS and NNST optimize such coefficients for that reason. Every operation here has a
deterministic gradient on every device, which ``interpolate`` and padding by replication have not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (0.25, 0.75, 0.75, 0.25)
"""Of bilinear interpolation to twice the size."""


def decompose(image: Tensor, levels: int) -> list[Tensor]:
    """The pyramid of a picture: finest first, the last is what remains at the coarsest size.

    Args:
        image: [N, C, H, W], any size and floating dtype.
        levels: how often it is halved, at most; fewer where a side would be halved to nothing.

    Returns:
        Tensors [N, C, h, w], each of half the size of the one before, rounded up.
    """
    bands: list[Tensor] = []
    while len(bands) < levels and min(image.shape[-2:]) > 1:
        coarse = F.avg_pool2d(image, 2, ceil_mode=True)
        bands.append(image - doubled(coarse, *image.shape[-2:]))
        image = coarse
    return [*bands, image]


def compose(pyramid: Sequence[Tensor]) -> Tensor:
    """The picture of a pyramid: the inverse of :func:`decompose`, linear and differentiable."""
    image = pyramid[-1]
    for band in reversed(pyramid[:-1]):
        image = band + doubled(image, *band.shape[-2:])
    return image


def slopes(pyramid: Sequence[Tensor], gradient: Tensor) -> list[Tensor]:
    """The gradient in the pyramid's coefficients: the adjoint of :func:`compose`.

    Args:
        pyramid: whose shapes count.
        gradient: [N, C, H, W], in the pixels.
    """
    leaves = [band.detach().requires_grad_() for band in pyramid]
    return list(torch.autograd.grad(compose(leaves), leaves, gradient))


def doubled(image: Tensor, height: int, width: int) -> Tensor:
    """[N, C, h, w] at twice the size, bilinear, cut to the odd size that was halved to it."""
    channels = image.shape[1]
    image = torch.cat([image[..., :1, :], image, image[..., -1:, :]], -2)
    image = torch.cat([image[..., :1], image, image[..., -1:]], -1)
    taps = image.new_tensor(TAPS)
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    # The border that was added lies one cell out, and so two pixels.
    large = F.conv_transpose2d(image, kernel, stride=2, padding=3, groups=channels)
    return large[..., :height, :width]
