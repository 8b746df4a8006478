"""Optimize the parameters of a canvas with Adam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from impasto.canvas.view import Parameters
from impasto.optimize.solvers.banded import count_numbers, hold
from impasto.optimize.solvers.solver import LEVELS, SolverProblem
from impasto.recipe.tables import SolverChoice


class Adam:
    """Adam (Kingma and Ba, arXiv:1412.6980), projected onto what the canvas allows.

    It has learning-rate decay, gradient clipping, and an average of the pictures (Polyak) whose
    bias is corrected like that of Adam's moments.
    """

    def __init__(self, settings: SolverChoice, problem: SolverProblem) -> None:
        """Start from the parameters of a problem."""
        self._settings = settings
        self._canvas = problem.canvas
        self._evaluate = problem.evaluate
        self._storage = storage = problem.storage
        self._parameters: Parameters = hold([each.detach() for each in problem.start], storage)
        self._first = [storage.zeros(each) for each in self._parameters]
        self._second = [storage.zeros(each) for each in self._parameters]
        picture = self._canvas.show(self._parameters)
        self._average = storage.zeros(picture) if settings.average else None
        self._steps = 0
        self._inherited = 0

    @property
    def picture(self) -> Tensor:
        """See :attr:`impasto.optimize.solvers.solver.Solver.picture`."""
        if self._average is None or not self._steps:
            return self._canvas.show(self._parameters)
        corrected = self._storage.like(self._average)
        for rows in self._storage.split_rows(corrected):
            share = self._average[..., rows, :] / (1 - self._settings.average**self._steps)
            corrected[..., rows, :] = share.clamp_(0, 1)
        return corrected

    def step(self) -> dict[str, float]:
        """See :meth:`impasto.optimize.solvers.solver.Solver.step`."""
        settings, like = self._settings, self._storage.like
        losses, gradients = self._evaluate(self._parameters)
        shrink = self._find_shrinkage(gradients)
        rate = (
            settings.learning_rate / LEVELS * settings.decay ** (self._steps / settings.decay_every)
        )
        count = self._inherited + self._steps + 1  # of gradients in the moments
        parameters = [like(each) for each in self._parameters]
        first, second = [like(each) for each in parameters], [like(each) for each in parameters]
        for i, gradient in enumerate(gradients):
            for rows in self._storage.split_rows(gradient):
                slope = gradient[..., rows, :] * shrink
                m = self._first[i][..., rows, :].lerp(slope, 1 - settings.beta1)
                v = self._second[i][..., rows, :] * settings.beta2
                v.addcmul_(slope, slope, value=1 - settings.beta2)
                first[i][..., rows, :], second[i][..., rows, :] = m, v
                move = self._compute_move(m, v, count)
                parameters[i][..., rows, :] = self._parameters[i][..., rows, :].sub(
                    move, alpha=rate
                )
        self._canvas.project(parameters)
        if self._average is not None:
            picture, average = self._canvas.show(parameters), like(self._average)
            for rows in self._storage.split_rows(average):
                share = picture[..., rows, :], 1 - settings.average
                average[..., rows, :] = self._average[..., rows, :].lerp(*share)
            self._average = average
        self._parameters, self._first, self._second = parameters, first, second
        self._steps += 1
        return losses

    def _find_shrinkage(self, gradients: Sequence[Tensor]) -> float:
        """Return the factor that clips the gradient's length."""
        longest = self._settings.clip_gradient
        if longest is None:
            return 1.0
        lengths = [
            each[..., rows, :].norm()
            for each in gradients
            for rows in self._storage.split_rows(each)
        ]
        return min(1.0, longest / (float(torch.stack(lengths).norm()) + 1e-30))

    def _compute_move(self, first: Tensor, second: Tensor, count: int) -> Tensor:
        """Return what to subtract at a rate of 1, from moments of a number of gradients."""
        settings = self._settings
        deviation = (second / (1 - settings.beta2**count)).sqrt_().add_(settings.epsilon * LEVELS)
        return first / (1 - settings.beta1**count) / deviation

    def state(self) -> dict[str, Any]:
        """See :meth:`impasto.optimize.solvers.solver.Solver.state`."""
        return {
            "parameters": self._parameters,
            "first": self._first,
            "second": self._second,
            "average": self._average,
            "steps": self._steps,
            "inherited": self._inherited,
        }

    def load(self, state: dict[str, Any]) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.load`."""
        self._steps, self._inherited = state["steps"], state["inherited"]
        self._parameters = hold(state["parameters"], self._storage)
        self._first = hold(state["first"], self._storage)
        self._second = hold(state["second"], self._storage)
        if self._average is not None:
            self._average = self._storage.hold(state["average"])

    def inherit(self, state: dict[str, Any]) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.inherit`."""
        # The gradient of a mean over N numbers is 1/N of each number's own.
        ratio = count_numbers(state["parameters"]) / count_numbers(self._parameters)
        self._inherited = state["inherited"] + state["steps"]
        self._first = self._canvas.adapt(state["first"], ratio)
        self._second = self._canvas.adapt(state["second"], ratio**2)
        for each in self._second:
            each.clamp_(min=0)  # not all bicubic weights are positive

    def close(self) -> None:
        """See :meth:`impasto.optimize.solvers.solver.Solver.close`; nothing outlives a step."""
