"""List the solvers that a recipe can choose. A new solver is one class and one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from impasto.optimize.solvers.adam import Adam
from impasto.optimize.solvers.bounded_lbfgs import BoundedLbfgs
from impasto.optimize.solvers.scipy_lbfgsb import ScipyLbfgsb
from impasto.optimize.solvers.solver import Solver, SolverProblem
from impasto.optimize.solvers.torch_lbfgs import TorchLbfgs
from impasto.recipe.recipe import Recipe
from impasto.recipe.tables import SolverChoice


@dataclass(frozen=True)
class SolverKind:
    """A kind of solver.

    Attributes:
        make: makes a solver.
        count_images: counts the pictures of the result's size that a run keeps at its peak, for the
            canvas of pixels.
        uses_storage: whether the state of a run can be in any storage, and not only in the memory
            of the device.
    """

    make: Callable[[SolverChoice, SolverProblem], Solver]
    count_images: Callable[[SolverChoice], int]
    uses_storage: bool


def _count_bounded_images(choice: SolverChoice) -> int:
    # The mask of free pixels is one; the coarser scale, at a quarter of the size, is half.
    return 7 + 2 * choice.history


def _count_scipy_images(choice: SolverChoice) -> int:
    # SciPy works in float64, with 2 m + 5 vectors of its own, and bounds and points are copied.
    # The gradients of a round are kept for a replay.
    return 2 * (13 + 2 * choice.history) + choice.restart_every


SOLVERS = {
    "adam": SolverKind(Adam, lambda _: 11, uses_storage=True),
    "lbfgs": SolverKind(TorchLbfgs, lambda choice: 10 + 2 * choice.history, uses_storage=False),
    "lbfgsb": SolverKind(ScipyLbfgsb, _count_scipy_images, uses_storage=False),
    "bounded": SolverKind(BoundedLbfgs, _count_bounded_images, uses_storage=True),
}
"""Solvers by the recipe's ``solver.kind``."""


def make_solver(recipe: Recipe, problem: SolverProblem) -> Solver:
    """Make the solver that a recipe asks for."""
    return SOLVERS[recipe.solver.kind].make(recipe.solver, problem)
