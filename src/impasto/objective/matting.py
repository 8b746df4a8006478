"""Photorealism: how far a picture is from a photo recoloured, patch by patch, by affine maps.

Luan, Paris, Shechtman and Bala, "Deep Photo Style Transfer" (arXiv:1703.07511) hold a picture to
the photo's matting Laplacian (Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image
Matting", 2008). Its quadratic form is a sum over windows of what the best affine map of the photo's
colours leaves unexplained, which needs no matrix of the picture's size.
"""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 3
"""Pixels a side."""
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
    values, colors = _windows(image), _windows(photo)
    with torch.no_grad():
        # The energy is a minimum over the maps: its gradient passes by them.
        maps = _affine_maps(values, colors, epsilon)
    rest = values - torch.einsum("pcd,pdn->pcn", maps, colors)
    return rest.square().sum() + epsilon * maps.square().sum()


def matting_loss(image: Tensor, photo: Tensor) -> Tensor:
    """The energy of a picture a pixel, a scalar >= 0; arguments as above."""
    return matting_energy(image, photo) / (image.shape[2] * image.shape[3])


def _windows(image: Tensor) -> Tensor:
    """[P, C, 9]: the pixels of every window, less their mean."""
    tall = image[0].unfold(1, WINDOW, 1).unfold(2, WINDOW, 1)
    pixels = tall.permute(1, 2, 0, 3, 4).reshape(-1, image.shape[1], WINDOW**2)
    return pixels - pixels.mean(2, keepdim=True)


def _affine_maps(values: Tensor, colors: Tensor, epsilon: float) -> Tensor:
    """[P, C, 3]: those that explain the values [P, C, 9] by colours [P, 3, 9] best."""
    narrow = colors.device.type == "mps"  # has no float64
    wide = colors if narrow else colors.double()
    spread = wide @ wide.mT + epsilon * torch.eye(3, dtype=wide.dtype, device=wide.device)
    shared = values.to(wide.dtype) @ wide.mT
    first, second, third = spread.unbind(1)
    cofactors = torch.stack(
        [
            torch.linalg.cross(second, third),
            torch.linalg.cross(third, first),
            torch.linalg.cross(first, second),
        ],
        1,
    )
    determinant = (first * cofactors[:, 0]).sum(1)
    return (shared @ cofactors / determinant[:, None, None]).to(values.dtype)
