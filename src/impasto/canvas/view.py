"""Define canvases and their views.

A canvas is a set of parameters and a differentiable map to one or more views. The objective sees
only views; solvers move only parameters. The parameters are arguments of every method, since
solvers hold several sets of them: trial steps, averages, the best so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

Parameters = list[Tensor]
"""Tensors of at least two dimensions; solvers process them in bands of rows."""


@dataclass(frozen=True)
class Bounds:
    """The range of the numbers of a parameter, both ends included; unbounded by default."""

    lower: float = -math.inf
    upper: float = math.inf

    def find_held(self, values: Tensor, gradient: Tensor) -> Tensor:
        """Return where a descent cannot move: values at a bound, with a slope beyond it."""
        below = (values <= self.lower) & (gradient > 0)
        above = (values >= self.upper) & (gradient < 0)
        return below | above


COLORS = Bounds(0.0, 1.0)
"""The range of the pixels of a picture."""


@dataclass(frozen=True)
class View:
    """An image of a canvas.

    Attributes:
        image: [1, 3, H, W] RGB in [0, 1].
        weight: [H, W] in [0, 1], how much each pixel counts. None: all count alike.
    """

    image: Tensor
    weight: Tensor | None = None

    @property
    def area(self) -> float:
        """The number of pixels that count."""
        if self.weight is None:
            return float(self.image.shape[2] * self.image.shape[3])
        return float(self.weight.cpu().double().sum())


class Canvas(Protocol):
    """Parameters that show one or more views. A canvas has the size of the pass that makes it.

    Solvers choose their first step for parameters that a change of about 0.01 barely changes to the
    eye: learning rates are in 1/255.
    """

    def make_parameters(self, image: Tensor) -> Parameters:
        """Return the parameters that show an image [1, 3, H, W] in [0, 1] of the canvas's size."""

    def make_views(self, image: Tensor) -> Sequence[View]:
        """Return what the views show of an image [1, C, H, W] of the canvas's size.

        The image is the photo, whose views are the content that the objective keeps, a mask, or a
        finished picture. The views have the order, sizes and weights of :meth:`render`.
        """

    def render(self, parameters: Sequence[Tensor]) -> Sequence[View]:
        """Return the views of the canvas: one, or several, always in the same order.

        Args:
            parameters: tensors of the shapes that :meth:`make_parameters` returns.

        Returns:
            Views with images [1, 3, H, W], each of its own size.
        """

    def pull_back(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Parameters:
        """Return the gradient in the parameters, given the gradient in each view's image.

        Args:
            parameters: where the gradient is taken.
            gradients: [1, 3, H, W] each, of the sizes and in the order of :meth:`render`.

        Returns:
            Tensors of the shapes of the parameters.
        """

    def list_bounds(self, parameters: Sequence[Tensor]) -> Sequence[Bounds]:
        """Return the range of each parameter, which solvers stay in."""

    def mark_images(self, parameters: Sequence[Tensor]) -> Sequence[bool]:
        """Return whether each parameter is an image [1, C, h, w], which solvers may filter."""

    def project(self, parameters: Parameters) -> None:
        """Replace parameters, in place, by the nearest allowed ones.

        What is allowed is within :meth:`list_bounds`, and may be less: the pixels of a pyramid are
        bounded, its coefficients are not.
        """

    def show(self, parameters: Sequence[Tensor]) -> Tensor:
        """Return the image [1, 3, H, W] in [0, 1], of the canvas's size, that users see."""

    def adapt(self, tensors: Sequence[Tensor], factor: float) -> Parameters:
        """Resize tensors from the shapes of a coarser canvas's parameters to those of this one.

        Args:
            tensors: what a solver learned on the coarser canvas, of the shapes of its parameters.
            factor: multiplies the result.
        """
