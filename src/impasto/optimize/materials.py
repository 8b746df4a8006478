"""Hold what all passes of a run work with, and make the picture that each starts from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from impasto.canvas.canvases import CanvasFactory
from impasto.canvas.view import Canvas
from impasto.engine.inputs import Inputs
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import (
    add_detail,
    enlarge,
    make_start,
    picture_to_tensor,
)
from impasto.engine.regions import blend_images
from impasto.engine.sizes import Scale
from impasto.objective.terms import Inventory
from impasto.optimize.past_frames import PastFrames
from impasto.optimize.tools import Tools
from impasto.recipe.recipe import Recipe


@dataclass(frozen=True)
class Materials:
    """What all passes of a run work with.

    Attributes:
        tools: what the runs of the engine share.
        inputs: the photo and the paintings, in the colors that the encoder sees.
        storage: holds everything as large as the picture.
        canvas_factory: makes the canvas of each pass.
        past: earlier frames. None: the photo is not a frame of a film.
    """

    tools: Tools
    inputs: Inputs
    storage: Storage
    canvas_factory: CanvasFactory
    past: PastFrames | None = None

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return self.tools.extractor.recipe

    def make_canvas(self, scale: Scale) -> Canvas:
        """Make the canvas of a pass."""
        return self.canvas_factory(self.recipe.canvas, scale, self.storage)

    def load_photo(self, scale: Scale) -> Tensor:
        """Return the photo at the size of a scale, [1, 3, H, W] in [0, 1]."""
        return picture_to_tensor(self.inputs.photo, scale.width, scale.height, self.storage)

    def gather_pictures(self, scale: Scale, start: Tensor | None) -> Inventory:
        """Gather what the objective of a pass compares.

        Args:
            scale: the scale of the pass.
            start: [1, 3, H, W], the picture that the pass starts from. None: it does not matter.
        """
        return Inventory.gather(
            self.load_photo(scale),
            self.tools.make_paintings(self.inputs.paintings, scale, self.storage),
            self.inputs.regions,
            self.storage,
            None if self.past is None else self.past.resize(scale, self.storage),
            start,
        )

    def make_start(self, scale: Scale) -> Tensor:
        """Make the picture [1, 3, H, W] in [0, 1] that the first pass starts from."""
        recipe, storage = self.recipe, self.storage
        if self.past is not None:
            return picture_to_tensor(self.past.start, scale.width, scale.height, storage)
        photo, regions = self.load_photo(scale), self.inputs.regions
        first = self.inputs.paintings[:1] if recipe.start.base == "style" else ()
        base = photo
        if self.tools.draft is not None:
            base = self.tools.draft(photo, self.inputs)
        paintings = self.tools.make_paintings(first, scale, storage)
        start = make_start(recipe.start, base, paintings, recipe.seed, storage)
        if start is photo:
            return start
        weakness = regions.make_weakness_map(scale.width, scale.height, storage)
        if weakness is None:
            return start
        return blend_images(start, photo, weakness, storage)  # strength 0 is the photo

    def enlarge_start(self, picture: Tensor, coarser: Scale, scale: Scale) -> Tensor:
        """Make the picture that a later pass starts from, given the one of the pass before.

        Args:
            picture: [1, 3, h, w] in [0, 1].
            coarser: the scale of the pass before.
            scale: the scale of the pass.
        """
        start = enlarge(picture, scale.width, scale.height, self.storage)
        detail = self.recipe.schedule.detail
        if not detail:
            return start
        return add_detail(start, self.inputs.photo, coarser, detail, self.storage)
