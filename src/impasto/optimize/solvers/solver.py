"""Solvers: each follows the gradient of an objective inside the box [0, 1], one evaluation a step.

They share a small protocol (:class:`SolverLike`): ``step`` evaluates the objective once and moves;
``picture`` is the best answer so far and never leaves [0, 1]; ``state`` and ``load`` carry
everything that the next step depends on, so that a run resumed from a checkpoint continues bit for
bit. Our own L-BFGS and SciPy's, which owns its loop, have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.engine.storage import Storage
from impasto.engine.tensors import rows_of
from impasto.recipe.tables import SolverChoice

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
        """Evaluate once, move, and return the losses of the picture evaluated.

        It can be asked again if memory ran out: it changes its state at the end, or begins again
        from the best picture.
        """

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and lists of them, enough to go on exactly."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state of an equal solver."""

    def inherit(self, state: dict[str, Any]) -> None:
        """Begin with what an equal solver of a picture of another size has learned."""

    def close(self) -> None:
        """Let go of whatever outlives a step."""


class Adam:
    """Kingma and Ba, arXiv:1412.6980, with projection onto the box, learning-rate decay, gradient
    clipping and an average of the iterates (Polyak), whose bias is corrected as Adam's moments are.
    """

    def __init__(
        self, settings: SolverChoice, start: Tensor, evaluate: Evaluate, storage: Storage
    ) -> None:
        self._settings = settings
        self._evaluate = evaluate
        self._storage = storage
        self._image = storage.hold(start.detach())
        self._first, self._second = storage.zeros(start), storage.zeros(start)
        self._average = storage.zeros(start) if settings.average else self._image
        self._steps = 0
        self._inherited = 0

    @property
    def picture(self) -> Tensor:
        decay = self._settings.average
        if not decay or not self._steps:
            return self._image
        corrected = self._storage.like(self._average)
        for rows in self._storage.split_rows(corrected):
            share = self._average[..., rows, :] / (1 - decay**self._steps)
            corrected[..., rows, :] = share.clamp_(0, 1)
        return corrected

    def step(self) -> dict[str, float]:
        s, like = self._settings, self._storage.like
        losses, gradient = self._evaluate(self._image)
        image, first, second = like(gradient), like(gradient), like(gradient)
        average = like(gradient) if s.average else image
        shrink = 1.0
        if s.clip_gradient is not None:
            parts = [gradient[..., rows, :].norm() for rows in self._storage.split_rows(gradient)]
            shrink = min(1.0, s.clip_gradient / (float(torch.stack(parts).norm()) + 1e-30))
        rate = s.learning_rate / LEVELS * s.decay ** (self._steps / s.decay_every)
        seen = self._inherited + self._steps + 1  # by the moments
        for rows in self._storage.split_rows(image):
            slope = gradient[..., rows, :] * shrink
            before = self._first[..., rows, :], self._second[..., rows, :]
            first[..., rows, :], second[..., rows, :] = adam_moments(s, *before, slope)
            move = adam_move(s, first[..., rows, :], second[..., rows, :], seen)
            image[..., rows, :] = self._image[..., rows, :].sub(move, alpha=rate).clamp_(0, 1)
            if s.average:
                share = image[..., rows, :], 1 - s.average
                average[..., rows, :] = self._average[..., rows, :].lerp(*share)
        self._image, self._first, self._second, self._average = image, first, second, average
        self._steps += 1
        return losses

    def state(self) -> dict[str, Any]:
        return {
            "image": self._image,
            "first": self._first,
            "second": self._second,
            "average": self._average,
            "steps": self._steps,
            "inherited": self._inherited,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._steps, self._inherited = state["steps"], state["inherited"]
        for name in ("image", "first", "second", "average"):
            setattr(self, f"_{name}", self._storage.hold(state[name]))

    def inherit(self, state: dict[str, Any]) -> None:
        # The gradient of a mean over N pixels is 1/N of a pixel's own.
        ratio = state["image"].numel() / self._image.numel()
        self._inherited = state["inherited"] + state["steps"]
        self._first = resized(state["first"], self._image, self._storage, ratio)
        self._second = resized(state["second"], self._image, self._storage, ratio**2)
        self._second.clamp_(min=0)  # bicubic weights are not all positive

    def close(self) -> None:
        pass


def adam_moments(
    settings: SolverChoice, first: Tensor, second: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor]:
    """Both moments of the gradients with another one taken in; all of one shape."""
    return (
        first.lerp(slope, 1 - settings.beta1),
        (second * settings.beta2).addcmul_(slope, slope, value=1 - settings.beta2),
    )


def adam_move(settings: SolverChoice, first: Tensor, second: Tensor, seen: int) -> Tensor:
    """What Adam's moments, of as many gradients as ``seen``, say to subtract at a rate of 1."""
    spread = (second / (1 - settings.beta2**seen)).sqrt_().add_(settings.epsilon * LEVELS)
    return first / (1 - settings.beta1**seen) / spread


class TorchLbfgs:
    """``torch.optim.LBFGS`` without a line search, the picture clamped after every step, as the
    PyTorch tutorials do. The answer is the best picture evaluated; a step that is not finite
    begins again from it with an empty history. Its state is in memory, whatever the storage.
    """

    def __init__(
        self, settings: SolverChoice, start: Tensor, evaluate: Evaluate, storage: Storage
    ) -> None:
        self._settings = settings
        self._evaluate = evaluate
        self._best = start.detach().to(storage.device, copy=True)
        self._image = self._best.clone().requires_grad_()
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
        try:
            self._solver.step(lambda: losses["total"])  # type: ignore[no-untyped-call]
            finite = bool(torch.isfinite(self._image).all())
        except (MemoryError, RuntimeError):  # in the middle of changing its history
            self._begin_again()
            raise
        if not finite:
            self._begin_again()
        with torch.no_grad():
            self._image.clamp_(0, 1)
        return losses

    def _begin_again(self) -> None:
        with torch.no_grad():
            self._image.copy_(self._best)
        self._solver = self._fresh()

    def state(self) -> dict[str, Any]:
        return {
            "image": self._image.detach(),
            "best": self._best,
            "lowest": self._lowest,
            "solver": dict(self._solver.state[self._image]),
        }

    def load(self, state: dict[str, Any]) -> None:
        state = in_memory(state, self._image.device)
        with torch.no_grad():
            self._image.copy_(state["image"])
        self._best = state["best"]
        self._lowest = state["lowest"]
        self._solver = self._fresh()
        self._solver.state[self._image] = state["solver"]

    def inherit(self, state: dict[str, Any]) -> None:
        """Nothing: as in the tutorials."""

    def close(self) -> None:
        pass


def resized(image: Tensor, target: Tensor, storage: Storage, factor: float = 1.0) -> Tensor:
    """A field [1, 3, h, w] over a picture, at the size of another one and multiplied."""
    height, width = target.shape[2:]
    image, result = image.cpu(), storage.like(target)
    for rows in storage.split_rows(result):
        result[..., rows, :] = rows_of(image, width, height, rows) * factor
    return result


def in_memory(value: Any, device: torch.device) -> Any:
    """A state, its tensors copied to a device from wherever they are."""
    if isinstance(value, Tensor):
        return value.to(device, copy=True)
    if isinstance(value, dict):
        return {name: in_memory(each, device) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(in_memory(each, device) for each in value)
    return value
