"""The optimiser as an engine of frames: each begins where the one before has got to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from impasto._stylize import finished_picture
from impasto.fast.choice import stylizer_for
from impasto.media.masks import Mask
from impasto.media.picture import Floats, Picture
from impasto.optimize.colors import seen, shown
from impasto.optimize.film import Before
from impasto.optimize.loop import Stylizer
from impasto.optimize.schedule import plan_scales
from impasto.optimize.step import Step
from impasto.recipe import Recipe
from impasto.video.blending import blended
from impasto.video.history import Memory

SURE, UNSURE = 0.2, 1.0
"""Of the first frame's work, what a later one takes of which everything is sure, and nothing.
Measured: with less for what is sure films lose style, for warps blur."""
PULL = 6.0
"""Weight of the temporal term at stability 1."""
BLEND = 0.1
"""Of the stability, how much is left to blending. Measured: more of it takes away strokes, and the
temporal term already holds them still."""


class Optimiser:
    """Frames by optimisation; see :class:`impasto.video.stabilize.Engine`."""

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
            iterations: of every later frame; none: what :func:`work_after` says.
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
                    "total": iterations or work_after(self._work, sure=0.0),
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

    def begin(self, frame: Floats) -> None:
        """The paintings as this frame's colours want them."""
        _, self._shown = self._seen(frame, self._paintings)

    def painted(self, frame: Floats, memory: Memory | None) -> Floats:
        """See :class:`impasto.video.stabilize.Engine`."""
        photo, _ = self._seen(frame, ())
        if memory is None:
            engine, before, most = self._first, None, None
        else:
            engine = self._later
            before = Before(
                Picture(starting(frame, memory)),
                Picture(np.ascontiguousarray(memory.result)),
                Mask(memory.reliability, "reliability"),
            )
            most = self.iterations_for(memory)
        with closing(engine.run(photo, self._shown, before=before)) as steps:
            for step in islice(steps, most):
                self._on_step(step)
        return finished_picture(step, photo, engine.recipe).pixels

    def iterations_for(self, memory: Memory) -> int:
        """How many a frame takes of which so much is remembered."""
        return self._fixed or work_after(self._work, float(memory.reliability.mean()))

    def steadied(self, painted: Floats, memory: Memory, stability: float) -> Floats:
        """See :class:`impasto.video.stabilize.Engine`."""
        return blended(painted, memory, BLEND * stability)

    def finished(self, result: Floats, frame: Floats) -> Floats:
        """In the colours that the user asked for."""
        return shown(self._colors, Picture(result), Picture(frame)).pixels

    def _seen(self, frame: Floats, paintings: Sequence[Picture]) -> tuple[Picture, list[Picture]]:
        size = frame.shape[1], frame.shape[0]
        return seen(self._colors, Picture(frame), paintings, size, self._ratio)


def work_of(recipe: Recipe, size: tuple[int, int]) -> float:
    """Of a first frame, as iterations at full size."""
    pixels = size[0] * size[1]
    scales = plan_scales(recipe.schedule, *size)
    return sum(each.iterations * each.width * each.height / pixels for each in scales)


def work_after(first: float, sure: float) -> int:
    """Iterations of a frame after the first, at least 2.

    Args:
        first: work of the first, of :func:`work_of`.
        sure: mean reliability of what is remembered, in [0, 1].
    """
    return max(2, round(first * (SURE * sure + UNSURE * (1 - sure))))


def starting(frame: Floats, memory: Memory) -> Floats:
    """What a frame begins with: the remembered result and, as far as that is not reliable, what
    has changed in the clip since.
    """
    change = (1 - memory.reliability[..., None]) * (frame - memory.frame)
    begun: Floats = (memory.result + change).clip(0, 1)
    return begun
