"""Define the canvas of splats: its parameters are colors, its views are cameras.

The image of this canvas is the table of its colors, [1, 3, 1, N]: one pixel for each Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from impasto.canvas.view import COLORS, Bounds, Parameters, View
from impasto.scene.splats import Array

VISIBLE = 1 / 255
"""Least weight of a pixel that counts."""


@dataclass(frozen=True)
class SplatView:
    """What a camera shows of some splats: a linear function of their colors.

    Attributes:
        matrix: [H * W, N], how much of each Gaussian every pixel shows.
        alpha: [H, W] in [0, 1], the sums of its rows.
        weight: [H, W] in [0, 1], how much each pixel counts.
        offset: [H, W, 3], added to the picture: what is lit from one side only. None: nothing.
    """

    matrix: csr_matrix
    alpha: Array
    weight: Array
    offset: Array | None = None

    @classmethod
    def make(cls, matrix: csr_matrix, width: int, mask: Array | None = None) -> SplatView:
        """Make a view of a camera's matrix.

        Args:
            matrix: [H * W, N].
            width: width of the picture in pixels.
            mask: [N] in [0, 1], how much each Gaussian counts. None: all do.
        """
        alpha = (matrix @ np.ones(matrix.shape[1], np.float32)).reshape(-1, width)
        alpha = alpha.clip(0, 1)
        weight = alpha if mask is None else (matrix @ mask).reshape(-1, width).clip(0, 1)
        return cls(matrix, alpha, weight)

    def crop(self, margin: int, cell: int, least: int) -> SplatView:
        """Return what the camera shows within the box of everything that counts.

        Args:
            margin: pixels around it.
            cell: the sides of the box are multiples of it, where the picture is large enough.
            least: shortest side of the box in pixels, where the picture is large enough.
        """
        boxes = []
        for axis, size in ((1, self.alpha.shape[0]), (0, self.alpha.shape[1])):
            places = np.flatnonzero((self.weight > VISIBLE).any(axis))
            first, last = (places[0], places[-1]) if len(places) else (size // 2, size // 2)
            side = max(least, int(last - first) + 1 + 2 * margin)
            side = min(size, -(-side // cell) * cell)
            begin = min(max(0, int(first + last + 1 - side) // 2), size - side)
            boxes.append(slice(begin, begin + side))
        rows, columns = boxes
        pixels = np.arange(self.alpha.size).reshape(self.alpha.shape)[rows, columns].ravel()
        offset = None if self.offset is None else self.offset[rows, columns]
        alpha, weight = (np.array(each[rows, columns]) for each in (self.alpha, self.weight))
        return SplatView(self.matrix[pixels], alpha, weight, offset)

    def render(self, colors: Array, background: Array) -> Array:
        """Render colors [N, C] over a background [C], as [H, W, C]."""
        height, width = self.alpha.shape
        image = np.asarray(self.matrix @ colors, np.float32).reshape(height, width, -1)
        if self.offset is not None and image.shape[2] == 3:
            image = image + self.offset
        rendered: Array = image + (1 - self.alpha)[..., None] * background
        return rendered

    def pull_back(self, gradient: Array) -> Array:
        """Return the gradient [N, C] in the colors, given that in the image, [H, W, C]."""
        flat = np.ascontiguousarray(gradient.reshape(-1, gradient.shape[2]))
        pulled: Array = np.asarray(self.matrix.T @ flat, np.float32)
        return pulled


class SplatCanvas:
    """Splats whose colors are optimized within [0, 1]; see :class:`impasto.canvas.view.Canvas`."""

    def __init__(
        self, views: Sequence[SplatView], background: Array, mask: Array | None = None
    ) -> None:
        """Make a canvas.

        Args:
            views: what each camera shows.
            background: [3] RGB, what is behind the scene.
            mask: [N] in [0, 1], how much each Gaussian may change. None: all may.
        """
        self._views = views
        self._background = background
        self._mask = None if mask is None else torch.from_numpy(mask)[:, None]

    def make_parameters(self, image: Tensor) -> Parameters:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [image[0, :, 0].T.contiguous()]

    def make_views(self, image: Tensor) -> Sequence[View]:
        """See :class:`impasto.canvas.view.Canvas`."""
        return self.render([image[0, :, 0].T])

    def render(self, parameters: Sequence[Tensor]) -> Sequence[View]:
        """See :class:`impasto.canvas.view.Canvas`."""
        colors = np.ascontiguousarray(parameters[0].cpu().numpy())
        behind = self._background if colors.shape[1] == 3 else np.zeros(1, np.float32)
        return [
            View(
                _to_tensor(view.render(colors, behind)).clamp_(0, 1),
                torch.from_numpy(view.weight),
            )
            for view in self._views
        ]

    def pull_back(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Parameters:
        """See :class:`impasto.canvas.view.Canvas`."""
        total = np.zeros(parameters[0].shape, np.float32)
        for view, gradient in zip(self._views, gradients, strict=True):
            total += view.pull_back(gradient[0].permute(1, 2, 0).float().cpu().numpy())
        pulled = torch.from_numpy(total)
        return [pulled if self._mask is None else pulled * self._mask]

    def list_bounds(self, parameters: Sequence[Tensor]) -> Sequence[Bounds]:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [COLORS] * len(parameters)

    def mark_images(self, parameters: Sequence[Tensor]) -> Sequence[bool]:
        """See :class:`impasto.canvas.view.Canvas`; colors of splats have no neighbors."""
        return [False] * len(parameters)

    def project(self, parameters: Parameters) -> None:
        """See :class:`impasto.canvas.view.Canvas`."""
        parameters[0].clamp_(COLORS.lower, COLORS.upper)

    def show(self, parameters: Sequence[Tensor]) -> Tensor:
        """See :class:`impasto.canvas.view.Canvas`."""
        return parameters[0].T[None, :, None].contiguous()

    def adapt(self, tensors: Sequence[Tensor], factor: float) -> Parameters:
        """See :class:`impasto.canvas.view.Canvas`; cameras change, the colors do not."""
        return [each * factor for each in tensors]


def _to_tensor(pixels: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
