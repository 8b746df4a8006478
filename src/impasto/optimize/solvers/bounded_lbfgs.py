"""Optimize within bounds with L-BFGS: two-metric projection and two-loop recursion.

The method of Bertsekas, "Projected Newton methods for optimization problems with simple
constraints" (1982), as Schmidt, Kim and Sra, "Projected Newton-type methods in machine learning"
(2011) describe it for L-BFGS:

1. Numbers at a bound whose gradient pushes outward are held; the others are free.
2. The two-loop recursion (Nocedal 1980) runs on the free numbers and gives the direction.
3. The step is projected onto what the canvas allows. If the loss rises, it is tried again shorter;
   each trial is one evaluation.
4. The pair (change of the parameters, change of the gradient) is taken from the projected step.

The initial inverse Hessian is a preconditioner that trusts coarse structure; see
:mod:`impasto.optimize.solvers.precondition`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from impasto.canvas.view import Bounds, Parameters
from impasto.optimize.solvers.banded import Banded, count_numbers
from impasto.optimize.solvers.precondition import emphasize_coarse, get_reach
from impasto.optimize.solvers.solver import SolverProblem
from impasto.recipe.tables import SolverChoice

LEAST_CURVATURE = 1e-10
"""Least curvature of a useful pair, relative to the square of its gradient's change."""


@dataclass(frozen=True)
class Pair:
    """What an accepted step says about the curvature.

    Attributes:
        step: s, the change of the parameters.
        gradient_change: y, the change of the gradient.
        gain: s.y / y.Py with the preconditioner P, a scalar: the scale of the initial inverse
            Hessian.
    """

    step: Parameters
    gradient_change: Parameters
    gain: Tensor


