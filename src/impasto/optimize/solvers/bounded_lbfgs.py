"""L-BFGS inside the box [0, 1], in bands of rows: its two dozen pictures may lie on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.engine.storage import Storage
from impasto.optimize.solvers.precondition import emphasize_coarse, reach
from impasto.optimize.solvers.solver import Evaluate, resized
from impasto.recipe.tables import SolverChoice

LEAST_CURVATURE = 1e-10
"""Of a pair, relative to the change of its gradient squared; below it, it says nothing."""


@dataclass(frozen=True)
class Pair:
    """What an accepted step taught.

    Attributes:
        moved: change of the picture.
        turned: change of the gradient.
        gain: a scalar, the length of the inverse curvature along the preconditioned gradient.
    """

    moved: Tensor
    turned: Tensor
    gain: Tensor


class BoundedLbfgs:
    """L-BFGS that knows the box: pixels at a bound with the gradient pushing outward are held, the
    two-loop recursion runs on the free ones, the step is projected, and curvature pairs are taken
    from where the projected step really went (two-metric projection, Bertsekas 1982; Schmidt, Kim
    and Sra 2011). A step that raises the loss is tried again shorter, each trial one evaluation.

    All scalars of the recursion stay on the device: the only synchronizations of a step are the
    losses and whether a pair is worth keeping.
    """

    SHRINK = 0.3
    """Of a step that raised the loss."""
    SHORTEST = 1e-3
    """Of the full step; below it a history has become useless and is dropped."""
    FIRST_MOVE = 0.02
    """Mean change of a pixel in the first step, when no curvature is known yet."""

    def __init__(
        self, settings: SolverChoice, start: Tensor, evaluate: Evaluate, storage: Storage
    ) -> None:
        self._settings = settings
        self._evaluate = evaluate
        self._storage = storage
        self._image = storage.hold(start.detach())
        self._losses: dict[str, float] = {}
        self._gradient = self._image
        self._pairs: list[Pair] = []
        self._length = 1.0

    @property
    def picture(self) -> Tensor:
        return self._image

    def step(self) -> dict[str, float]:
        if not self._losses:
            self._losses, self._gradient = self._evaluate(self._image)
            return self._losses
        trial = self._direction()
        for rows in self._storage.split_rows(trial):
            move = trial[..., rows, :]
            move.mul_(self._length).add_(self._image[..., rows, :]).clamp_(0, 1)
        losses, gradient = self._evaluate(trial)
        if not losses["total"] <= self._losses["total"]:
            self._length *= self.SHRINK
            if self._length < self.SHORTEST and self._pairs:
                self._pairs, self._length = [], 1.0  # of FIRST_MOVE from here on
            return self._losses
        self._learn(trial, gradient)
        self._image, self._losses, self._gradient = trial, losses, gradient
        self._length = 1.0
        return losses

    def _learn(self, image: Tensor, gradient: Tensor) -> None:
        """Keep what a step from the present picture and gradient to these teaches."""
        moved, turned = self._storage.like(image), self._storage.like(image)
        for rows in self._storage.split_rows(image):
            s, y = moved[..., rows, :], turned[..., rows, :]
            torch.sub(image[..., rows, :], self._image[..., rows, :], out=s)
            torch.sub(gradient[..., rows, :], self._gradient[..., rows, :], out=y)
        self._keep(moved, turned)

    def _keep(self, moved: Tensor, turned: Tensor) -> None:
        """Remember a pair, if the gradient turned the way of a minimum."""
        along = energy = spread = moved.new_zeros(())
        for rows, emphasized in self._emphasized(turned):
            y = turned[..., rows, :]
            along, energy = along + (moved[..., rows, :] * y).sum(), energy + y.square().sum()
            spread = spread + (y * emphasized).sum()
        if bool(along > LEAST_CURVATURE * energy):
            pair = Pair(moved, turned, along / spread)
            self._pairs = [*self._pairs, pair][-self._settings.history :]

    def _direction(self) -> Tensor:
        """Where to go; a new tensor."""
        move, free = self._storage.like(self._image), self._free()
        for rows in self._storage.split_rows(move):
            torch.mul(self._gradient[..., rows, :], -free[..., rows, :], out=move[..., rows, :])
        if not self._pairs:
            return self._first_move(move, free)
        recursion = []
        for pair in reversed(self._pairs):
            curvature, along = self._curvature(pair, move, free)
            for rows in self._storage.split_rows(move):
                move[..., rows, :] -= along * pair.turned[..., rows, :] * free[..., rows, :]
            recursion.append((pair, curvature, along))
        move = self._preconditioned(move, free, self._pairs[-1].gain)
        for pair, curvature, along in reversed(recursion):
            back = move.new_zeros(())
            for rows in self._storage.split_rows(move):
                # The step is zero where it may not go: no need to mask the other factor.
                back = back + (pair.turned[..., rows, :] * move[..., rows, :]).sum()
            # A pair without curvature, marked by an infinite one, takes no part.
            share = along - back / curvature
            for rows in self._storage.split_rows(move):
                move[..., rows, :] += share * pair.moved[..., rows, :] * free[..., rows, :]
        return move

    def _curvature(self, pair: Pair, move: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        """Curvature along a pair's free pixels, infinite if not positive; ``move`` along it."""
        curvature = energy = along = move.new_zeros(())
        for rows in self._storage.split_rows(move):
            s, y = pair.moved[..., rows, :], pair.turned[..., rows, :] * free[..., rows, :]
            curvature, energy = curvature + (s * y).sum(), energy + y.square().sum()
            along = along + (s * move[..., rows, :]).sum()
        curvature = torch.where(curvature > LEAST_CURVATURE * energy, curvature, torch.inf)
        return curvature, along / curvature

    def _first_move(self, move: Tensor, free: Tensor) -> Tensor:
        move = self._preconditioned(move, free, move.new_ones(()))
        size = move.new_zeros(())
        for rows in self._storage.split_rows(move):
            size = size + move[..., rows, :].abs().sum()
        scale = self.FIRST_MOVE / (size / move.numel() + 1e-30)
        for rows in self._storage.split_rows(move):
            move[..., rows, :] *= scale
        return move

    def _preconditioned(self, move: Tensor, free: Tensor, gain: Tensor) -> Tensor:
        result = self._storage.like(move)
        for rows, emphasized in self._emphasized(move):
            torch.mul(emphasized, free[..., rows, :] * gain, out=result[..., rows, :])
        return result

    def _emphasized(self, gradient: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """The rows of :func:`emphasize_coarse`, from those around them."""
        octaves, height = self._settings.octaves, gradient.shape[-2]
        halo = reach(octaves)
        for rows in self._storage.split_rows(gradient):
            first, last = max(0, rows.start - halo), min(height, rows.stop + halo)
            strip = emphasize_coarse(gradient[..., first:last, :], octaves)
            yield rows, strip[..., rows.start - first : rows.stop - first, :]

    def _free(self) -> Tensor:
        """1 where a pixel may move and 0 where it is held."""
        free = self._storage.like(self._image)
        for rows in self._storage.split_rows(free):
            image, gradient = self._image[..., rows, :], self._gradient[..., rows, :]
            held = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
            free[..., rows, :] = ~held
        return free

    def state(self) -> dict[str, Any]:
        return {
            "image": self._image,
            "losses": self._losses,
            "gradient": self._gradient,
            "pairs": [(pair.moved, pair.turned, pair.gain) for pair in self._pairs],
            "length": self._length,
        }

    def load(self, state: dict[str, Any]) -> None:
        hold = self._storage.hold
        self._image, self._gradient = hold(state["image"]), hold(state["gradient"])
        device = self._storage.device
        self._pairs = [Pair(hold(s), hold(y), g.to(device)) for s, y, g in state["pairs"]]
        self._losses, self._length = state["losses"], state["length"]

    def inherit(self, state: dict[str, Any]) -> None:
        # The gradient of a mean over N pixels is 1/N of a pixel's own.
        ratio = state["image"].numel() / self._image.numel()
        for moved, turned, _ in state["pairs"]:
            self._keep(
                resized(moved, self._image, self._storage),
                resized(turned, self._image, self._storage, ratio),
            )

    def close(self) -> None:
        pass
