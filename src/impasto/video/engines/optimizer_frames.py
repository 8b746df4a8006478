"""The optimizer as an engine of frames: each begins where the one before has got to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impasto.api.stylize import finished_picture
from impasto.engine.colors import apply_colors, prepare_colors
from impasto.engine.sizes import plan_scales
from impasto.engine.step import Step
from impasto.image.masks import Mask
from impasto.image.picture import Floats, Picture
from impasto.network.choice import stylizer_for
from impasto.optimize.focus import Focus, focus_of
from impasto.optimize.past_frames import Before
from impasto.optimize.stylizer import Stylizer
from impasto.recipe.recipe import Recipe
from impasto.video.stabilize.frame_memory import FrameMemory, blend_with_memory

SURE, UNSURE = 0.2, 1.0
"""Of the first frame's work, what a later one takes of which everything is sure, and nothing.
Measured: with less for what is sure films lose style, for warps blur."""
ENOUGH = 5
"""Iterations on all of a frame that are left when others are spent in boxes. Measured: two or three
after a solver has begun anew lose more style than the boxes gain."""
PULL = 6.0
"""Weight of the temporal term at stability 1."""
BLEND = 0.1
"""Of the stability, how much is left to blending. Measured: more of it takes away strokes, and the
temporal term already holds them still."""


class Optimizer:
    """Frames by optimization; see :class:`impasto.video.stabilize.stabilizer.FrameEngine`."""

    def __init__(
        self,
        recipe: Recipe,
        paintings: Sequence[Picture],
        size: tuple[int, int],
        *,
        stability: float,
        iterations: int | None = None,
        device: str = "auto",
        weights: str | Path | None = None,
        max_memory: int | None = None,
        scratch: str | Path | None = None,
        on_step: Callable[[Step], None] = lambda _: None,
        like: Stylizer | None = None,
    ) -> None:
        """Load the network.

        Args:
            recipe: of a first frame.
            paintings: the styles.
            size: (width, height) of the frames.
            stability: in [0, 1], scales the temporal term.
            iterations: on all of every later frame; none: what :func:`effort_after` says.
            device, weights, max_memory, scratch: as of :class:`Stylizer`.
            on_step: called after every iteration.
            like: another engine, whose network is used if it is the one this recipe needs.

        Raises:
            ImpastoError: as :class:`Stylizer`.
        """
        self._colors = recipe.colors
        self._ratio = recipe.style.scale
        self._paintings = self._shown = list(paintings)
        self._on_step = on_step
        plain = recipe.with_changes({"size": max(size), "colors": "style", "temporal.weight": 0})
        self._first = stylizer_for(
            plain,
            device=device,
            weights=weights,
            max_memory=max_memory,
            scratch=scratch,
            like=like,
        )
        self._fixed = iterations
        self._work = work_of(plain, size)
        schedule = plain.schedule
        later = plain.with_changes(
            {
                "schedule": {
                    "total": iterations or iterations_after(self._work, unsure=1.0),
                    "until": schedule.until,
                    "tolerance": schedule.tolerance,
                },
                "temporal.weight": recipe.temporal.weight or PULL * stability,
            }
        )
        self._later = stylizer_for(
            later,
            device=device,
            weights=weights,
            max_memory=max_memory,
            scratch=scratch,
            like=self._first,
        )
        matched = later.style.distance == "neighbors"  # with all of the frame at once
        self._cell = None if matched else self._later.cell

    def begin_shot(self, frame: Floats) -> None:
        """The paintings as this frame's colors want them."""
        _, self._shown = self._seen(frame, self._paintings)

    def paint(self, frame: Floats, memory: FrameMemory | None) -> Floats:
        """See :class:`impasto.video.stabilize.stabilizer.FrameEngine`."""
        photo, _ = self._seen(frame, ())
        if memory is None:
            engine, before, effort = self._first, None, None
        else:
            engine, effort = self._later, self.effort_for(memory)
            before = Before(
                Picture(starting(frame, memory)),
                Picture(np.ascontiguousarray(memory.result)),
                Mask(memory.reliability, "reliability"),
                effort.focus,
                effort.there,
            )
        with closing(engine.run(photo, self._shown, before=before)) as steps:
            for step in steps if effort is None else effort.of(steps):
                self._on_step(step)
        return finished_picture(step, photo, engine.recipe).pixels

    def effort_for(self, memory: FrameMemory) -> Effort:
        """What a frame takes of which so much is remembered."""
        if self._fixed:
            return Effort(self._fixed)
        return effort_after(self._work, memory.reliability, self._cell)

    def steady(self, painted: Floats, memory: FrameMemory, stability: float) -> Floats:
        """See :class:`impasto.video.stabilize.stabilizer.FrameEngine`."""
        return blend_with_memory(painted, memory, BLEND * stability)

    def finish(self, result: Floats, frame: Floats) -> Floats:
        """In the colors that the user asked for."""
        return apply_colors(self._colors, Picture(result), Picture(frame)).pixels

    def _seen(self, frame: Floats, paintings: Sequence[Picture]) -> tuple[Picture, list[Picture]]:
        size = frame.shape[1], frame.shape[0]
        return prepare_colors(self._colors, Picture(frame), paintings, size, self._ratio)


