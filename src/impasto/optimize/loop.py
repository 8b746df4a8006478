"""The loop: pictures in, a stream of steps out.

:class:`Stylizer` yields a :class:`Step` after every iteration. Progress bars, snapshots, previews
and cancellation are consumers of that stream; the loop itself prints nothing and keeps no global
state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.encoders.weights import load_encoder
from impasto.errors import InputError, LimitError
from impasto.media.picture import Picture, fit_within
from impasto.objective.objective import Objective, taps
from impasto.optimize import canvas
from impasto.optimize.checkpoint import Keeper, RunState, load_state
from impasto.optimize.device import autocast_dtype, default_longer_side, resolve_device
from impasto.optimize.schedule import SHORTEST, Scale, painting_size, plan_scales
from impasto.optimize.scipy_lbfgsb import ScipyLbfgsb
from impasto.optimize.solvers import Adam, BoundedLbfgs, Evaluate, SolverLike, TorchLbfgs
from impasto.recipe import Recipe, Solver

if TYPE_CHECKING:
    from PIL import Image

SOLVERS: dict[str, Callable[[Solver, Tensor, Evaluate], SolverLike]] = {
    "adam": Adam,
    "lbfgs": TorchLbfgs,
    "lbfgsb": ScipyLbfgsb,
    "bounded": BoundedLbfgs,
}


@dataclass(frozen=True)
class Step:
    """One iteration: one evaluation of the objective and its gradient.

    Attributes:
        iteration: 1 for the first, over the whole run.
        total: iterations of the whole run.
        scale: index of the scale, 0 the coarsest.
        scales: how many there are.
        width, height: of the picture at this scale, in pixels.
        losses: ``total``, ``content``, ``style`` and ``smoothness``, weighted. Those of the very
            last step are measured on the 8-bit picture that will be saved.
        elapsed_s: seconds worked so far, sessions before a resume included.
        eta_s: seconds left, from the work left at the rate of this scale.
    """

    iteration: int
    total: int
    scale: int
    scales: int
    width: int
    height: int
    losses: dict[str, float]
    elapsed_s: float
    eta_s: float
    _solver: SolverLike
    _photo: Picture

    def picture(self) -> Picture:
        """The best picture so far, at this scale's size, float32."""
        return canvas.to_picture(self._solver.picture, self._photo)

    def preview(self) -> Image.Image:
        """The best picture so far as a PIL image, 8 bit."""
        return self.picture().to_pil()


