"""Which solver a recipe asks for."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from impasto.engine.storage import Storage
from impasto.optimize.solvers.bounded_lbfgs import BoundedLbfgs
from impasto.optimize.solvers.pyramid_adam import PyramidAdam
from impasto.optimize.solvers.scipy_lbfgsb import ScipyLbfgsb
from impasto.optimize.solvers.solver import Adam, Evaluate, SolverLike, TorchLbfgs
from impasto.recipe.recipe import Recipe
from impasto.recipe.tables import SolverChoice

SOLVERS: dict[str, Callable[[SolverChoice, Tensor, Evaluate, Storage], SolverLike]] = {
    "adam": Adam,
    "lbfgs": TorchLbfgs,
    "lbfgsb": ScipyLbfgsb,
    "bounded": BoundedLbfgs,
}


def solver_for(recipe: Recipe, start: Tensor, evaluate: Evaluate, storage: Storage) -> SolverLike:
    """The solver of a scale, at its start.

    Args:
        recipe: of the run.
        start: [1, 3, H, W], what it begins with.
        evaluate: losses and gradient of such a picture.
        storage: of what is as large.
    """
    if recipe.canvas.kind == "laplacian":
        return PyramidAdam(recipe.solver, recipe.canvas, start, evaluate, storage)
    return SOLVERS[recipe.solver.kind](recipe.solver, start, evaluate, storage)