def work_of(recipe: Recipe, size: tuple[int, int]) -> float:
    """Of a first frame, as iterations at full size."""
    pixels = size[0] * size[1]
    scales = plan_scales(recipe.schedule, *size)
    return sum(each.iterations * each.width * each.height / pixels for each in scales)


@dataclass(frozen=True)
class Effort:
    """Of a frame after the first.

    Attributes:
        alone: iterations on all of it, if there are no others.
        after: those on all of it after others on what is least sure.
        there: these others.
        focus: which places they are spent on.
    """

    alone: int
    after: int = 0
    there: int = 0
    focus: Focus | None = None

    def of(self, steps: Iterable[Step]) -> Iterator[Step]:
        """As many of a run's steps; boxes that converged early leave no more for all of it."""
        left = None
        for step in steps:
            everywhere = step.scale == step.scales - 1
            if left is None:
                left = self.alone if everywhere else self.after
            left -= everywhere
            yield step
            if not left:
                return


def effort_after(first: float, reliability: Floats, cell: int | None) -> Effort:
    """What a frame after the first takes: :data:`SURE` of the first's work on all of it, and
    before that up to :data:`UNSURE` in boxes around what is least sure. Where there are no such
    places, or too little work to be shared, all of it takes what it needs in the mean.

    Args:
        first: work of the first, of :func:`work_of`.
        reliability: [H, W] in [0, 1], of what is remembered.
        cell: of the network's deepest layer, in pixels; none: there can be no boxes.
    """
    unsure, after = 1 - reliability, iterations_after(first, 0.0)
    alone = iterations_after(first, float(unsure.mean()))
    focus = focus_of(reliability, cell) if cell and after >= ENOUGH else None
    if focus is None:
        return Effort(alone)
    inside = float(unsure[focus.outside().numpy() == 0].mean())
    return Effort(alone, after, max(1, iterations_after(first, inside) - after), focus)


def iterations_after(first: float, unsure: float) -> int:
    """At least 2.

    Args:
        first: work of the first, of :func:`work_of`.
        unsure: of what is remembered, the mean over pixels, in [0, 1].
    """
    return max(2, round(first * (SURE + (UNSURE - SURE) * unsure)))


def starting(frame: Floats, memory: FrameMemory) -> Floats:
    """What a frame begins with: the remembered result and, as far as that is not reliable, what
    has changed in the clip since.
    """
    change = (1 - memory.reliability[..., None]) * (frame - memory.frame)
    begun: Floats = (memory.result + change).clip(0, 1)
    return begun
