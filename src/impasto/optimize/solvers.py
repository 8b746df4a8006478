"""Solvers: each follows the gradient of an objective inside the box [0, 1], one evaluation a step.

They share a small protocol (:class:`SolverLike`): ``step`` evaluates the objective once and moves;
``picture`` is the best answer so far and never leaves [0, 1]; ``state`` and ``load`` carry
everything that the next step depends on, so that a run resumed from a checkpoint continues bit for
bit. SciPy's L-BFGS-B, which owns its loop, has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.optimize.precondition import emphasise_coarse
from impasto.recipe_tables import Solver

Evaluate = Callable[[Tensor], tuple[dict[str, float], Tensor]]
"""Losses by name (``"total"`` among them) and the gradient of the total, of a picture in [0, 1]."""

LEVELS = 255.0
"""Learning rates are in 8-bit levels; pictures are in [0, 1]."""


class SolverLike(Protocol):
    """What the loop asks of a solver."""

    @property
    def picture(self) -> Tensor:
        """[1, 3, H, W] in [0, 1], detached; later steps leave it as it is."""

    def step(self) -> dict[str, float]:
        """Evaluate once, move, and return the losses of the picture evaluated."""

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and lists of them, enough to go on exactly."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state of an equal solver."""

    def close(self) -> None:
        """Let go of whatever outlives a step."""


class Adam:
    """Kingma and Ba, arXiv:1412.6980, with projection onto the box, learning-rate decay, gradient
    clipping and an average of the iterates (Polyak), whose bias is corrected as Adam's moments are.
    """

    def __init__(self, settings: Solver, start: Tensor, evaluate: Evaluate) -> None:
        self._settings = settings
        self._evaluate = evaluate
        self._image = start.detach().clone()
        self._first = torch.zeros_like(start)
        self._second = torch.zeros_like(start)
        self._average = torch.zeros_like(start)
        self._steps = 0

    @property
    def picture(self) -> Tensor:
        decay = self._settings.average
        if not decay or not self._steps:
            return self._image
        return (self._average / (1 - decay**self._steps)).clamp(0, 1)

    def step(self) -> dict[str, float]:
        s = self._settings
        losses, gradient = self._evaluate(self._image)
        if s.clip_gradient is not None:
            gradient = gradient * min(1.0, s.clip_gradient / (float(gradient.norm()) + 1e-30))
        rate = s.learning_rate / LEVELS * s.decay ** (self._steps / s.decay_every)
        self._steps += 1
        self._first.lerp_(gradient, 1 - s.beta1)
        self._second.mul_(s.beta2).addcmul_(gradient, gradient, value=1 - s.beta2)
        spread = (self._second / (1 - s.beta2**self._steps)).sqrt_().add_(s.epsilon * LEVELS)
        move = self._first / (1 - s.beta1**self._steps) / spread
        self._image = self._image.sub(move, alpha=rate).clamp_(0, 1)
        if s.average:
            self._average.lerp_(self._image, 1 - s.average)
        return losses

    def state(self) -> dict[str, Any]:
        return {
            "image": self._image,
            "first": self._first,
            "second": self._second,
            "average": self._average,
            "steps": self._steps,
        }

    def load(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, f"_{name}", value)

    def close(self) -> None:
        pass


