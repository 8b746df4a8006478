"""Take one photo through the passes of a run, from a start or from a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.canvas.view import Parameters
from impasto.engine.inputs import Inputs
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels import tensors
from impasto.engine.pixels.colors import prepare_colors
from impasto.engine.plan import Pace
from impasto.engine.regions import blend_images
from impasto.engine.sizes import Scale, is_over
from impasto.engine.step import Step
from impasto.objective.evaluation import Objective
from impasto.objective.focused import FocusedObjective
from impasto.objective.whole import WholeObjective
from impasto.optimize.budget.memory import TILES, Layout
from impasto.optimize.checkpoint import Keeper, RunState
from impasto.optimize.objective_choice import Situation, make_objective
from impasto.optimize.passes import Pass, estimate_work_left
from impasto.optimize.past_frames import PastFrames
from impasto.optimize.preserving import PreservingObjective
from impasto.optimize.recovery import RecoveringObjective
from impasto.optimize.solvers.solver import Solver, SolverProblem
from impasto.optimize.solvers.solver_choice import make_canvas, make_solver
from impasto.optimize.tools import Tools


@dataclass(frozen=True)
class RunSetup:
    """Everything that one run needs besides the engine's tools.

    Attributes:
        inputs: the photo, the paintings, and their regions.
        passes: the passes of the run, in order.
        layout: the sizes of tiles, and where the state of the run is kept.
        storage: holds everything as large as the picture.
        keeper: writes the checkpoint.
        description: the recipe as JSON, which identifies the run in its checkpoint.
        hashes: hashes of the inputs, which identify the run too; see :class:`RunState`.
        pace: measures the seconds of an iteration.
        past: earlier frames. None: the photo is not a frame of a film.
    """

    inputs: Inputs
    passes: tuple[Pass, ...]
    layout: Layout
    storage: Storage
    keeper: Keeper
    description: str
    hashes: list[str]
    pace: Pace
    past: PastFrames | None = None


class Run:
    """The state of a run between its iterations."""

    def __init__(self, tools: Tools, setup: RunSetup) -> None:
        """Prepare the colors of the pictures; the first step computes the rest."""
        self._tools = tools
        self._setup = setup
        self._recipe = recipe = tools.extractor.recipe
        self._storage = setup.storage
        self._layout = setup.layout
        self._passes = setup.passes
        finest = setup.passes[-1].scale
        size = finest.width, finest.height
        self._content, self._styles = prepare_colors(
            recipe.colors, setup.inputs.photo, setup.inputs.paintings, size, recipe.style.scale
        )
        self._fell_back = False
        self._coarser: Solver | None = None
        """The solver of the last pass, until the next one has taken over from it."""
        self._focused: Tensor | None = None
        """The picture that a pass with a focus ended with."""
        self._start: Tensor | None = None
        """The picture that a pass started from, where its targets depend on it."""
        self._whole: Objective | None = None
        """The objective of a whole frame, kept from its pass with a focus for the next one."""
        self._preserved: Tensor | None = None
        self._iteration = 0
        self._elapsed_before = 0.0
        self._started = 0.0

    def steps(self, state: RunState | None) -> Generator[Step, None, None]:
        """Yield a step for every iteration.

        Args:
            state: the state to continue from; if its run had ended, its last step is yielded again.
                None: start from the beginning.
        """
        self._started = time.monotonic()
        first = 0
        if state is not None:
            first, self._iteration = state.scale, state.iteration
            self._elapsed_before = state.elapsed_s
        for index in range(first, len(self._passes)):
            resumed = state if index == first else None
            if resumed is None and self._layout.tile and self._passes[index].focus is not None:
                continue  # in tiles, a pass with a focus costs as much as one without
            yield from self._run_pass(index, resumed)

    def _run_pass(self, index: int, state: RunState | None) -> Generator[Step, None, None]:
        current = self._passes[index]
        scale, schedule = current.scale, self._recipe.schedule
        recovering = RecoveringObjective(
            lambda: self._make_objective(current), lambda: self._shrink(current)
        )
        objective = recovering.attempt(lambda: self._preserve(current, recovering))
        solver = recovering.attempt(lambda: self._make_solver(index, state, objective))
        self._coarser = None  # this also frees the memory of its objective
        totals = [] if state is None else list(state.totals)
        self._setup.pace.begin()
        is_finest = index == len(self._passes) - 1

        def has_ended() -> bool:
            # A run that falls back to tiles skips the rest of a focus; see `steps`.
            is_skipped = current.focus is not None and self._layout.tile != 0
            return is_skipped or is_over(totals, scale, schedule)

        ended = has_ended()
        try:
            if is_finest and ended:
                picture = recovering.attempt(lambda: objective.restore(solver.picture))
                losses = self._measure_saved(recovering, objective, picture)
                yield self._make_step(index, losses, 0.0, picture, last=True)
            while not ended:
                losses = recovering.attempt(solver.step)
                totals.append(losses["total"])
                self._iteration += 1
                ended = has_ended()
                picture = recovering.attempt(lambda: objective.restore(solver.picture))
                if is_finest and ended:
                    losses = self._measure_saved(recovering, objective, picture)
                self._setup.keeper.offer(self._make_state(index, totals, solver))
                tile, halo = self._layout.tile, self._tools.halo
                pace = self._setup.pace.update(current.estimate_work(tile, halo))
                done = scale.iterations if ended else len(totals)
                left = estimate_work_left(self._passes, index, done, tile, halo)
                yield self._make_step(index, losses, pace * left, picture, last=is_finest and ended)
            if current.focus is not None:
                self._focused = recovering.attempt(lambda: objective.restore(solver.picture))
            self._coarser = solver
        except GeneratorExit:
            self._setup.keeper.keep(self._make_state(index, totals, solver))
            raise
        finally:
            solver.close()

    def _make_start(self, index: int) -> Tensor:
        """Return the picture that a pass starts from: the last pass's, or the recipe's start."""
        scale, recipe, storage = self._passes[index].scale, self._recipe, self._storage
        if self._focused is not None:
            return self._focused
        if self._coarser is not None:
            start = tensors.enlarge(self._coarser.picture, scale.width, scale.height, storage)
            detail, coarser = recipe.schedule.detail, self._passes[index - 1].scale
            if not detail:
                return start
            return tensors.add_detail(start, self._content, coarser, detail, storage)
        if self._setup.past is not None:
            return self._make_past_start(scale)
        content = tensors.picture_to_tensor(self._content, scale.width, scale.height, storage)
        shown = self._styles[:1] if recipe.start.base == "style" else []
        paintings = self._tools.make_paintings(shown, scale, storage)
        base, regions = content, self._setup.inputs.regions
        if self._tools.draft is not None:
            base = self._tools.draft(content, self._content, self._styles, regions)
        start = tensors.make_start(recipe.start, base, paintings, recipe.seed, storage)
        if start is content:
            return start
        weakness = regions.make_weakness_map(scale.width, scale.height, storage)
        if weakness is None:
            return start
        return blend_images(start, content, weakness, storage)  # strength 0 is the photo

    def _make_past_start(self, scale: Scale) -> Tensor:
        past = self._setup.past
        assert past is not None
        return tensors.picture_to_tensor(past.start, scale.width, scale.height, self._storage)

    def _make_solver(
        self, index: int, state: RunState | None, objective: PreservingObjective
    ) -> Solver:
        """Make the solver of a pass: from a state, or new with what the coarser one learned."""
        recipe, scale = self._recipe, self._passes[index].scale
        if state is None:
            image = self._make_start(index)
        else:  # the state has the picture; only the shape is needed here
            image = torch.zeros(1, 3, 1, 1).expand(1, 3, scale.height, scale.width)
        if recipe.style.distance == "neighbors":
            self._start = image.clone() if state is None else state.start
        canvas = make_canvas(recipe, image, self._storage)

        def evaluate(parameters: Sequence[Tensor]) -> tuple[dict[str, float], Parameters]:
            (view,) = canvas.render(parameters)
            losses, gradient = objective.evaluate(view.image)
            return losses, canvas.pull_back(parameters, [gradient])

        start = canvas.make_parameters(image)
        solver = make_solver(recipe, SolverProblem(canvas, start, evaluate, self._storage))
        if state is not None:
            solver.load(state.solver)
        elif self._coarser is not None and recipe.schedule.carry:
            solver.inherit(self._coarser.state())
        return solver

    def _measure_elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._started

    def _make_step(
        self, index: int, losses: dict[str, float], eta_s: float, picture: Tensor, *, last: bool
    ) -> Step:
        scale = self._passes[index].scale
        return Step(
            iteration=self._iteration,
            total=sum(each.scale.iterations for each in self._passes),
            scale=index,
            scales=len(self._passes),
            width=scale.width,
            height=scale.height,
            losses=losses,
            elapsed_s=self._measure_elapsed(),
            eta_s=eta_s,
            tile=self._layout.tile,
            fell_back=self._fell_back,
            last=last,
            _image=picture,
            _photo=self._setup.inputs.photo,
            _colors=self._recipe.colors,
            _kept=self._preserved,
        )

    def _make_state(self, index: int, totals: list[float], solver: Solver) -> RunState:
        return RunState(
            recipe=self._setup.description,
            inputs=self._setup.hashes,
            tile=self._layout.tile,
            scale=index,
            totals=totals,
            iteration=self._iteration,
            elapsed_s=self._measure_elapsed(),
            solver=solver.state(),
            start=self._start,
        )

    def _measure_saved(
        self, recovering: RecoveringObjective, objective: PreservingObjective, picture: Tensor
    ) -> dict[str, float]:
        """Compute the losses of the picture as a file of 8 bits holds it."""
        return recovering.attempt(
            lambda: objective.compute_losses(tensors.round_to_levels(picture, self._storage))
        )

    def _make_objective(self, current: Pass) -> Objective:
        whole, self._whole = self._whole or self._make_whole_objective(current.scale), None
        focus = current.focus
        if focus is None:
            return whole
        self._whole = whole
        if not isinstance(whole, WholeObjective):  # its features are not in memory
            return whole
        start = self._make_past_start(current.scale)
        return FocusedObjective(whole, start, focus.changing, focus.unchanged)

    def _make_whole_objective(self, scale: Scale) -> Objective:
        past, storage = self._setup.past, self._storage
        photo = tensors.picture_to_tensor(self._content, scale.width, scale.height, storage)
        situation = Situation(
            scale,
            storage,
            tile=self._layout.tile,
            start=self._start,
            past=None if past is None else past.resize(scale, storage),
        )
        return make_objective(
            self._tools,
            photo,
            self._tools.make_paintings(self._styles, scale, storage),
            self._setup.inputs.regions,
            situation,
        )

    def _preserve(self, current: Pass, objective: Objective) -> PreservingObjective:
        """Wrap an objective so that the preserved parts of the photo do not change."""
        scale, storage = current.scale, self._storage
        if current.focus is not None:
            start = self._make_past_start(scale)
            return PreservingObjective(objective, storage, start, current.focus.make_mask())
        regions = self._setup.inputs.regions
        preserved = regions.make_kept_mask(scale.width, scale.height, storage)
        self._preserved = preserved
        if preserved is None:
            return PreservingObjective(objective, storage)
        photo = tensors.picture_to_tensor(self._content, scale.width, scale.height, storage)
        return PreservingObjective(objective, storage, photo, preserved)

    def _shrink(self, current: Pass) -> bool:
        """Continue in tiles of half the side, the first time that memory runs out."""
        self._whole = None
        longest = max(current.scale.width, current.scale.height)
        side = min(self._layout.tile or longest, longest)
        tile = next((tile for tile in TILES if tile <= side // 2), TILES[-1])
        needs_whole = self._recipe.style.distance == "neighbors"
        if self._fell_back or tile >= side or needs_whole:
            return False
        self._layout = replace(self._layout, tile=tile)
        self._fell_back = True
        return True
