"""Define the canvas of pictures: its parameters are the pixels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impasto.canvas.view import COLORS, Bounds, Parameters, View
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import resize_tensor_rows


class PixelCanvas:
    """A picture whose pixels are optimized within [0, 1]."""

    def __init__(self, width: int, height: int, storage: Storage) -> None:
        """Make a canvas of a size in pixels.

        Args:
            width, height: size of the picture in pixels.
            storage: holds its parameters.
        """
        self._size = height, width
        self._storage = storage

    def make_parameters(self, image: Tensor) -> Parameters:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [image]

    def make_views(self, image: Tensor) -> Sequence[View]:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [View(image)]

    def render(self, parameters: Sequence[Tensor]) -> Sequence[View]:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [View(parameters[0])]

    def pull_back(
        self,
        parameters: Sequence[Tensor],  # noqa: ARG002
        gradients: Sequence[Tensor],
    ) -> Parameters:
        """See :class:`impasto.canvas.view.Canvas`."""
        return list(gradients)

    def list_bounds(self, parameters: Sequence[Tensor]) -> Sequence[Bounds]:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [COLORS] * len(parameters)

    def mark_images(self, parameters: Sequence[Tensor]) -> Sequence[bool]:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [True] * len(parameters)

    def project(self, parameters: Parameters) -> None:
        """See :class:`impasto.canvas.view.Canvas`."""
        (image,) = parameters
        for rows in self._storage.split_rows(image):
            image[..., rows, :].clamp_(COLORS.lower, COLORS.upper)

    def show(self, parameters: Sequence[Tensor]) -> Tensor:
        """See :class:`impasto.canvas.view.Canvas`."""
        return parameters[0]

    def adapt(self, tensors: Sequence[Tensor], factor: float) -> Parameters:
        """See :class:`impasto.canvas.view.Canvas`."""
        return [self._resize(each.cpu(), factor) for each in tensors]

    def _resize(self, field: Tensor, factor: float) -> Tensor:
        height, width = self._size
        result = self._storage.empty(*field.shape[:2], height, width)
        for rows in self._storage.split_rows(result):
            result[..., rows, :] = resize_tensor_rows(field, width, height, rows) * factor
        return result
