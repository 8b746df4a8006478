"""Photorealism: how far a picture is from the photo recolored by local affine maps.

Luan, Paris, Shechtman and Bala, "Deep Photo Style Transfer" (arXiv:1703.07511) hold a picture to
the photo's matting Laplacian (Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image
Matting", 2008). Its quadratic form is a sum, over windows, of what the best affine map of the
photo's colors leaves unexplained. Box filters compute it, without a matrix of the picture's size.
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
    """Compute ``sum over channels c of V_c^T L V_c``, with L the matting Laplacian of the photo.

    Args:
        image: [1, C, H, W], V; sides below 3 px have no windows.
        photo: [1, 3, H, W] RGB in [0, 1], of the same dtype; float32 is computed in float64.
        epsilon: above 0.

    Returns:
        A scalar >= 0 of the image's dtype, differentiable in it. It is a sum over windows, so that
        the energies of parts that share no window add up.
    """
    if min(image.shape[-2:]) < WINDOW:
        return image.new_zeros(())
    # Float32 would lose differences of nearly equal means; MPS has nothing wider.
    wide = torch.float32 if image.device.type == "mps" else torch.float64
    values, colors = (_center(each[0].to(wide)) for each in (image, photo))
    shared = _covariance(values[:, None], colors[None])
    with torch.no_grad():
        # The energy is a minimum over the maps, so its gradient in the maps is zero.
        spread = _covariance(colors[:, None], colors[None])
        spread += epsilon / PIXELS * torch.eye(3, dtype=wide, device=image.device)[..., None, None]
        maps = _solve(spread, shared)
        mapped = torch.einsum("cdhw,dehw,cehw->", maps, spread, maps)
    varying = (_average(values.square()) - _average(values).square()).sum()
    return (PIXELS * (varying - 2 * (maps * shared).sum() + mapped)).to(image.dtype)


def _average(planes: Tensor) -> Tensor:
    """Return the mean of every window, [..., H - 2, W - 2]."""
    return F.avg_pool2d(planes, WINDOW, stride=1)


def _covariance(one: Tensor, other: Tensor) -> Tensor:
    """Return the covariance [C, D, H - 2, W - 2] of [C, 1, H, W] and [1, D, H, W] by window."""
    return _average(one * other) - _average(one) * _average(other)


def _center(planes: Tensor) -> Tensor:
    """Subtract the mean over the picture, which changes no covariance."""
    return planes - planes.detach().mean((1, 2), keepdim=True)


def _solve(spread: Tensor, shared: Tensor) -> Tensor:
    """Solve ``a spread = shared`` for the maps a, [C, 3, ...]; spread [3, 3, ...] is symmetric."""
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
