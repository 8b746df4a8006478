"""A canvas with three views, for tests of canvases and of runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from impasto.canvas.view import COLORS, Bounds, Parameters, View


class Triptych:
    """A texture [1, 3, H, W] with three views: all of it, its mirrored left half, and a small one
    that counts only in a disk.
    """

    def make_parameters(self, image: torch.Tensor) -> Parameters:
        return [image]

    def make_views(self, image: torch.Tensor) -> Sequence[View]:
        height, width = image.shape[2:]
        mirrored = image[..., : width // 2].flip(-1)
        return [View(image), View(mirrored), View(F.avg_pool2d(image, 2), disk(height, width))]

    def render(self, parameters: Sequence[torch.Tensor]) -> Sequence[View]:
        return self.make_views(parameters[0])

    def pull_back(
        self, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]
    ) -> Parameters:
        leaf = parameters[0].detach().requires_grad_()
        images = [view.image for view in self.render([leaf])]
        return list(torch.autograd.grad(images, leaf, list(gradients)))

    def list_bounds(self, parameters: Sequence[torch.Tensor]) -> Sequence[Bounds]:
        return [COLORS] * len(parameters)

    def mark_images(self, parameters: Sequence[torch.Tensor]) -> Sequence[bool]:
        return [True] * len(parameters)

    def project(self, parameters: Parameters) -> None:
        parameters[0].clamp_(0, 1)

    def show(self, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
        return parameters[0]

    def adapt(self, tensors: Sequence[torch.Tensor], factor: float) -> Parameters:
        return [factor * F.interpolate(each, scale_factor=2) for each in tensors]


def disk(height: int, width: int) -> torch.Tensor:
    """The weight map [H/2, W/2] of the small view."""
    down, across = torch.arange(height // 2)[:, None], torch.arange(width // 2)
    radius = min(height, width) / 2 * 0.4
    inside = (down - height / 4).square() + (across - width / 4).square() < radius**2
    return inside.double()
