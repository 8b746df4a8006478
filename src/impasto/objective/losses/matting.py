"""Photorealism: how far a picture is from a photo recolored, patch by patch, by affine maps.

Luan, Paris, Shechtman and Bala, "Deep Photo Style Transfer" (arXiv:1703.07511) hold a picture to
the photo's matting Laplacian (Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image
Matting", 2008). Its quadratic form is a sum over windows of what the best affine map of the photo's
colors leaves unexplained, which box filters give and no matrix of the picture's size is needed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 3
"""Pixels a side."""
PIXELS = WINDOW**2
EPSILON = 1e-5
"""Levin's, for pictures in [0, 1]: how much a steep map costs."""


def matting_energy(image: Tensor, photo: Tensor, epsilon: float = EPSILON) -> Tensor:
    """``sum over channels c of V_c^T L V_c``, with L the matting Laplacian of the photo.

    Args:
        image: [1, C, H, W], V; sides of 3 px and more have windows.
        photo: [1, 3, H, W] RGB in [0, 1], of the same dtype; float32 is solved in float64.
        epsilon: above 0.

    Returns:
        A scalar >= 0 of the image's dtype, differentiable in it: a sum over windows, so that parts
        of a picture that share none add up.
    """
    if min(image.shape[-2:]) < WINDOW:
        return image.new_zeros(())
    # Differences of nearly equal means, which float32 would lose; MPS has nothing wider.
    wide = torch.float32 if image.device.type == "mps" else torch.float64
    values, colors = (_centered(each[0].to(wide)) for each in (image, photo))
    shared = _covariance(values[:, None], colors[None])
    with torch.no_grad():
        # The energy is a minimum over the maps: its gradient passes by them.
        spread = _covariance(colors[:, None], colors[None])
        spread += epsilon / PIXELS * torch.eye(3, dtype=wide, device=image.device)[..., None, None]
        maps = _solved(spread, shared)
        mapped = torch.einsum("cdhw,dehw,cehw->", maps, spread, maps)
    varying = (_mean(values.square()) - _mean(values).square()).sum()
    return (PIXELS * (varying - 2 * (maps * shared).sum() + mapped)).to(image.dtype)


def matting_loss(image: Tensor, photo: Tensor) -> Tensor:
    """The energy of a picture a pixel, a scalar >= 0; arguments as above."""
    return matting_energy(image, photo) / (image.shape[2] * image.shape[3])


def _mean(planes: Tensor) -> Tensor:
    """[..., H - 2, W - 2]: of every window."""
    return F.avg_pool2d(planes, WINDOW, stride=1)


def _covariance(one: Tensor, other: Tensor) -> Tensor:
    """[C, D, H - 2, W - 2] of [C, 1, H, W] and [1, D, H, W] in every window."""
    return _mean(one * other) - _mean(one) * _mean(other)


def _centered(planes: Tensor) -> Tensor:
    """Less their mean over the picture, which no window minds."""
    return planes - planes.detach().mean((1, 2), keepdim=True)


def _solved(spread: Tensor, shared: Tensor) -> Tensor:
    """[C, 3, ...]: the maps ``a`` with ``a spread = shared``, spread [3, 3, ...] symmetric."""
    first, second, third = spread.unbind(0)
    cofactors = torch.stack(
        [
            torch.linalg.cross(second, third, dim=0),
            torch.linalg.cross(third, first, dim=0),
            torch.linalg.cross(first, second, dim=0),
        ]
    )
    determinant = (first * cofactors[0]).sum(0)
    return torch.einsum("cdhw,dehw->cehw", shared, cofactors) / determinant
