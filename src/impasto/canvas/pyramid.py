"""Define the canvas of a Laplacian pyramid: its parameters are the coefficients.

Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code" (1983). A step along a coefficient
of a coarse level moves a whole patch of the picture, so that colors and large shapes change as fast
as detail. STROTSS and NNST optimize such coefficients for that reason. Every operation here has a
deterministic gradient on every device, unlike ``interpolate`` and padding by replication.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.canvas.view import COLORS, Bounds, Parameters, View

TAPS = (0.25, 0.75, 0.75, 0.25)
"""Weights of bilinear interpolation to twice the size."""


def decompose(image: Tensor, levels: int) -> list[Tensor]:
    """Decompose a picture into its pyramid, finest level first; the last level is the remainder.

    Args:
        image: [N, C, H, W], any size and floating dtype.
        levels: how often it is halved at most; fewer where a side would vanish.

    Returns:
        Tensors [N, C, h, w], each half the size of the previous one, rounded up.
    """
    bands: list[Tensor] = []
    while len(bands) < levels and min(image.shape[-2:]) > 1:
        coarse = F.avg_pool2d(image, 2, ceil_mode=True)
        bands.append(image - double(coarse, *image.shape[-2:]))
        image = coarse
    return [*bands, image]


def compose(pyramid: Sequence[Tensor]) -> Tensor:
    """Compose the picture of a pyramid: the linear inverse of :func:`decompose`."""
    image = pyramid[-1]
    for band in reversed(pyramid[:-1]):
        image = band + double(image, *band.shape[-2:])
    return image


def pull_back(pyramid: Sequence[Tensor], gradient: Tensor) -> list[Tensor]:
    """Return the gradient in the coefficients: the adjoint of :func:`compose`.

    Args:
        pyramid: only its shapes matter.
        gradient: [N, C, H, W], in the pixels.
    """
    leaves = [band.detach().requires_grad_() for band in pyramid]
    return list(torch.autograd.grad(compose(leaves), leaves, gradient))


def double(image: Tensor, height: int, width: int) -> Tensor:
    """Double the size of [N, C, h, w] bilinearly, and cut it to a height and a width."""
    channels = image.shape[1]
    image = torch.cat([image[..., :1, :], image, image[..., -1:, :]], -2)
    image = torch.cat([image[..., :1], image, image[..., -1:]], -1)
    taps = image.new_tensor(TAPS)
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    # The border that was added is one cell wide, which is two pixels.
    large = F.conv_transpose2d(image, kernel, stride=2, padding=3, groups=channels)
    return large[..., :height, :width]


class PyramidCanvas:
    """A picture whose pyramid is optimized. Its pixels stay within [0, 1]."""

    def __init__(self, levels: int) -> None:
        """Make a canvas whose pyramid has at most some levels; see :func:`decompose`."""
        self._levels = levels

    def make_parameters(self, image: Tensor) -> Parameters:
        """See :class:`impasto.canvas.view.Canvas`."""
        return decompose(image, self._levels)

    def make_views(self, image: Tensor) -> Sequence[View]:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [View(image)]

    def render(self, parameters: Sequence[Tensor]) -> Sequence[View]:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [View(self.show(parameters))]

    def pull_back(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Parameters:
        """See :class:`impasto.canvas.view.Canvas`.

        A pixel at 0 or 1 whose gradient pushes outward cannot move. Its gradient counts as 0, so
        that it does not move the coarse coefficients that it shares with other pixels.
        """
        image, gradient = self.show(parameters), gradients[0]
        gradient = gradient.to(image.device)
        outward = COLORS.find_held(image, gradient)
        return pull_back(parameters, gradient.masked_fill(outward, 0))

    def list_bounds(self, parameters: Sequence[Tensor]) -> Sequence[Bounds]:
        """See :class:`impasto.canvas.view.Canvas`; coefficients are unbounded."""
        return [Bounds()] * len(parameters)

    def mark_images(self, parameters: Sequence[Tensor]) -> Sequence[bool]:
        """See :class:`impasto.canvas.view.Canvas`; each level is an image."""
        return [True] * len(parameters)

    def project(self, parameters: Parameters) -> None:
        """See :class:`impasto.canvas.view.Canvas`.

        The finest level, where each pixel has a coefficient, is corrected by what exceeds [0, 1].
        """
        image = compose(parameters)
        parameters[0].add_(image.clamp(0, 1) - image)

    def show(self, parameters: Sequence[Tensor]) -> Tensor:
        """See :class:`impasto.canvas.view.Canvas`."""
        return compose(parameters).clamp_(0, 1)

    def adapt(
        self,
        tensors: Sequence[Tensor],  # noqa: ARG002
        factor: float,  # noqa: ARG002
    ) -> Parameters:
        """Raise ValueError: a pyramid cannot use coefficients of another size."""
        raise ValueError("a pyramid cannot inherit the state of a coarser one")
