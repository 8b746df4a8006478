"""The optimizer as an engine of frames: each frame begins with what the one before it became."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from impasto.api.stylize import finish_picture
from impasto.engine.cache import EngineCache
from impasto.engine.colors import apply_colors, prepare_colors
from impasto.engine.hardware import Hardware
from impasto.engine.inputs import Inputs
from impasto.engine.sizes import plan_scales
from impasto.engine.step import Step
from impasto.image.masks import Mask
from impasto.image.picture import Floats, Picture
from impasto.network.network_draft import make_optimizer_engine
from impasto.optimize.focus import Focus, find_focus
from impasto.optimize.past_frames import PastFrames
from impasto.recipe.recipe import Recipe
from impasto.video.engines.frame_settings import FrameSettings
from impasto.video.stabilize.frame_memory import FrameMemory, blend_with_memory

SURE, UNSURE = 0.2, 1.0
"""Shares of the first frame's work that a later frame takes where its prediction is fully reliable
and where it is not at all. Measured: with less for what is reliable, films lose style, because
warps blur."""
ENOUGH = 5
"""The fewest iterations on all of a frame, after others in boxes. Measured: two or three of a fresh
solver lose more style than the boxes gain."""
PULL = 6.0
"""Weight of the temporal term at stability 1."""
BLEND = 0.1
"""The share of the stability that is left to blending. Measured: more of it removes strokes, which
the temporal term already holds still."""


class OptimizerFrameEngine:
    """Optimizes frames; see :class:`impasto.video.stabilize.stabilizer.FrameEngine`."""

    def __init__(
        self,
        recipe: Recipe,
        paintings: Sequence[Picture],
        size: tuple[int, int],
        settings: FrameSettings,
        hardware: Hardware | None = None,
        *,
        on_step: Callable[[Step], None] = lambda _: None,
        cache: EngineCache | None = None,
    ) -> None:
        """Load the network.

        Args:
            recipe: of a first frame.
            paintings: the styles.
            size: (width, height) of the frames.
            settings: stability and iterations.
            hardware: to work on. None: the best device of this machine, all of its memory.
            on_step: called after every iteration.
            cache: networks that other engines of the caller use. None: they are loaded anew.

        Raises:
            ImpastoError: as :class:`impasto.optimize.optimizer_engine.OptimizerEngine`.
        """
        iterations = settings.iterations
        self._colors = recipe.colors
        self._ratio = recipe.style.scale
        self._paintings = self._prepared = list(paintings)
        self._on_step = on_step
        hardware, cache = hardware or Hardware.resolve(), cache or EngineCache()
        plain = recipe.with_changes({"size": max(size), "colors": "style", "temporal.weight": 0})
        self._first = make_optimizer_engine(plain, hardware, cache)
        self._fixed = iterations
        self._work = measure_work(plain, size)
        schedule = plain.schedule
        later = plain.with_changes(
            {
                "schedule": {
                    "total": iterations or count_iterations(self._work, unsure=1.0),
                    "until": schedule.until,
                    "tolerance": schedule.tolerance,
                },
                "temporal.weight": recipe.temporal.weight or PULL * settings.stability,
            }
        )
        self._later = make_optimizer_engine(later, hardware, cache)
        whole = later.style.distance == "neighbors"  # matched with all of the frame at once
        self._cell = None if whole else self._later.cell

    def begin_shot(self, frame: Floats) -> None:
        """Prepare the paintings for the colors of the shot's first frame."""
        _, self._prepared = self._prepare(frame, self._paintings)

    def paint(self, frame: Floats, memory: FrameMemory | None) -> Floats:
        """Optimize a frame, beginning with what the memory predicts."""
        photo, _ = self._prepare(frame, ())
        if memory is None:
            engine, past, effort = self._first, None, None
        else:
            engine, effort = self._later, self.effort_for(memory)
            past = PastFrames(
                Picture(predict_start(frame, memory)),
                Picture(np.ascontiguousarray(memory.result)),
                Mask(memory.reliability, "reliability"),
                effort.focus,
                effort.focus_iterations,
            )
        inputs = Inputs.read(engine.recipe, photo, self._prepared)
        with closing(engine.run(inputs, past=past)) as steps:
            for step in steps if effort is None else effort.limit(steps):
                self._on_step(step)
        return finish_picture(step, photo, engine.recipe).pixels

    def effort_for(self, memory: FrameMemory) -> Effort:
        """Return the work that a frame takes, given what is remembered of it."""
        if self._fixed:
            return Effort(self._fixed)
        return choose_effort(self._work, memory.reliability, self._cell)

    def steady(self, painted: Floats, memory: FrameMemory, stability: float) -> Floats:
        """Blend a frame with the memory, by the share that blending has here."""
        return blend_with_memory(painted, memory, BLEND * stability)

    def finish(self, result: Floats, frame: Floats) -> Floats:
        """Give a result the colors that the recipe asks for."""
        return apply_colors(self._colors, Picture(result), Picture(frame)).pixels

    def _prepare(
        self, frame: Floats, paintings: Sequence[Picture]
    ) -> tuple[Picture, list[Picture]]:
        size = frame.shape[1], frame.shape[0]
        return prepare_colors(self._colors, Picture(frame), paintings, size, self._ratio)