class BoundedLbfgs:
    """L-BFGS within the bounds of a canvas; see the module.

    All scalars of the recursion stay on the device: a step synchronizes only for the losses and to
    decide whether a pair is worth keeping.
    """

    SHRINK = 0.3
    """Factor of a step that raised the loss."""
    SHORTEST = 1e-3
    """Least fraction of the full step; below it the history is useless and is dropped."""
    FIRST_MOVE = 0.02
    """Mean change of a number in the first step, when no curvature is known."""

    def __init__(self, settings: SolverChoice, problem: SolverProblem) -> None:
        """Start from the parameters of a problem."""
        self._settings = settings
        self._canvas = problem.canvas
        self._evaluate = problem.evaluate
        self._storage = problem.storage
        self._banded = Banded(problem.storage)
        self._parameters = self._banded.hold([each.detach() for each in problem.start])
        self._losses: dict[str, float] = {}
        self._gradient = self._parameters
        self._pairs: list[Pair] = []
        self._length = 1.0

    @property
    def picture(self) -> Tensor:
        """See :attr:`impasto.optimize.solvers.solver.Solver.picture`."""
        return self._canvas.show(self._parameters)

    def step(self) -> dict[str, float]:
        """See :meth:`impasto.optimize.solvers.solver.Solver.step`."""
        if not self._losses:
            self._losses, self._gradient = self._evaluate(self._parameters)
            return self._losses
        trial = self._find_direction()
        length = self._length
        self._banded.assign(trial, lambda d, x: d * length + x, trial, self._parameters)
        self._canvas.project(trial)
        losses, gradient = self._evaluate(trial)
        if not losses["total"] <= self._losses["total"]:
            self._length *= self.SHRINK
            if self._length < self.SHORTEST and self._pairs:
                self._pairs, self._length = [], 1.0
            return self._losses
        self._remember(
            self._banded.map(torch.sub, trial, self._parameters),
            self._banded.map(torch.sub, gradient, self._gradient),
        )
        self._parameters, self._losses, self._gradient = trial, losses, gradient
        self._length = 1.0
        return losses

    def _remember(self, step: Parameters, gradient_change: Parameters) -> None:
        """Keep a pair (s, y) if its curvature s.y is positive."""
        emphasized = self._emphasize(gradient_change)
        curvature, energy, spread = self._banded.sum(
            lambda s, y, py: ((s * y).sum(), y.square().sum(), (y * py).sum()),
            step,
            gradient_change,
            emphasized,
        )
        if bool(curvature > LEAST_CURVATURE * energy):
            pair = Pair(step, gradient_change, curvature / spread)
            self._pairs = [*self._pairs, pair][-self._settings.history :]

    def _find_direction(self) -> Parameters:
        """Run the two-loop recursion on the free numbers and return a new vector."""
        banded, free = self._banded, self._find_free()
        direction = banded.map(lambda g, f: g * -f, self._gradient, free)
        if not self._pairs:
            one = direction[0].new_ones(())
            return self._scale_first_move(self._precondition(direction, free, one))
        loop = []
        for pair in reversed(self._pairs):
            curvature, alpha = self._project_on_pair(pair, direction, free)
            banded.axpy(direction, -alpha, pair.gradient_change, free)
            loop.append((pair, curvature, alpha))
        direction = self._precondition(direction, free, self._pairs[-1].gain)
        for pair, curvature, alpha in reversed(loop):
            # The direction is 0 where numbers are held, so y need not be masked.
            beta = banded.dot(pair.gradient_change, direction) / curvature
            banded.axpy(direction, alpha - beta, pair.step, free)
        return direction

    def _project_on_pair(
        self, pair: Pair, direction: Parameters, free: Parameters
    ) -> tuple[Tensor, Tensor]:
        """Return s.y on the free numbers, infinite if it is not positive, and s.d / s.y, where d is
        the direction.
        """

        def multiply(s: Tensor, y: Tensor, f: Tensor, d: Tensor) -> tuple[Tensor, ...]:
            y = y * f
            return (s * y).sum(), y.square().sum(), (s * d).sum()

        curvature, energy, along = self._banded.sum(
            multiply, pair.step, pair.gradient_change, free, direction
        )
        curvature = torch.where(curvature > LEAST_CURVATURE * energy, curvature, torch.inf)
        return curvature, along / curvature

    def _scale_first_move(self, direction: Parameters) -> Parameters:
        """Scale a direction, in place, to a mean change of :attr:`FIRST_MOVE`."""
        (size,) = self._banded.sum(lambda d: (d.abs().sum(),), direction)
        scale = self.FIRST_MOVE / (size / count_numbers(direction) + 1e-30)
        self._banded.assign(direction, lambda d: d * scale, direction)
        return direction

    def _precondition(self, direction: Parameters, free: Parameters, gain: Tensor) -> Parameters:
        """Apply the initial inverse Hessian to a direction, on the free numbers."""
        emphasized = self._emphasize(direction)
        self._banded.assign(emphasized, lambda e, f: e * (f * gain), emphasized, free)
        return emphasized

    def _emphasize(self, vector: Parameters) -> Parameters:
        """Apply the preconditioner P; parameters that are not images stay as they are."""
        banded, octaves = self._banded, self._settings.octaves
        emphasized: Parameters = []
        for each, is_image in zip(vector, self._canvas.mark_images(vector), strict=True):
            if is_image:
                filter_rows = partial(emphasize_coarse, octaves=octaves)
                emphasized += banded.filter([each], filter_rows, get_reach(octaves))
            else:
                emphasized += banded.hold([each])
        return emphasized

    def _find_free(self) -> Parameters:
        """Return a vector that is 1 where a number may move and 0 where it is held."""

        free: Parameters = []
        ranges = self._canvas.list_bounds(self._parameters)
        for x, g, bounds in zip(self._parameters, self._gradient, ranges, strict=True):
            free += self._banded.map(partial(_find_free_numbers, bounds), [x], [g])
        return free

    def state(self) -> dict[str, Any]:
        """See :meth:`impasto.optimize.solvers.solver.Solver.state`."""
        return {
            "parameters": self._parameters,
            "losses": self._losses,
            "gradient": self._gradient,
            "pairs": [(pair.step, pair.gradient_change, pair.gain) for pair in self._pairs],
            "length": self._length,
        }

    def load(self, state: dict[str, Any]) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.load`."""
        hold, device = self._banded.hold, self._storage.device
        self._parameters, self._gradient = hold(state["parameters"]), hold(state["gradient"])
        self._pairs = [Pair(hold(s), hold(y), gain.to(device)) for s, y, gain in state["pairs"]]
        self._losses, self._length = state["losses"], state["length"]

    def inherit(self, state: dict[str, Any]) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.inherit`."""
        # The gradient of a mean over N numbers is 1/N of each number's own.
        ratio = count_numbers(state["parameters"]) / count_numbers(self._parameters)
        for step, gradient_change, _ in state["pairs"]:
            self._remember(
                self._canvas.adapt(step, 1.0), self._canvas.adapt(gradient_change, ratio)
            )

    def close(self) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.close`; nothing outlives a step."""


def _find_free_numbers(bounds: Bounds, values: Tensor, gradient: Tensor) -> Tensor:
    return (~bounds.find_held(values, gradient)).to(values)