class Stylizer:
    """An engine for one recipe: the network is loaded once and serves any number of runs."""

    def __init__(
        self, recipe: Recipe, *, device: str = "auto", weights: str | Path | None = None
    ) -> None:
        """Load the network.

        Args:
            recipe: what to do.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            weights: a VGG weights file; none: the cache, then the wheel's.

        Raises:
            InputError, ResourceError: the device does not exist.
            WeightsError: the weights are missing or damaged.
        """
        self.recipe = recipe
        self.device = resolve_device(device)
        self._autocast = autocast_dtype(recipe.precision, self.device)
        self._encoder = load_encoder(
            recipe.encoder.network,
            taps(recipe),
            pooling=recipe.encoder.pooling,
            padding=recipe.encoder.padding,
            weights=None if weights is None else Path(weights),
            device=self.device,
        )

    def size_for(self, photo: Picture) -> tuple[int, int]:
        """(width, height) of the result for a photo.

        Raises:
            LimitError: the shorter side would be too short for the network.
        """
        longer = self.recipe.size or default_longer_side(
            max(photo.width, photo.height), self.device
        )
        width, height = fit_within(photo.width, photo.height, longer)
        if min(width, height) < SHORTEST:
            raise LimitError(
                f"the result would be {width}x{height} px, but VGG needs {SHORTEST} px on the "
                "shorter side: ask for a larger --size or crop the photo"
            )
        return width, height

    def run(
        self,
        content: Picture,
        styles: Sequence[Picture],
        *,
        checkpoint: str | Path | None = None,
        resume: str | Path | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo, yielding after every iteration.

        Closing the generator, or an exception in its consumer, stops the run; with a checkpoint
        path its state is written then, and at least every 30 s before.

        Args:
            content: the photo.
            styles: one painting or more; the recipe's ``style.weights`` blend them.
            checkpoint: a file to keep the state in.
            resume: a checkpoint of a run with the same recipe and pictures to go on from.

        Raises:
            InputError: no painting, weights that do not match, or a checkpoint of another run.
            LimitError: the result would be too small for the network.
        """
        weights = self.recipe.style.weights
        if not styles:
            raise InputError("no painting given: a style is needed")
        if weights and len(weights) != len(styles):
            raise InputError(f"{len(styles)} painting(s) but {len(weights)} style weight(s)")
        inputs = [picture.sha256() for picture in (content, *styles)]
        state = None
        if resume is not None:
            state = load_state(Path(resume), self.device)
            _check_same_run(state, self.recipe, inputs, Path(resume))
        scales = plan_scales(self.recipe.schedule, *self.size_for(content))
        keeper = Keeper(None if checkpoint is None else Path(checkpoint))
        run = _Run(self, content, styles, scales, keeper, inputs)
        return run.steps(state)

    def objective(self, content: Picture, styles: Sequence[Picture], scale: Scale) -> Objective:
        """The objective of a run at one of its scales, targets measured."""
        return Objective(
            self.recipe,
            self._encoder,
            canvas.to_tensor(content, scale.width, scale.height, self.device),
            self._paintings(styles, scale),
            autocast=self._autocast,
        )

    def _paintings(self, styles: Sequence[Picture], scale: Scale) -> list[Tensor]:
        result = (scale.width, scale.height)
        ratio = self.recipe.style.scale
        sizes = [painting_size((p.width, p.height), result, ratio) for p in styles]
        return [
            canvas.to_tensor(picture, *size, self.device)
            for picture, size in zip(styles, sizes, strict=True)
        ]


class _Run:
    """One photo on its way through the scales."""

    def __init__(
        self,
        stylizer: Stylizer,
        content: Picture,
        styles: Sequence[Picture],
        scales: tuple[Scale, ...],
        keeper: Keeper,
        inputs: list[str],
    ) -> None:
        self._stylizer = stylizer
        self._content = content
        self._styles = styles
        self._scales = scales
        self._keeper = keeper
        self._inputs = inputs
        self._iteration = 0
        self._elapsed_before = 0.0
        self._began = 0.0

    def steps(self, state: RunState | None) -> Generator[Step, None, None]:
        self._began = time.monotonic()
        image: Tensor | None = None
        first = 0
        if state is not None:
            first, self._iteration = state.scale, state.iteration
            self._elapsed_before = state.elapsed_s
        for index in range(first, len(self._scales)):
            scale = self._scales[index]
            resumed = state if state is not None and index == first else None
            if image is None and resumed is None:
                image = self._start(scale)
            image = yield from self._at_scale(index, scale, image, resumed)

    def _start(self, scale: Scale) -> Tensor:
        stylizer = self._stylizer
        return canvas.starting_image(
            stylizer.recipe.start,
            canvas.to_tensor(self._content, scale.width, scale.height, stylizer.device),
            stylizer._paintings(self._styles, scale),
            stylizer.recipe.seed,
        )

    def _at_scale(
        self, index: int, scale: Scale, image: Tensor | None, state: RunState | None
    ) -> Generator[Step, None, Tensor]:
        recipe = self._stylizer.recipe
        objective = self._stylizer.objective(self._content, self._styles, scale)
        if image is None:
            image = torch.zeros(1, 3, scale.height, scale.width, device=self._stylizer.device)
        start = canvas.enlarged(image, scale.width, scale.height)
        if index and state is None and recipe.schedule.detail:
            start = canvas.with_detail(
                start, self._content, self._scales[index - 1], recipe.schedule.detail
            )
        solver = SOLVERS[recipe.solver.kind](recipe.solver, start, _evaluator(objective))
        done = 0
        if state is not None:
            solver.load(state.solver)
            done = state.done
        began, begun_at = time.monotonic(), done
        try:
            while done < scale.iterations:
                losses = solver.step()
                done += 1
                self._iteration += 1
                last = index == len(self._scales) - 1 and done == scale.iterations
                if last:
                    losses = _saved_losses(objective, solver.picture)
                self._keeper.offer(self._state(index, done, solver))
                pace = (time.monotonic() - began) / ((done - begun_at) * scale.width * scale.height)
                yield self._step(index, scale, losses, pace * self._work_left(index, done), solver)
            return solver.picture
        except GeneratorExit:
            self._keeper.keep(self._state(index, done, solver))
            raise
        finally:
            solver.close()

    def _work_left(self, index: int, done: int) -> int:
        scale = self._scales[index]
        here = (scale.iterations - done) * scale.width * scale.height
        return here + sum(finer.work for finer in self._scales[index + 1 :])

    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._began

    def _step(
        self, index: int, scale: Scale, losses: dict[str, float], eta_s: float, solver: SolverLike
    ) -> Step:
        return Step(
            iteration=self._iteration,
            total=sum(each.iterations for each in self._scales),
            scale=index,
            scales=len(self._scales),
            width=scale.width,
            height=scale.height,
            losses=losses,
            elapsed_s=self._elapsed(),
            eta_s=eta_s,
            _solver=solver,
            _photo=self._content,
        )

    def _state(self, index: int, done: int, solver: SolverLike) -> RunState:
        return RunState(
            recipe=_essence(self._stylizer.recipe),
            inputs=self._inputs,
            scale=index,
            done=done,
            iteration=self._iteration,
            elapsed_s=self._elapsed(),
            solver=solver.state(),
        )


def _evaluator(objective: Objective) -> Evaluate:
    def evaluate(image: Tensor) -> tuple[dict[str, float], Tensor]:
        variable = image.detach().requires_grad_()
        losses = objective(variable)
        (gradient,) = torch.autograd.grad(losses.total, variable)
        return losses.as_numbers(), gradient.contiguous()

    return evaluate


def _saved_losses(objective: Objective, image: Tensor) -> dict[str, float]:
    with torch.no_grad():
        return objective((image * 255).round() / 255).as_numbers()


def _essence(recipe: Recipe) -> str:
    """The recipe without what changes no pixel."""
    return recipe.model_dump_json(exclude={"name", "description", "snapshot_every"})


def _check_same_run(state: RunState, recipe: Recipe, inputs: list[str], path: Path) -> None:
    if state.inputs != inputs:
        raise InputError(f"checkpoint {path} belongs to another photo or painting")
    if state.recipe != _essence(recipe):
        raise InputError(
            f"checkpoint {path} belongs to a run with another recipe or size: "
            "repeat the command it was made with"
        )