def measure_work(recipe: Recipe, size: tuple[int, int]) -> float:
    """Return the work of a first frame, in iterations at full size."""
    pixels = size[0] * size[1]
    scales = plan_scales(recipe.schedule, *size)
    return sum(each.iterations * each.width * each.height / pixels for each in scales)


@dataclass(frozen=True)
class Effort:
    """The work on a frame after the first.

    Attributes:
        alone: iterations on all of it, if there are no others.
        after: iterations on all of it that follow those in boxes.
        focus_iterations: iterations in boxes around what is least reliable.
        focus: these boxes. None: there are none.
    """

    alone: int
    after: int = 0
    focus_iterations: int = 0
    focus: Focus | None = None

    def limit(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield as many of a run's steps. Boxes that converge early leave no more for the rest."""
        left = None
        for step in steps:
            everywhere = step.scale == step.scales - 1
            if left is None:
                left = self.alone if everywhere else self.after
            left -= everywhere
            yield step
            if not left:
                return


def choose_effort(first: float, reliability: Floats, cell: int | None) -> Effort:
    """Choose the work on a frame after the first.

    All of it takes :data:`SURE` of the first frame's work. Boxes around what is least reliable take
    up to :data:`UNSURE` before that. Where there are no such places, or too little work to be
    shared, all of the frame takes what it needs on average.

    Args:
        first: work of the first frame, of :func:`measure_work`.
        reliability: [H, W] in [0, 1], of what is remembered.
        cell: side of a cell of the network's deepest layer, in pixels. None: boxes are impossible.
    """
    unsure, after = 1 - reliability, count_iterations(first, 0.0)
    alone = count_iterations(first, float(unsure.mean()))
    focus = find_focus(reliability, cell) if cell and after >= ENOUGH else None
    if focus is None:
        return Effort(alone)
    inside = float(unsure[focus.make_mask().numpy() == 0].mean())
    return Effort(alone, after, max(1, count_iterations(first, inside) - after), focus)


def count_iterations(first: float, unsure: float) -> int:
    """Return the iterations of a later frame, at least 2.

    Args:
        first: work of the first frame, of :func:`measure_work`.
        unsure: how unreliable the memory is, the mean over pixels, in [0, 1].
    """
    return max(2, round(first * (SURE + (UNSURE - SURE) * unsure)))


def predict_start(frame: Floats, memory: FrameMemory) -> Floats:
    """Return what a frame begins with.

    That is the remembered result and, as far as it is not reliable, the change in the clip since.
    """
    change = (1 - memory.reliability[..., None]) * (frame - memory.frame)
    start: Floats = (memory.result + change).clip(0, 1)
    return start
