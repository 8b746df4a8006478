"""Solvers of pictures, for tests of solvers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from impasto.canvas.pixel_canvas import PixelCanvas
from impasto.canvas.pyramid import PyramidCanvas
from impasto.canvas.view import Bounds, Parameters
from impasto.engine.machine.storage import Storage
from impasto.optimize.solvers.solver import Solver, SolverProblem
from impasto.optimize.solvers.solver_choice import SOLVERS
from impasto.recipe.tables import SolverChoice

MEMORY = Storage(torch.device("cpu"))


class NumberCanvas:
    """Plain numbers with ranges of their own. It has no views: a solver only asks for these."""

    def __init__(self, ranges: Sequence[Bounds]) -> None:
        self.ranges = ranges

    def list_bounds(self, parameters: Sequence[torch.Tensor]) -> Sequence[Bounds]:
        assert len(parameters) == len(self.ranges)
        return self.ranges

    def mark_images(self, parameters: Sequence[torch.Tensor]) -> Sequence[bool]:
        return [False] * len(parameters)

    def project(self, parameters: Parameters) -> None:
        for each, bounds in zip(parameters, self.ranges, strict=True):
            each.clamp_(bounds.lower, bounds.upper)

    def show(self, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat([each.flatten() for each in parameters])


def make_picture_solver(
    settings: SolverChoice,
    start: torch.Tensor,
    function: Callable[[torch.Tensor], Any],
    storage: Storage = MEMORY,
    levels: int = 0,
) -> Solver:
    """Make a solver of a picture, given what returns a picture's losses and gradient.

    Args:
        settings: of the solver.
        start: the picture to start from.
        function: evaluates pictures.
        storage: of the solver.
        levels: of the pyramid whose coefficients are moved. 0: the pixels are.
    """
    height, width = start.shape[2:]
    canvas: Any = PyramidCanvas(levels) if levels else PixelCanvas(width, height, storage)

    def evaluate(parameters: Any) -> Any:
        (view,) = canvas.render(parameters)
        losses, gradient = function(view.image)
        return losses, canvas.pull_back(parameters, [gradient])

    problem = SolverProblem(canvas, canvas.make_parameters(start), evaluate, storage)
    return SOLVERS[settings.kind].make(settings, problem)
