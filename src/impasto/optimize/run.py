"""Take one photo through the passes of a run, from a start or from a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from impasto.engine.plan import Pace
from impasto.engine.sizes import is_over
from impasto.engine.step import Step
from impasto.errors import ResourceError, is_out_of_memory
from impasto.optimize.checkpoint import Keeper, RunState, describe_recipe
from impasto.optimize.passes import Pass, estimate_work_left
from impasto.optimize.run_setup import RunSetup
from impasto.optimize.running_pass import RunningPass

P = ParamSpec("P")
T = TypeVar("T")


class Run:
    """The state of a run between its iterations."""

    def __init__(
        self,
        setup: RunSetup,
        passes: tuple[Pass, ...],
        *,
        tile: int,
        keeper: Keeper,
        pace: Pace,
    ) -> None:
        """Prepare a run; the first step computes everything.

        Args:
            setup: what all passes work with.
            passes: the passes of the run, in order.
            tile: side in pixels of the tiles of larger passes. 0: no tiles.
            keeper: writes the checkpoint.
            pace: measures the seconds of an iteration.
        """
        self._setup = setup
        self._schedule = setup.recipe.schedule
        self._passes = passes
        self._total = sum(each.iterations for each in passes)
        self._tile = tile
        self._keeper = keeper
        self._pace = pace
        self._fell_back = False
        self._index = 0
        self._running: RunningPass | None = None
        """The current pass, or the last one, until the next has taken over from it."""
        self._totals: list[float] = []
        """The total loss of every iteration of the current pass."""
        self._iteration = 0
        self._elapsed_before = 0.0
        self._started = 0.0

    def steps(self, state: RunState | None) -> Generator[Step, None, None]:
        """Yield a step for every iteration.

        Args:
            state: the state to continue from; if its run had ended, its last step is yielded again.
                None: start from the beginning.
        """
        self._keeper.check_folder()
        self._started = time.monotonic()
        first = 0
        if state is not None:
            first, self._iteration = state.scale, state.iteration
            self._elapsed_before = state.elapsed_s
        for index in range(first, len(self._passes)):
            resumed = state if index == first else None
            if resumed is not None or self._passes[index].iterations:
                yield from self._run_pass(index, resumed)

    def _run_pass(self, index: int, state: RunState | None) -> Generator[Step, None, None]:
        before, self._index = self._running, index
        self._running = running = RunningPass(self._setup, self._passes[index], before)
        self._attempt(running.begin, state, before)
        before = None  # this also frees the memory of its solver
        self._totals = totals = [] if state is None else list(state.totals)
        self._pace.begin()
        is_finest = index == len(self._passes) - 1
        ended = is_over(totals, running.problem.current_pass.scale, self._schedule)
        try:
            if is_finest and ended:
                picture = self._attempt(running.show)
                losses = self._attempt(running.measure_saved, picture)
                yield self._make_step(losses, 0.0, picture, last=True)
            while not ended:
                losses = self._attempt(running.step)
                totals.append(losses["total"])
                self._iteration += 1
                ended = is_over(totals, running.problem.current_pass.scale, self._schedule)
                picture = self._attempt(running.show)
                if is_finest and ended:
                    losses = self._attempt(running.measure_saved, picture)
                self._keeper.offer(self._make_state())
                eta_s = self._estimate_seconds_left(ended=ended)
                yield self._make_step(losses, eta_s, picture, last=is_finest and ended)
        except GeneratorExit:
            self._keeper.keep(self._make_state())
            raise
        finally:
            running.close()

    def _attempt(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Do some work, and repeat it in smaller tiles the first time that memory runs out.

        Args:
            work: changes nothing before it runs out of memory, so that it can be repeated.
            arguments, options: arguments of the work.

        Raises:
            ResourceError: memory ran out, and again in smaller tiles.
        """
        while True:
            try:
                return work(*arguments, **options)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, whose traceback refers to what filled the memory.
            self._fall_back()

    def _fall_back(self) -> None:
        """Replace the objectives of this pass and all later ones by some in smaller tiles.

        Raises:
            ResourceError: they were replaced before, or cannot be.
        """
        running = self._running
        assert running is not None
        tile = (
            None if self._fell_back else running.problem.current_pass.find_smaller_tile(self._tile)
        )
        if tile is None:
            raise ResourceError(
                "memory ran out, and smaller tiles do not help: ask for a smaller `size` or "
                "close other programs",
                field="size",
            )
        self._tile, self._fell_back = tile, True
        self._passes = tuple(each.split(tile) for each in self._passes)
        running.problem.release(self._passes[self._index])
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _measure_elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._started

    def _estimate_seconds_left(self, *, ended: bool) -> float:
        """Count an iteration, and estimate the seconds that are left after it."""
        current, halo = self._passes[self._index], self._setup.extractor.halo
        pace = self._pace.update(current.estimate_work(halo))
        count = current.iterations if ended else len(self._totals)
        return pace * estimate_work_left(self._passes, self._index, count, halo)

    def _make_step(
        self, losses: dict[str, float], eta_s: float, picture: Tensor, *, last: bool
    ) -> Step:
        running = self._running
        assert running is not None
        return Step(
            iteration=self._iteration,
            total=self._total,
            scale=self._index,
            scales=len(self._passes),
            width=running.problem.current_pass.scale.width,
            height=running.problem.current_pass.scale.height,
            losses=losses,
            elapsed_s=self._measure_elapsed(),
            eta_s=eta_s,
            tile=self._tile,
            fell_back=self._fell_back,
            last=last,
            checkpoint_failure=self._keeper.failure,
            _image=picture,
            _photo=self._setup.original,
            _colors=self._setup.recipe.colors,
            _kept_mask=running.problem.photo_mask,
            _settle=self._setup.storage.settle,
        )

    def _make_state(self) -> RunState:
        running = self._running
        assert running is not None
        return RunState(
            recipe=describe_recipe(self._setup.recipe),
            inputs=self._setup.hashes,
            tile=self._tile,
            scale=self._index,
            totals=self._totals,
            iteration=self._iteration,
            elapsed_s=self._measure_elapsed(),
            solver=running.solver_state,
            start=running.problem.start,
        )
