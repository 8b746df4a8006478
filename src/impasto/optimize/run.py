"""One photo on its way through the scales, from a start or from a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.engine import tensors as canvas
from impasto.engine.colors import prepare_colors
from impasto.engine.plan import Pace, total_work, work
from impasto.engine.regions import Regions, blend_images
from impasto.engine.sizes import Scale, is_over
from impasto.engine.step import Step
from impasto.engine.storage import Storage
from impasto.image.picture import Picture
from impasto.objective.focused import FocusedObjective
from impasto.objective.whole import Objective
from impasto.optimize.checkpoint import Keeper, RunState
from impasto.optimize.focus import Focus
from impasto.optimize.memory import TILES, Layout
from impasto.optimize.past_frames import Before
from impasto.optimize.preserved import Kept
from impasto.optimize.recovery import ObjectiveLike, RecoveringObjective
from impasto.optimize.solvers.choice import solver_for
from impasto.optimize.solvers.solver import Evaluate, SolverLike

if TYPE_CHECKING:
    from impasto.optimize.optimizer_engine import OptimizerEngine


class Run:
    """One photo, its paintings, and how far they have come."""

    def __init__(
        self,
        stylizer: OptimizerEngine,
        content: Picture,
        styles: Sequence[Picture],
        regions: Regions,
        scales: tuple[Scale, ...],
        layout: Layout,
        storage: Storage,
        keeper: Keeper,
        identity: tuple[str, list[str]],
        pace: Pace,
        before: Before | None = None,
    ) -> None:
        """Note what to work on.

        Args:
            stylizer: with the network and the recipe.
            content: the photo.
            styles: the paintings.
            regions: of the photo.
            scales: coarse to fine; before those of a frame with a focus, the one for that.
            layout: of the run in memory.
            storage: of everything as large as the picture.
            keeper: of the checkpoint.
            identity: recipe and inputs, as :class:`RunState` keeps them.
            pace: of its iterations.
            before: what the frames before have come to, if the photo is one of a film.
        """
        self._stylizer = stylizer
        self._photo = content
        recipe, size = stylizer.recipe, (scales[-1].width, scales[-1].height)
        self._content, self._styles = prepare_colors(
            recipe.colors, content, styles, size, recipe.style.scale
        )
        self._regions = regions
        self._kept: Tensor | None = None
        self._scales = scales
        self._layout = layout
        self._fell_back = False
        self._begun: Tensor | None = None
        self._storage = storage
        self._keeper = keeper
        self._recipe, self._inputs = identity
        self._pace = pace
        self._before = before
        self._whole: ObjectiveLike | None = None
        self._worked: Tensor | None = None
        self._iteration = 0
        self._elapsed_before = 0.0
        self._began = 0.0

    def steps(self, state: RunState | None) -> Generator[Step, None, None]:
        """Every iteration after ``state``; if there is none, the last one again."""
        self._began = time.monotonic()
        first = 0
        done: list[SolverLike] = []  # a list, for the next scale to take it out and let go of it
        if state is not None:
            first, self._iteration = state.scale, state.iteration
            self._elapsed_before = state.elapsed_s
        for index in range(first, len(self._scales)):
            resumed = state if index == first else None
            if resumed is None and self._layout.tile and self._focus(self._scales[index]):
                continue  # in tiles boxes would cost what all of the frame does
            done.append((yield from self._at_scale(index, done, resumed)))

    def _start(self, index: int, coarser: SolverLike | None) -> Tensor:
        """What a scale begins with: the picture of the one before, or the recipe's start."""
        stylizer, scale = self._stylizer, self._scales[index]
        recipe = stylizer.recipe
        if self._worked is not None:
            return self._worked
        if coarser is not None:
            start = canvas.enlarge(coarser.picture, scale.width, scale.height, self._storage)
            detail, before = recipe.schedule.detail, self._scales[index - 1]
            if not detail:
                return start
            return canvas.add_detail(start, self._content, before, detail, self._storage)
        if self._before is not None:
            return canvas.picture_to_tensor(
                self._before.start, scale.width, scale.height, self._storage
            )
        content = canvas.picture_to_tensor(self._content, scale.width, scale.height, self._storage)
        seen = self._styles[:1] if recipe.start.base == "style" else []
        paintings = stylizer.paintings(seen, scale, self._storage)
        base = content
        if stylizer.draft is not None:
            base = stylizer.draft(content, self._content, self._styles, self._regions)
        start = canvas.make_start(recipe.start, base, paintings, recipe.seed, self._storage)
        if start is content:
            return start
        weakness = self._regions.make_weakness_map(scale.width, scale.height, self._storage)
        if weakness is None:
            return start
        return blend_images(start, content, weakness, self._storage)  # strength 0 is the photo

    def _shape(self, index: int) -> Tensor:
        """A stand-in for the start of a solver that is about to load its state."""
        scale = self._scales[index]
        return torch.zeros(1, 3, 1, 1).expand(1, 3, scale.height, scale.width)

    def _at_scale(
        self, index: int, before: list[SolverLike], state: RunState | None
    ) -> Generator[Step, None, SolverLike]:
        scale, schedule = self._scales[index], self._stylizer.recipe.schedule
        sturdy = RecoveringObjective(self._objective_at(scale), lambda: self._smaller(scale))
        objective = sturdy.attempted(lambda: self._keeping(scale, sturdy))
        coarser = before.pop() if before else None
        solver = sturdy.attempted(lambda: self._solver(index, coarser, state, objective.evaluate))
        coarser = None  # with its objective: their memory is wanted
        seen = [] if state is None else list(state.seen)
        self._pace.begin()
        finest, focus = index == len(self._scales) - 1, self._focus(scale)

        def ended() -> bool:
            in_vain = focus is not None and self._layout.tile != 0
            return in_vain or is_over(seen, scale, schedule)

        over = ended()
        try:
            if finest and over:
                picture = sturdy.attempted(lambda: objective.shown(solver.picture))
                losses = self._losses_saved(sturdy, objective, picture)
                yield self._step(index, losses, 0.0, picture, last=True)
            while not over:
                losses = sturdy.attempted(solver.step)
                seen.append(losses["total"])
                self._iteration += 1
                over = ended()
                picture = sturdy.attempted(lambda: objective.shown(solver.picture))
                if finest and over:
                    losses = self._losses_saved(sturdy, objective, picture)
                self._keeper.offer(self._state(index, seen, solver))
                pace = self._pace.after(self._work(scale))
                left = pace * self._work_left(index, scale.iterations if over else len(seen))
                yield self._step(index, losses, left, picture, last=finest and over)
            if focus is not None:
                self._worked = sturdy.attempted(lambda: objective.shown(solver.picture))
            return solver
        except GeneratorExit:
            self._keeper.keep(self._state(index, seen, solver))
            raise
        finally:
            solver.close()

    def _solver(
        self,
        index: int,
        coarser: SolverLike | None,
        state: RunState | None,
        evaluate: Evaluate,
    ) -> SolverLike:
        """Of a scale: begun, begun with what the coarser one learned, or as it was in a state."""
        recipe = self._stylizer.recipe
        start = self._start(index, coarser) if state is None else self._shape(index)
        if recipe.style.distance == "neighbors":
            self._begun = start.clone() if state is None else state.begun
        solver = solver_for(recipe, start, evaluate, self._storage)
        if state is not None:
            solver.load(state.solver)
        elif coarser is not None and recipe.schedule.carry:
            solver.inherit(coarser.state())
        return solver

    def _work_left(self, index: int, done: int) -> float:
        scale = self._scales[index]
        here = (scale.iterations - done) * self._work(scale)
        finer = self._scales[index + 1 :]
        return here + total_work(finer, self._layout.tile, self._stylizer.halo)

    def _work(self, scale: Scale) -> float:
        focus = self._focus(scale)
        part = 1.0 if focus is None else focus.cost
        return part * work(scale, self._layout.tile, self._stylizer.halo)

    def _focus(self, scale: Scale) -> Focus | None:
        """Where the iterations of a scale are spent; none: everywhere."""
        return self._before.focus if self._before and scale is self._scales[0] else None

    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._began

    def _step(
        self, index: int, losses: dict[str, float], eta_s: float, picture: Tensor, *, last: bool
    ) -> Step:
        return Step(
            iteration=self._iteration,
            total=sum(each.iterations for each in self._scales),
            scale=index,
            scales=len(self._scales),
            width=self._scales[index].width,
            height=self._scales[index].height,
            losses=losses,
            elapsed_s=self._elapsed(),
            eta_s=eta_s,
            tile=self._layout.tile,
            fell_back=self._fell_back,
            last=last,
            _image=picture,
            _photo=self._photo,
            _colors=self._stylizer.recipe.colors,
            _kept=self._kept,
        )

    def _state(self, index: int, seen: list[float], solver: SolverLike) -> RunState:
        return RunState(
            recipe=self._recipe,
            inputs=self._inputs,
            tile=self._layout.tile,
            scale=index,
            seen=seen,
            iteration=self._iteration,
            elapsed_s=self._elapsed(),
            solver=solver.state(),
            begun=self._begun,
        )

    def _losses_saved(
        self, sturdy: RecoveringObjective, objective: Kept, picture: Tensor
    ) -> dict[str, float]:
        return sturdy.attempted(
            lambda: objective.losses(canvas.round_to_levels(picture, self._storage))
        )

    def _objective_at(self, scale: Scale) -> Callable[[], ObjectiveLike]:
        def made() -> ObjectiveLike:
            whole, self._whole = self._whole or self._whole_at(scale), None
            focus = self._focus(scale)
            if focus is None:
                return whole
            self._whole = whole  # for the iterations on all of the frame
            if not isinstance(whole, Objective):  # whose features are not at hand
                return whole
            return FocusedObjective(whole, self._start(0, None), focus.worked, focus.still)

        return made

    def _whole_at(self, scale: Scale) -> ObjectiveLike:
        past = None if self._before is None else self._before.past(scale, self._storage)
        return self._stylizer.objective(
            *(self._content, self._styles, scale, self._layout.tile, self._storage),
            *(self._regions, self._begun, past),
        )

    def _keeping(self, scale: Scale, objective: ObjectiveLike) -> Kept:
        focus = self._focus(scale)
        if focus is not None:
            return Kept(objective, self._storage, self._start(0, None), focus.outside())
        kept = self._kept = self._regions.make_kept_mask(scale.width, scale.height, self._storage)
        if kept is None:
            return Kept(objective, self._storage)
        photo = canvas.picture_to_tensor(self._content, scale.width, scale.height, self._storage)
        return Kept(objective, self._storage, photo, kept)

    def _smaller(self, scale: Scale) -> bool:
        """Go on in tiles of half the side, the first time that memory runs out."""
        self._whole = None
        longest = max(scale.width, scale.height)
        present = min(self._layout.tile or longest, longest)
        tile = next((tile for tile in TILES if tile <= present // 2), TILES[-1])
        whole = self._stylizer.recipe.style.distance == "neighbors"
        if self._fell_back or tile >= present or whole:
            return False
        self._layout = replace(self._layout, tile=tile)
        self._fell_back = True
        return True
