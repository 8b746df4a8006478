"""Carry out one pass of a run: its canvas, its objective and its solver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from impasto.canvas.view import Canvas, Parameters
from impasto.engine.pixels.tensors import round_to_levels
from impasto.objective.losses.temporal import PastResult
from impasto.objective.terms import PassPictures
from impasto.objective.views import ViewsObjective
from impasto.optimize.checkpoint import RunState
from impasto.optimize.kept_part import KeptPart
from impasto.optimize.passes import Pass
from impasto.optimize.run_setup import RunSetup
from impasto.optimize.solvers.solver import Solver, SolverProblem
from impasto.optimize.solvers.solver_choice import make_solver


class PassProblem:
    """What the solver of a pass minimizes. The objective is built when it is first evaluated.

    Attributes:
        current_pass: the pass. It may be replaced by one that needs less memory; see
            :meth:`release`.
        canvas: the canvas of the pass.
        start: [1, 3, H, W], the picture that the pass started from. None: nothing depends on it.
        photo_mask: [H, W] in [0, 1], how much of the photo is kept. None: none of it.
        steps: the number of steps that the solver has taken.
    """

    def __init__(self, setup: RunSetup, current_pass: Pass, before: PassProblem | None) -> None:
        """Make the canvas.

        Args:
            setup: what all passes work with.
            current_pass: the pass.
            before: the problem of the pass before. None: this is the first pass.
        """
        self.current_pass = current_pass
        self.canvas = setup.make_canvas(current_pass.scale)
        self.start: Tensor | None = None
        self.photo_mask: Tensor | None = None
        self.steps = 0
        self._setup = setup
        self._before = None if before is None else before._give_objective(current_pass)
        self._objective: ViewsObjective | None = None
        self._frozen: KeptPart | None = None
        self._frozen_views: list[KeptPart] = []

    def prepare(self, start: Tensor | None) -> None:
        """Prepare what the pass does not change.

        Args:
            start: [1, 3, H, W], the picture that the pass started from. None: it was not kept,
                since nothing depends on it.
        """
        current_pass, storage = self.current_pass, self._setup.storage
        if current_pass.objective.depends_on_start or current_pass.mask.keeps == "start":
            self.start = start
        mask = current_pass.mask.make(current_pass.scale, storage)
        if mask is None:
            return
        if current_pass.mask.keeps == "photo":
            self.photo_mask = mask
            picture = self._setup.load_photo(current_pass.scale)
        else:
            assert start is not None
            picture = start
        self._frozen = KeptPart(picture, mask, storage)
        views = self.canvas.make_views(picture)
        self._frozen_views = [
            KeptPart(view.image, part, storage)
            for view, part in zip(views, _view_mask(self.canvas, mask), strict=True)
        ]

    def evaluate(self, parameters: Sequence[Tensor]) -> tuple[dict[str, float], Parameters]:
        """Return the losses by name at some parameters, and the gradient of the total."""
        views = self._setup.choose_views(self.steps)
        canvas, objective, parts = self.canvas, self._get_objective(), self._frozen_views
        if views is not None:
            canvas = self._setup.make_canvas(self.current_pass.scale, views)
            objective = objective.select(views)
            parts = [parts[view] for view in views] if parts else []
        images = [view.image for view in canvas.render(parameters)]
        if parts:
            images = [part.cover(image) for part, image in zip(parts, images, strict=True)]
        losses, gradients = objective.evaluate(images)
        for part, gradient in zip(parts, gradients, strict=False):
            part.stop(gradient)
        return losses, canvas.pull_back(parameters, gradients)

    def compute_losses(self, picture: Tensor) -> dict[str, float]:
        """Return the losses by name of a finished picture [1, 3, H, W]."""
        images = [view.image for view in self.canvas.make_views(picture)]
        return self._get_objective().compute_losses(images)

    def restore(self, picture: Tensor) -> Tensor:
        """Return a picture [1, 3, H, W] with what is kept blended in."""
        return picture if self._frozen is None else self._frozen.blend(picture)

    def release(self, current_pass: Pass) -> None:
        """Free the memory of the objective, and continue with a pass that needs less of it."""
        self._before = self._objective = None
        self.current_pass = current_pass

    def _give_objective(self, following: Pass) -> ViewsObjective | None:
        """Let go of the objective, and return it if a later pass has the same size."""
        objective, self._objective = self._objective, None
        sizes = [(each.scale.width, each.scale.height) for each in (self.current_pass, following)]
        return objective if sizes[0] == sizes[1] else None

    def _get_objective(self) -> ViewsObjective:
        if self._objective is None:
            self._objective = self._build_objective()
            self._before = None
        return self._objective

    def _build_objective(self) -> ViewsObjective:
        setup, spec = self._setup, self.current_pass.objective
        start = self.start if spec.depends_on_start else None
        pictures = setup.gather_pictures(self.current_pass.scale, start)
        areas = [view.area for view in self.canvas.make_views(pictures.photo)]
        before = [None] * len(areas) if self._before is None else self._before.objectives
        objectives = [
            spec.build(setup.extractor, each, old)
            for each, old in zip(_split_pictures(pictures, self.canvas), before, strict=True)
        ]
        return ViewsObjective(objectives, areas)


class RunningPass:
    """A pass at work: a solver, and the problem that it solves."""

    def __init__(self, setup: RunSetup, current_pass: Pass, before: RunningPass | None) -> None:
        """Take over what is left of the pass before; arguments as for :class:`PassProblem`."""
        earlier: PassProblem | None = None if before is None else before.problem
        self.problem: PassProblem = PassProblem(setup, current_pass, earlier)
        self._setup = setup
        self._solver: Solver

    def begin(self, state: RunState | None, before: RunningPass | None) -> None:
        """Make the solver.

        Args:
            state: the state of the run in this pass. None: start the pass.
            before: the pass before, which has ended. None: start from the beginning.
        """
        problem, setup, scale = self.problem, self._setup, self.problem.current_pass.scale
        if state is not None:  # the state has the picture; only the shape is needed here
            image = setup.make_blank(scale)
        elif before is None:
            image = setup.make_start(scale)
        else:
            image = setup.enlarge_start(
                before.hand_over(), before.problem.current_pass.scale, scale
            )
        problem.prepare(image if state is None else state.start)
        start = problem.canvas.make_parameters(image)
        self._solver = make_solver(
            setup.recipe,
            SolverProblem(problem.canvas, start, problem.evaluate, setup.storage),
        )
        if state is not None:
            problem.steps = len(state.totals)
            self._solver.load(state.solver)
        elif before is not None and setup.recipe.schedule.carry:
            self._solver.inherit(before.solver_state)

    @property
    def solver_state(self) -> dict[str, Any]:
        """The state of the solver."""
        return self._solver.state()

    def step(self) -> dict[str, float]:
        """Take one step and return its losses. It can be repeated if memory runs out."""
        losses = self._solver.step()
        self.problem.steps += 1
        return losses

    def show(self) -> Tensor:
        """Return the best picture so far, [1, 3, H, W] in [0, 1], with what is kept in it."""
        return self.problem.restore(self._solver.picture)

    def hand_over(self) -> Tensor:
        """Return the picture that the next pass starts from.

        A kept photo is not put back, since its soft edges would be blended in again.
        """
        keeps_start = self.problem.current_pass.mask.keeps == "start"
        return self.show() if keeps_start else self._solver.picture

    def measure_saved(self, picture: Tensor) -> dict[str, float]:
        """Compute the losses of a picture as a file of 8 bits holds it."""
        return self.problem.compute_losses(round_to_levels(picture, self._setup.storage))

    def close(self) -> None:
        """Release what outlives the solver's steps; see :meth:`Solver.close`."""
        self._solver.close()


def _split_pictures(pictures: PassPictures, canvas: Canvas) -> Iterator[PassPictures]:
    """Yield what the objective of each view compares."""
    masks = [_view_mask(canvas, mask) for mask in pictures.masks]
    starts = None if pictures.start is None else canvas.make_views(pictures.start)
    past = pictures.past
    if past is not None:
        results = canvas.make_views(past.picture)
        reliabilities = _view_mask(canvas, past.reliability)
    for index, view in enumerate(canvas.make_views(pictures.photo)):
        yield replace(
            pictures,
            photo=view.image,
            masks=[each[index] for each in masks],
            weight=view.weight,
            past=None if past is None else PastResult(results[index].image, reliabilities[index]),
            start=None if starts is None else starts[index].image,
        )


def _view_mask(canvas: Canvas, mask: Tensor) -> list[Tensor]:
    """Return what the views of a canvas show of a mask [H, W]."""
    return [view.image[0, 0] for view in canvas.make_views(mask[None, None])]
