"""Make the canvas and the solver that a recipe asks for."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from impasto.canvas.pixels import PixelCanvas
from impasto.canvas.pyramid import PyramidCanvas
from impasto.engine.machine.storage import Storage
from impasto.optimize.solvers.adam import Adam
from impasto.optimize.solvers.bounded_lbfgs import BoundedLbfgs
from impasto.optimize.solvers.scipy_lbfgsb import ScipyLbfgsb
from impasto.optimize.solvers.solver import Solver, SolverProblem
from impasto.optimize.solvers.torch_lbfgs import TorchLbfgs
from impasto.recipe.recipe import Recipe
from impasto.recipe.tables import SolverChoice

SOLVERS: dict[str, Callable[[SolverChoice, SolverProblem], Solver]] = {
    "adam": Adam,
    "lbfgs": TorchLbfgs,
    "lbfgsb": ScipyLbfgsb,
    "bounded": BoundedLbfgs,
}
"""Solvers by the recipe's ``solver.kind``."""


def make_canvas(recipe: Recipe, image: Tensor, storage: Storage) -> PixelCanvas | PyramidCanvas:
    """Make the canvas that a recipe asks for, of the size of an image [1, 3, H, W]."""
    if recipe.canvas.kind == "laplacian":
        return PyramidCanvas(recipe.canvas.levels)
    return PixelCanvas(image.shape[3], image.shape[2], storage)


def make_solver(recipe: Recipe, problem: SolverProblem) -> Solver:
    """Make the solver that a recipe asks for."""
    return SOLVERS[recipe.solver.kind](recipe.solver, problem)
