"""A first guess of the inverse Hessian that trusts coarse structure more than single pixels.

Natural pictures, and what style losses ask of them, vary mostly at low frequencies, while a
network's gradient is full of its own pooling grid. Solving in the coefficients of a pyramid, as
STROTSS does, amounts to multiplying gradients by the pyramid times its transpose: a sum of blurs
with growing gain. Used as L-BFGS's initial matrix it needs no pyramid and no other canvas.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def emphasise_coarse(gradient: Tensor, octaves: int) -> Tensor:
    """``g + sum over k of 2**k * blur(g, sigma = 2**(k-1))`` for k = 1 to ``octaves``.

    Linear; symmetric and positive definite away from the border.

    Args:
        gradient: [N, C, H, W].
        octaves: 0 leaves the gradient as it is.
    """
    result = gradient
    for octave in range(1, octaves + 1):
        result = result + 2.0**octave * blur(gradient, 2.0 ** (octave - 1))
    return result


def reach(octaves: int) -> int:
    """How far, in pixels, :func:`emphasise_coarse` looks in each direction."""
    return round(3 * 2.0 ** (octaves - 1)) if octaves else 0


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [N, C, H, W], reflected at the border, cut at 3 sigma or the picture."""
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
