"""Hold what all passes of a run work with, and make the pictures that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
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
from impasto.engine.sizes import Scale, fit_painting
from impasto.image.picture import Picture
from impasto.objective.evaluation import FeatureExtractor
from impasto.objective.terms import PassPictures
from impasto.optimize.past_frames import PastFrames
from impasto.recipe.recipe import Recipe


class Draft(Protocol):
    """A network that paints what the optimizer starts from."""

    def __call__(self, image: Tensor, inputs: Inputs) -> Tensor:
        """Repaint the photo.

        Args:
            image: [1, 3, H, W] in [0, 1], the photo at the size of the first scale.
            inputs: the photo and the paintings at any sizes, in the colors that the network sees.

        Returns:
            [1, 3, H, W] in [0, 1].
        """


@dataclass(frozen=True)
class RunSetup:
    """What all passes of a run work with.

    Attributes:
        extractor: the encoder and the recipe.
        inputs: the photo and the paintings, in the colors that the encoder sees.
        original: the photo in its own colors, for the steps.
        hashes: hashes of the inputs, which identify the run in its checkpoint; see
            :class:`impasto.optimize.checkpoint.RunState`.
        storage: holds everything as large as the picture.
        canvas_factory: makes the canvas of each pass.
        draft: paints the start of recipes that start from a draft. None: there is no such network.
        past: earlier frames. None: the photo is not a frame of a film.
    """

    extractor: FeatureExtractor
    inputs: Inputs
    original: Picture
    hashes: list[str]
    storage: Storage
    canvas_factory: CanvasFactory
    draft: Draft | None = None
    past: PastFrames | None = None

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return self.extractor.recipe

    def make_canvas(
        self,
        scale: Scale,
        views: Sequence[int] | None = None,  # noqa: ARG002
    ) -> Canvas:
        """Make the canvas of a pass.

        Args:
            scale: the scale of the pass.
            views: the views that it shows, which :meth:`choose_views` chose. None: all.
        """
        return self.canvas_factory(self.recipe.canvas, scale, self.storage)

    def choose_views(self, step: int) -> Sequence[int] | None:  # noqa: ARG002
        """Choose the views that the objective sees at an iteration of a pass, 0 the first.

        None: all of them. A canvas with many views can show a few at a time.
        """
        return None

    def make_blank(self, scale: Scale) -> Tensor:
        """Return an image of the shape of the canvas of a pass; its values do not matter."""
        return torch.zeros(1, 3, 1, 1).expand(1, 3, scale.height, scale.width)

    def load_photo(self, scale: Scale) -> Tensor:
        """Return the photo at the size of a scale, [1, 3, H, W] in [0, 1]."""
        return picture_to_tensor(self.inputs.photo, scale.width, scale.height, self.storage)

    def gather_pictures(self, scale: Scale, start: Tensor | None) -> PassPictures:
        """Gather what the objective of a pass compares.

        Args:
            scale: the scale of the pass.
            start: [1, 3, H, W], the picture that the pass starts from. None: it does not matter.
        """
        return PassPictures.gather(
            self.load_photo(scale),
            self._resize(self.inputs.paintings, scale),
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
        if self.draft is not None:
            base = self.draft(photo, self.inputs)
        paintings = self._resize(first, scale)
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

    def _resize(self, paintings: Sequence[Picture], scale: Scale) -> list[Tensor]:
        return resize_paintings(paintings, scale, self.recipe.style.scale, self.storage)


def resize_paintings(
    paintings: Sequence[Picture], scale: Scale, ratio: float, storage: Storage
) -> list[Tensor]:
    """Resize paintings to [1, 3, h, w] each, as they are compared with a scale.

    Args:
        paintings: the paintings at any size.
        scale: the scale.
        ratio: size of the paintings relative to the scale.
        storage: holds the results.
    """
    result = (scale.width, scale.height)
    sizes = [fit_painting((each.width, each.height), result, ratio) for each in paintings]
    return [
        picture_to_tensor(picture, *size, storage)
        for picture, size in zip(paintings, sizes, strict=True)
    ]
