"""Plan the passes of a run before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from torch import Tensor

from impasto.engine.inputs import Inputs
from impasto.engine.machine.storage import Storage
from impasto.engine.regions import Regions
from impasto.engine.sizes import Scale, fit_painting
from impasto.objective.focused import Focus
from impasto.objective.specs import ObjectiveSpec, choose_objective
from impasto.optimize.budget.memory import TILES
from impasto.optimize.past_frames import PastFrames
from impasto.recipe.recipe import Recipe


class PassMask(Protocol):
    """What a pass does not change."""

    @property
    def keeps(self) -> Literal["photo", "start"]:
        """The picture that is kept: the photo, or the picture that the pass starts from."""

    def make(self, scale: Scale, storage: Storage) -> Tensor | None:
        """Return how much of it is kept, [H, W] in [0, 1]. None: nothing is."""


@dataclass(frozen=True)
class PhotoMask:
    """Keeps the photo where no painting is the style."""

    regions: Regions
    keeps: Literal["photo"] = "photo"

    def make(self, scale: Scale, storage: Storage) -> Tensor | None:
        """See :class:`PassMask`."""
        return self.regions.make_kept_mask(scale.width, scale.height, storage)


@dataclass(frozen=True)
class FocusMask:
    """Keeps the start outside of some boxes."""

    focus: Focus
    keeps: Literal["start"] = "start"

    def make(self, scale: Scale, storage: Storage) -> Tensor | None:  # noqa: ARG002
        """See :class:`PassMask`."""
        return self.focus.make_mask()


@dataclass(frozen=True)
class Pass:
    """One part of a run, with a canvas, an objective and a solver of its own.

    Attributes:
        scale: size of the picture, and the number of iterations.
        objective: what the pass minimizes.
        mask: what it does not change.
        longest: longest side of the photo and the paintings in pixels; a tile that is at least as
            long covers everything.
    """

    scale: Scale
    objective: ObjectiveSpec
    mask: PassMask
    longest: int

    @property
    def iterations(self) -> int:
        """The number of iterations; fewer if the pass may end when it has converged."""
        return self.scale.iterations

    def split(self, tile: int) -> Pass:
        """Return the same pass in tiles of a side in pixels, if it is larger than a tile.

        In tiles, boxes cost as much as the whole picture, so that a pass in boxes has no
        iterations.
        """
        if self.mask.keeps == "start":
            return replace(
                self,
                scale=replace(self.scale, iterations=0),
                objective=self.objective.split(tile),
            )
        return self if tile >= self.longest else replace(self, objective=self.objective.split(tile))

    def find_smaller_tile(self, tile: int) -> int | None:
        """Find tiles of at most half the side of the present ones. None: there are none.

        Args:
            tile: side of the present tiles in pixels. 0: no tiles.
        """
        longest = max(self.scale.width, self.scale.height)
        side = min(tile or longest, longest)
        smaller = next((each for each in TILES if each <= side // 2), TILES[-1])
        return smaller if self.objective.can_split and smaller < side else None

    def estimate_work(self, halo: int) -> float:
        """Estimate the work of an iteration; see :func:`impasto.engine.plan.estimate_work`."""
        return self.objective.estimate_work(self.scale, halo)


def plan_passes(
    recipe: Recipe,
    scales: Sequence[Scale],
    inputs: Inputs,
    tile: int = 0,
    past: PastFrames | None = None,
) -> tuple[Pass, ...]:
    """List the passes of a run: its scales, coarse to fine.

    A film's frame with a focus has a pass for it first, at the size of its only scale.

    Args:
        recipe: the recipe of the run.
        scales: the scales of the run.
        inputs: the photo, the paintings, and their regions.
        tile: side of the tiles in pixels. 0: no tiles.
        past: earlier frames. None: the photo is not a frame of a film.

    Raises:
        InputError: a focus does not suit the recipe or the scales.
    """

    def plan_pass(scale: Scale, focus: Focus | None = None) -> Pass:
        size, ratio = (scale.width, scale.height), recipe.style.scale
        sizes = [fit_painting((p.width, p.height), size, ratio) for p in inputs.paintings]
        return Pass(
            scale,
            choose_objective(recipe, focus, refines=scale.refines),
            PhotoMask(inputs.regions) if focus is None else FocusMask(focus),
            longest=max(map(max, [size, *sizes])),
        )

    passes = [plan_pass(scale) for scale in scales]
    if past is not None and past.focus is not None:
        past.check_focus(scales)
        scale = replace(scales[-1], iterations=past.focus_iterations)
        passes.insert(0, plan_pass(scale, past.focus))
    return tuple(each.split(tile) for each in passes) if tile else tuple(passes)


def estimate_work_left(passes: Sequence[Pass], index: int, iterations: int, halo: int) -> float:
    """Estimate the work that is left, in pixels.

    What is measured before and after the iterations of a pass costs about as much as one.

    Args:
        passes: all passes of the run.
        index: index of the current pass.
        iterations: iterations of the current pass so far.
        halo: width of a tile's halo in pixels.
    """
    current = passes[index]
    here = (current.iterations - iterations) * current.estimate_work(halo)
    later = [(each.iterations + 1) * each.estimate_work(halo) for each in passes[index + 1 :]]
    return here + sum(later)
