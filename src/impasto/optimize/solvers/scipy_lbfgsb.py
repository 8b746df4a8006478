"""Adapt SciPy's L-BFGS-B to a solver that can be stepped, stopped and resumed.

``scipy.optimize.minimize`` owns its loop and hides its state. A thread runs it and hands over one
evaluation at a time. After ``restart_every`` evaluations a new round starts from the best picture,
as in the classical Keras script, where it is 20. SciPy checks the count only between line searches,
so that a round may take a few more. The evaluations of the current round are kept: a resumed run
replays them from memory and continues exactly where the first run was.
"""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.canvas.view import Bounds, Parameters
from impasto.optimize.solvers.solver import SolverProblem, copy_to_memory
from impasto.recipe.tables import SolverChoice

FlatVector = NDArray[np.float64]


class _Abandoned(Exception):  # noqa: N818 -- ends the solver's thread; not an error
    pass


class ScipyLbfgsb:
    """L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995) of SciPy, with float64 vectors.

    The state is always in memory, also where the storage uses files.
    """

    def __init__(self, settings: SolverChoice, problem: SolverProblem) -> None:
        """Start from the parameters of a problem."""
        self._settings = settings
        self._canvas = problem.canvas
        self._evaluate = problem.evaluate
        self._device = problem.storage.device
        self._start: Parameters = [
            each.detach().to(self._device, copy=True) for each in problem.start
        ]
        self._best: Parameters = [each.clone() for each in self._start]
        self._lowest = float("inf")
        self._log: list[tuple[dict[str, float], Parameters]] = []
        self._round: _Round | None = None

    @property
    def picture(self) -> Tensor:
        """See :attr:`impasto.optimize.solvers.solver.Solver.picture`."""
        return self._canvas.show(self._best)

    def step(self) -> dict[str, float]:
        """See :meth:`impasto.optimize.solvers.solver.Solver.step`."""
        try:
            return self._continue_round()
        except BaseException:
            self.close()  # the next step replays this round
            raise

    def _continue_round(self) -> dict[str, float]:
        if self._round is None:
            ranges = self._canvas.list_bounds(self._start)
            self._round = _Round(self._settings, self._start, ranges)
            for losses, gradient in self._log:
                self._round.ask()
                self._round.answer(losses["total"], _flatten(gradient))
        point = self._round.ask()
        if point is None:
            self._start_round_at_best()
            return self._continue_round()
        parameters = self._unflatten(point)
        losses, gradient = self._evaluate(parameters)
        if losses["total"] < self._lowest:
            self._lowest = losses["total"]
            self._best = parameters
        self._log.append((losses, gradient))
        self._round.answer(losses["total"], _flatten(gradient))
        return losses

    def _start_round_at_best(self) -> None:
        self.close()
        self._log = []
        self._start = self._best

    def _unflatten(self, point: FlatVector) -> Parameters:
        flat = torch.from_numpy(point.astype(np.float32)).to(self._device)
        sizes = [each.numel() for each in self._start]
        parts = torch.split(flat, sizes)
        return [part.view_as(each) for part, each in zip(parts, self._start, strict=True)]

    def state(self) -> dict[str, Any]:
        """See :meth:`impasto.optimize.solvers.solver.Solver.state`."""
        return {
            "start": self._start,
            "best": self._best,
            "lowest": self._lowest,
            "log": self._log,
        }

    def load(self, state: dict[str, Any]) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.load`."""
        self.close()
        for name, value in copy_to_memory(state, self._device).items():
            setattr(self, f"_{name}", value)

    def inherit(self, state: dict[str, Any]) -> None:
        """Ignore what a coarser solver has learned, as in the tutorials."""

    def close(self) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.close`."""
        if self._round is not None:
            self._round.abandon()
            self._round = None


class _Round:
    """One call of ``minimize`` in a thread: ``ask`` for a point, ``answer`` with loss and slope."""

    def __init__(
        self, settings: SolverChoice, start: Sequence[Tensor], ranges: Sequence[Bounds]
    ) -> None:
        self._settings = settings
        sizes = [each.numel() for each in start]
        self._lower = np.repeat([each.lower for each in ranges], sizes)
        self._upper = np.repeat([each.upper for each in ranges], sizes)
        self._points: SimpleQueue[FlatVector | BaseException | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[float, FlatVector] | None] = SimpleQueue()
        self._thread = Thread(target=self._minimize, args=(_flatten(start),), daemon=True)
        self._thread.start()

    def ask(self) -> FlatVector | None:
        """Return the next point to evaluate. None: the round is over."""
        point = self._points.get()
        if isinstance(point, BaseException):
            raise point
        return point

    def answer(self, value: float, slope: FlatVector) -> None:
        self._answers.put((value, slope))

    def abandon(self) -> None:
        self._answers.put(None)
        self._thread.join()

    def _evaluate(self, point: FlatVector) -> tuple[float, FlatVector]:
        self._points.put(point.copy())
        answer = self._answers.get()
        if answer is None:
            raise _Abandoned
        return answer

    def _minimize(self, start: FlatVector) -> None:
        from scipy.optimize import Bounds as ScipyBounds
        from scipy.optimize import minimize

        try:
            minimize(
                self._evaluate,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=ScipyBounds(self._lower, self._upper),
                options={
                    "maxcor": self._settings.history,
                    "maxfun": self._settings.restart_every - 1,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
        except _Abandoned:
            return
        except BaseException as error:  # raised again in the thread that asks
            self._points.put(error)
            return
        self._points.put(None)


def _flatten(tensors: Sequence[Tensor]) -> FlatVector:
    parts = [each.detach().cpu().numpy().astype(np.float64).reshape(-1) for each in tensors]
    return np.concatenate(parts)
