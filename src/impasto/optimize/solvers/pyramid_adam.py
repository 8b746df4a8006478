"""Adam on the coefficients of a Laplacian pyramid."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impasto.canvas.pyramid import compose, decompose, slopes
from impasto.engine.storage import Storage
from impasto.optimize.solvers.solver import LEVELS, Evaluate, adam_moments, adam_move, in_memory
from impasto.recipe.tables import CanvasChoice, SolverChoice


class PyramidAdam:
    """As :class:`impasto.optimize.solvers.solver.Adam`, but for what is moved. Its state is in
    memory,
    whatever the storage.
    """

    def __init__(
        self,
        settings: SolverChoice,
        canvas: CanvasChoice,
        start: Tensor,
        evaluate: Evaluate,
        storage: Storage,
    ) -> None:
        self._settings = settings
        self._evaluate = evaluate
        self._pyramid = decompose(start.detach().to(storage.device), canvas.levels)
        self._first = [torch.zeros_like(band) for band in self._pyramid]
        self._second = [torch.zeros_like(band) for band in self._pyramid]
        self._image = compose(self._pyramid).clamp_(0, 1)
        self._average = torch.zeros_like(self._image)
        self._steps = 0

    @property
    def picture(self) -> Tensor:
        decay = self._settings.average
        if not decay or not self._steps:
            return self._image
        return (self._average / (1 - decay**self._steps)).clamp_(0, 1)

    def step(self) -> dict[str, float]:
        s = self._settings
        losses, gradient = self._evaluate(self._image)
        gradients = slopes(self._pyramid, inward(gradient.to(self._image.device), self._image))
        shrink = 1.0
        if s.clip_gradient is not None:
            length = float(torch.stack([each.norm() for each in gradients]).norm())
            shrink = min(1.0, s.clip_gradient / (length + 1e-30))
        rate = s.learning_rate / LEVELS * s.decay ** (self._steps / s.decay_every)
        seen = self._steps + 1
        before = zip(self._first, self._second, gradients, strict=True)
        moments = [adam_moments(s, m, v, slope * shrink) for m, v, slope in before]
        pyramid = [
            band.sub(adam_move(s, *both, seen), alpha=rate)
            for band, both in zip(self._pyramid, moments, strict=True)
        ]
        free = compose(pyramid)
        image = free.clamp(0, 1)
        # What left the box is taken off the finest band: every pixel has one coefficient there.
        pyramid[0].add_(image - free)
        if s.average:
            self._average = self._average.lerp(image, 1 - s.average)
        self._first, self._second = ([both[n] for both in moments] for n in (0, 1))
        self._pyramid, self._image, self._steps = pyramid, image, seen
        return losses

    def state(self) -> dict[str, Any]:
        return {
            "pyramid": self._pyramid,
            "first": self._first,
            "second": self._second,
            "image": self._image,
            "average": self._average,
            "steps": self._steps,
        }

    def load(self, state: dict[str, Any]) -> None:
        for name, value in in_memory(state, self._image.device).items():
            setattr(self, f"_{name}", value)

    def inherit(self, state: dict[str, Any]) -> None:
        """Nothing: a recipe that asks for it is refused."""

    def close(self) -> None:
        pass


def inward(gradient: Tensor, image: Tensor) -> Tensor:
    """A gradient without what would push pixels out of [0, 1] where they touch its ends: they do
    not follow, and must not drag along the coarse coefficients that they share with others.
    """
    pushed = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
    return gradient.masked_fill(pushed, 0)
