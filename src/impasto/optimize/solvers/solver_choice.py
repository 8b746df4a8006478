"""List the solvers that a recipe can choose."""

from __future__ import annotations

from collections.abc import Callable

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


def make_solver(recipe: Recipe, problem: SolverProblem) -> Solver:
    """Make the solver that a recipe asks for."""
    return SOLVERS[recipe.solver.kind](recipe.solver, problem)
