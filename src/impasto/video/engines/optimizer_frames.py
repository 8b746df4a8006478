"""Paint the frames of a film with the optimizer. Each frame starts from the result before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from impasto.api.stylize import finish_picture
from impasto.engine.inputs import Inputs
from impasto.engine.pixels.colors import apply_colors, prepare_colors
from impasto.engine.sizes import plan_scales
from impasto.engine.step import Step
from impasto.image.masks import Mask
from impasto.image.picture import Floats, Picture
from impasto.network.network_draft import make_optimizer_engine
from impasto.objective.focused import Focus
from impasto.optimize.focus import find_focus
from impasto.optimize.past_frames import PastFrames
from impasto.recipe.recipe import Recipe
from impasto.video.engines.frame_context import FrameContext
from impasto.video.stabilize.frame_memory import FrameMemory, blend_with_memory

SURE, UNSURE = 0.2, 1.0
"""Work on a later frame, relative to the first frame of the shot, where its prediction is fully
reliable and where it is not reliable at all. With less work on reliable parts, films lose style,
because warps blur."""
ENOUGH = 5
"""Fewest iterations on a whole frame after those in boxes. Two or three iterations of a new solver
lose more style than the boxes gain."""
PULL = 6.0
"""Weight of the temporal term at stability 1."""
BLEND = 0.1
"""Share of the stability that blending has. More of it removes strokes, which the temporal term
already keeps steady."""


class OptimizerFrameEngine:
    """Optimizes frames; see :class:`impasto.video.stabilize.stabilizer.FrameEngine`."""

    def __init__(self, context: FrameContext) -> None:
        """Load the network.

        Raises:
            ImpastoError: as :class:`impasto.optimize.optimizer_engine.OptimizerEngine`.
        """
        recipe, size, settings = context.recipe, context.size, context.settings
        iterations = settings.iterations
        self._colors = recipe.colors
        self._ratio = recipe.style.scale
        self._paintings = self._prepared = list(context.paintings)
        self._on_step = context.on_step
        plain = recipe.with_changes({"size": max(size), "colors": "style", "temporal.weight": 0})
        self._first = make_optimizer_engine(plain, context.hardware, context.cache)
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
        self._later = make_optimizer_engine(later, context.hardware, context.cache)
        self._cell = self._later.focus_cell

    def begin_shot(self, frame: Floats) -> None:
        """Prepare the paintings for the colors of the shot's first frame."""
        _, self._prepared = self._prepare(frame, self._paintings)

    def paint(self, frame: Floats, memory: FrameMemory | None) -> Floats:
        """Optimize a frame, beginning with what the memory predicts."""
        photo, _ = self._prepare(frame, ())
        if memory is None:
            engine, past, effort = self._first, None, None
        else:
            engine, effort = self._later, self.plan_effort(memory)
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

    def plan_effort(self, memory: FrameMemory) -> Effort:
        """Return the work on a frame, given what is remembered of it."""
        if self._fixed:
            return Effort(self._fixed)
        return choose_effort(self._work, memory.reliability, self._cell)

    def steady(self, frame: Floats, memory: FrameMemory, stability: float) -> Floats:
        """Blend a frame with the memory, by :data:`BLEND` of the stability."""
        return blend_with_memory(frame, memory, BLEND * stability)

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
        iterations: iterations on the whole frame, if there are no boxes.
        iterations_after_focus: iterations on the whole frame after those in boxes.
        focus_iterations: iterations in boxes around the least reliable places.
        focus: these boxes. None: there are no boxes.
    """

    iterations: int
    iterations_after_focus: int = 0
    focus_iterations: int = 0
    focus: Focus | None = None

    def limit(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield this many steps of a run.

        Iterations that boxes save by converging early are not spent on the whole frame.
        """
        left = None
        for step in steps:
            is_whole = step.scale == step.scales - 1
            if left is None:
                left = self.iterations if is_whole else self.iterations_after_focus
            left -= is_whole
            yield step
            if not left:
                return


def choose_effort(first: float, reliability: Floats, cell: int | None) -> Effort:
    """Choose the work on a frame after the first.

    The whole frame gets :data:`SURE` times the work of the first frame. Before that, boxes around
    the least reliable places get up to :data:`UNSURE` times. Without such places, or with too
    little work to divide, the whole frame gets the mean of what its pixels need.

    Args:
        first: work of the first frame, from :func:`measure_work`.
        reliability: [H, W] in [0, 1], reliability of what is remembered.
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
        first: work of the first frame, from :func:`measure_work`.
        unsure: mean unreliability (1 - reliability) of the memory, in [0, 1].
    """
    return max(2, round(first * (SURE + (UNSURE - SURE) * unsure)))


def predict_start(frame: Floats, memory: FrameMemory) -> Floats:
    """Return the picture that a frame starts from.

    It is the remembered result plus, where that is not reliable, the change of the clip since then.
    """
    change = (1 - memory.reliability[..., None]) * (frame - memory.frame)
    start: Floats = (memory.result + change).clip(0, 1)
    return start
