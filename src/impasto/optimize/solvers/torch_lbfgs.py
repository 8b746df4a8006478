"""Adapt PyTorch's L-BFGS, as the tutorials use it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impasto.canvas.view import Parameters
from impasto.optimize.solvers.solver import SolverProblem, copy_to_memory
from impasto.recipe.tables import SolverChoice


class TorchLbfgs:
    """``torch.optim.LBFGS`` without a line search, projected after every step.

    The result is the best picture that was evaluated. After a step that is not finite, the solver
    starts again from it with an empty history. The state is always in memory, also where the
    storage uses files.
    """

    def __init__(self, settings: SolverChoice, problem: SolverProblem) -> None:
        """Start from the parameters of a problem."""
        self._settings = settings
        self._canvas = problem.canvas
        self._evaluate = problem.evaluate
        self._device = problem.storage.device
        self._best: Parameters = [
            each.detach().to(self._device, copy=True) for each in problem.start
        ]
        self._parameters = [each.clone().requires_grad_() for each in self._best]
        self._lowest = float("inf")
        self._solver = self._make_solver()

    def _make_solver(self) -> torch.optim.LBFGS:
        return torch.optim.LBFGS(
            self._parameters,
            lr=self._settings.learning_rate,
            max_iter=1,
            history_size=self._settings.history,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

    @property
    def picture(self) -> Tensor:
        """See :attr:`impasto.optimize.solvers.solver.Solver.picture`."""
        return self._canvas.show(self._best)

    def step(self) -> dict[str, float]:
        """See :meth:`impasto.optimize.solvers.solver.Solver.step`."""
        current = [each.detach() for each in self._parameters]
        losses, gradients = self._evaluate(current)
        if losses["total"] < self._lowest:
            self._lowest = losses["total"]
            self._best = [each.clone() for each in current]
        for each, gradient in zip(self._parameters, gradients, strict=True):
            each.grad = gradient
        try:
            self._solver.step(lambda: losses["total"])  # type: ignore[no-untyped-call]
            finite = all(bool(torch.isfinite(each).all()) for each in self._parameters)
        except (MemoryError, RuntimeError):  # while the history was being changed
            self._start_again()
            raise
        if not finite:
            self._start_again()
        with torch.no_grad():
            self._canvas.project([each.data for each in self._parameters])
        return losses

    def _start_again(self) -> None:
        with torch.no_grad():
            for each, best in zip(self._parameters, self._best, strict=True):
                each.copy_(best)
        self._solver = self._make_solver()

    def state(self) -> dict[str, Any]:
        """See :meth:`impasto.optimize.solvers.solver.Solver.state`."""
        return {
            "parameters": [each.detach() for each in self._parameters],
            "best": self._best,
            "lowest": self._lowest,
            "solver": dict(self._solver.state[self._parameters[0]]),
        }

    def load(self, state: dict[str, Any]) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.load`."""
        state = copy_to_memory(state, self._device)
        with torch.no_grad():
            for each, loaded in zip(self._parameters, state["parameters"], strict=True):
                each.copy_(loaded)
        self._best = state["best"]
        self._lowest = state["lowest"]
        self._solver = self._make_solver()
        self._solver.state[self._parameters[0]] = state["solver"]

    def inherit(self, state: dict[str, Any]) -> None:
        """Ignore what a coarser solver has learned, as in the tutorials."""

    def close(self) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.close`; nothing outlives a step."""