class TorchLbfgs:
    """``torch.optim.LBFGS`` without a line search, the picture clamped after every step, as the
    PyTorch tutorials do. The answer is the best picture evaluated; a step that is not finite
    begins again from it with an empty history.
    """

    def __init__(self, settings: Solver, start: Tensor, evaluate: Evaluate) -> None:
        self._settings = settings
        self._evaluate = evaluate
        self._image = start.detach().clone().requires_grad_()
        self._best = start.detach().clone()
        self._lowest = float("inf")
        self._solver = self._fresh()

    def _fresh(self) -> torch.optim.LBFGS:
        return torch.optim.LBFGS(
            [self._image],
            lr=self._settings.learning_rate,
            max_iter=1,
            history_size=self._settings.history,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )

    @property
    def picture(self) -> Tensor:
        return self._best

    def step(self) -> dict[str, float]:
        losses, gradient = self._evaluate(self._image.detach())
        if losses["total"] < self._lowest:
            self._lowest = losses["total"]
            self._best = self._image.detach().clone()
        self._image.grad = gradient
        self._solver.step(lambda: losses["total"])  # type: ignore[no-untyped-call]
        with torch.no_grad():
            if not bool(torch.isfinite(self._image).all()):
                self._image.copy_(self._best)
                self._solver = self._fresh()
            self._image.clamp_(0, 1)
        return losses

    def state(self) -> dict[str, Any]:
        return {
            "image": self._image.detach(),
            "best": self._best,
            "lowest": self._lowest,
            "solver": dict(self._solver.state[self._image]),
        }

    def load(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            self._image.copy_(state["image"])
        self._best = state["best"]
        self._lowest = state["lowest"]
        self._solver = self._fresh()
        self._solver.state[self._image] = state["solver"]

    def close(self) -> None:
        pass


class BoundedLbfgs:
    """L-BFGS that knows the box: pixels at a bound with the gradient pushing outward are held, the
    two-loop recursion runs on the free ones, the step is projected, and curvature pairs are taken
    from where the projected step really went (two-metric projection, Bertsekas 1982; Schmidt, Kim
    and Sra 2011). A step that raises the loss is tried again shorter, each trial one evaluation.
    """

    SHRINK = 0.3
    """Of a step that raised the loss."""
    SHORTEST = 1e-3
    """Of the full step; below it the history has become useless and is dropped."""
    FIRST_MOVE = 0.02
    """Mean change of a pixel in the first step, when no curvature is known yet."""

    def __init__(self, settings: Solver, start: Tensor, evaluate: Evaluate) -> None:
        self._settings = settings
        self._evaluate = evaluate
        self._image = start.detach().clamp(0, 1)
        self._losses: dict[str, float] = {}
        self._gradient = torch.zeros_like(self._image)
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._length = 1.0

    @property
    def picture(self) -> Tensor:
        return self._image

    def step(self) -> dict[str, float]:
        if not self._losses:
            self._losses, self._gradient = self._evaluate(self._image)
            return self._losses
        trial = (self._image + self._length * self._direction()).clamp_(0, 1)
        losses, gradient = self._evaluate(trial)
        if not losses["total"] <= self._losses["total"]:
            self._length *= self.SHRINK
            if self._length < self.SHORTEST:
                self._pairs = []
                # Without history the length is relative to FIRST_MOVE: keep shrinking there.
            return self._losses
        moved, turned = trial - self._image, gradient - self._gradient
        if float((moved * turned).sum()) > 1e-10 * float(turned.square().sum()):
            self._pairs = [*self._pairs, (moved, turned)][-self._settings.history :]
        self._image, self._losses, self._gradient = trial, losses, gradient
        self._length = 1.0
        return losses

    def _direction(self) -> Tensor:
        image, gradient = self._image, self._gradient
        held = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
        move = torch.where(held, 0.0, -gradient)
        free = (~held).to(image.dtype)
        octaves = self._settings.octaves
        if not self._pairs:
            move = emphasise_coarse(move, octaves) * free
            return move * (self.FIRST_MOVE / (float(move.abs().mean()) + 1e-30))
        recursion = []
        for moved, turned in reversed(self._pairs):
            free_turned = turned * free
            curvature = float((moved * free_turned).sum())
            if curvature <= 1e-10 * float(free_turned.square().sum()):
                continue
            along = float((moved * move).sum()) / curvature
            move = move - along * free_turned
            recursion.append((moved, free_turned, curvature, along))
        moved, turned = self._pairs[-1]
        spread = float((turned * emphasise_coarse(turned, octaves)).sum())
        move = emphasise_coarse(move, octaves) * (free * (float((moved * turned).sum()) / spread))
        for moved, free_turned, curvature, along in reversed(recursion):
            back = float((free_turned * move).sum()) / curvature
            move = move + (along - back) * (moved * free)
        return move

    def state(self) -> dict[str, Any]:
        return {
            "image": self._image,
            "losses": self._losses,
            "gradient": self._gradient,
            "pairs": self._pairs,
            "length": self._length,
        }

    def load(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, f"_{name}", value)

    def close(self) -> None:
        pass
