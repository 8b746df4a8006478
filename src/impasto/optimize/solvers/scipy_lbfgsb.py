"""SciPy's L-BFGS-B as a solver that can be stepped, stopped and resumed.

``scipy.optimize.minimize`` owns its loop and hides its state. A thread runs it and hands over one
evaluation at a time; it is begun anew from the best picture after ``restart_every`` evaluations, as
the classical Keras script does after 20. As there, SciPy looks at the count only between line
searches, so that a round may take some evaluations more. Those of the current round are kept: a
resumed run replays them to the solver from memory and stands exactly where the first one stood.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.engine.storage import Storage
from impasto.optimize.solvers.solver import Evaluate, in_memory
from impasto.recipe.tables import SolverChoice

Vector = NDArray[np.float64]


class _Abandoned(Exception):  # noqa: N818 -- ends the solver's thread; not an error
    pass


class ScipyLbfgsb:
    """Byrd, Lu, Nocedal and Zhu 1995, as wrapped by SciPy; float64 vectors, float32 network. Its
    state is in memory, whatever the storage.
    """

    def __init__(
        self, settings: SolverChoice, start: Tensor, evaluate: Evaluate, storage: Storage
    ) -> None:
        self._settings = settings
        self._evaluate = evaluate
        self._start = start.detach().to(storage.device, copy=True)
        self._best = self._start.clone()
        self._lowest = float("inf")
        self._log: list[tuple[dict[str, float], Tensor]] = []
        self._round: _Round | None = None

    @property
    def picture(self) -> Tensor:
        return self._best

    def step(self) -> dict[str, float]:
        try:
            return self._stepped()
        except BaseException:
            self.close()  # the next step replays this round
            raise

    def _stepped(self) -> dict[str, float]:
        if self._round is None:
            self._round = _Round(self._settings, self._vector(self._start))
            for losses, gradient in self._log:
                self._round.ask()
                self._round.answer(losses["total"], self._vector(gradient))
        asked = self._round.ask()
        if asked is None:
            self._begin_round_at_best()
            return self._stepped()
        image = torch.from_numpy(asked.astype(np.float32)).to(self._start.device)
        image = image.view_as(self._start)
        losses, gradient = self._evaluate(image)
        if losses["total"] < self._lowest:
            self._lowest = losses["total"]
            self._best = image
        self._log.append((losses, gradient))
        self._round.answer(losses["total"], self._vector(gradient))
        return losses

    def _begin_round_at_best(self) -> None:
        self.close()
        self._log = []
        self._start = self._best

    @staticmethod
    def _vector(tensor: Tensor) -> Vector:
        return tensor.detach().cpu().numpy().astype(np.float64).reshape(-1)

    def state(self) -> dict[str, Any]:
        return {
            "start": self._start,
            "best": self._best,
            "lowest": self._lowest,
            "log": self._log,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.close()
        for name, value in in_memory(state, self._start.device).items():
            setattr(self, f"_{name}", value)

    def inherit(self, state: dict[str, Any]) -> None:
        """Nothing: as in the tutorials."""

    def close(self) -> None:
        if self._round is not None:
            self._round.abandon()
            self._round = None


class _Round:
    """One ``minimize`` in a thread: ``ask`` for a point, ``answer`` with value and slope."""

    def __init__(self, settings: SolverChoice, start: Vector) -> None:
        self._settings = settings
        self._asked: SimpleQueue[Vector | BaseException | None] = SimpleQueue()
        self._answered: SimpleQueue[tuple[float, Vector] | None] = SimpleQueue()
        self._thread = Thread(target=self._minimize, args=(start,), daemon=True)
        self._thread.start()

    def ask(self) -> Vector | None:
        """The next point to evaluate; none when the round is over."""
        asked = self._asked.get()
        if isinstance(asked, BaseException):
            raise asked
        return asked

    def answer(self, value: float, slope: Vector) -> None:
        self._answered.put((value, slope))

    def abandon(self) -> None:
        self._answered.put(None)
        self._thread.join()

    def _evaluate(self, point: Vector) -> tuple[float, Vector]:
        self._asked.put(point.copy())
        answer = self._answered.get()
        if answer is None:
            raise _Abandoned
        return answer

    def _minimize(self, start: Vector) -> None:
        from scipy.optimize import Bounds, minimize

        try:
            minimize(
                self._evaluate,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=Bounds(0.0, 1.0),
                options={
                    "maxcor": self._settings.history,
                    "maxfun": self._settings.restart_every - 1,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
        except _Abandoned:
            return
        except BaseException as error:  # raised again in the asking thread
            self._asked.put(error)
            return
        self._asked.put(None)
