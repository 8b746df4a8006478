"""Define what a run needs of a solver.

A solver follows the gradient of an objective in the parameters of a canvas, one evaluation per
step. Its state can be saved and loaded, so that a run resumed from a checkpoint continues bit for
bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from impasto.canvas.view import Canvas, Parameters
from impasto.engine.machine.storage import Storage

Evaluate = Callable[[Sequence[Tensor]], tuple[dict[str, float], Parameters]]
"""Losses by name (``total`` among them) and the gradient of the total, at some parameters."""

LEVELS = 255.0
"""Learning rates are in 8-bit levels; parameters are in [0, 1]."""


@dataclass(frozen=True)
class SolverProblem:
    """What a solver minimizes.

    Attributes:
        canvas: what is painted on.
        start: the canvas's parameters to start from; they are not changed.
        evaluate: returns the losses and the gradient at given parameters.
        storage: holds everything as large as the parameters.
    """

    canvas: Canvas
    start: Sequence[Tensor]
    evaluate: Evaluate
    storage: Storage


class Solver(Protocol):
    """Moves the parameters of a canvas."""

    @property
    def picture(self) -> Tensor:
        """The best picture so far, [1, 3, H, W] in [0, 1]; later steps do not change it."""

    def step(self) -> dict[str, float]:
        """Evaluate once, move, and return the losses at the parameters that were evaluated.

        If memory runs out, the step can be repeated: a solver changes its state at the end of a
        step, or starts again from the best parameters.
        """

    def state(self) -> dict[str, Any]:
        """Return tensors, numbers and lists of them from which a solver can continue exactly."""

    def load(self, state: dict[str, Any]) -> None:
        """Continue from the state of a solver of the same kind."""

    def inherit(self, state: dict[str, Any]) -> None:
        """Start with what a solver of the same kind has learned on a coarser canvas."""

    def close(self) -> None:
        """Release threads and other resources that outlive a step."""


def copy_to_memory(value: Any, device: Any) -> Any:
    """Copy a solver's state, with all of its tensors, to a device."""
    if isinstance(value, Tensor):
        return value.to(device, copy=True)
    if isinstance(value, dict):
        return {name: copy_to_memory(each, device) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copy_to_memory(each, device) for each in value)
    return value


def upgrade_state(state: dict[str, Any]) -> dict[str, Any]:
    """Convert a solver's state from impasto 0.1, if it is one, to the present form.

    Version 0.1 kept a single picture where parameters are kept now.
    """
    if "pyramid" in state:
        rest = {name: state[name] for name in ("first", "second", "average", "steps")}
        return {"parameters": state["pyramid"], "inherited": 0, **rest}
    if isinstance(state.get("start"), Tensor):
        log = [(losses, [gradient]) for losses, gradient in state["log"]]
        return {**state, "start": [state["start"]], "best": [state["best"]], "log": log}
    if "image" not in state:
        return state
    upgraded = {name: value for name, value in state.items() if name != "image"}
    upgraded["parameters"] = [state["image"]]
    for name in ("first", "second", "best"):
        if name in state:
            upgraded[name] = [state[name]]
    if "gradient" in state:
        upgraded["gradient"] = [state["gradient"]]
    if "pairs" in state:
        upgraded["pairs"] = [([s], [y], gain) for s, y, gain in state["pairs"]]
    return upgraded
