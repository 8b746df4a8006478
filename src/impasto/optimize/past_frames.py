"""What the frames before one of a film have come to, as the loop takes it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.engine.sizes import Scale
from impasto.engine.storage import Storage
from impasto.engine.tensors import mask_to_tensor, picture_to_tensor
from impasto.errors import InputError
from impasto.image.masks import Mask
from impasto.image.picture import Picture
from impasto.objective.losses.temporal import Past
from impasto.optimize.focus import Focus
from impasto.recipe.recipe import Recipe


@dataclass(frozen=True)
class Before:
    """What a frame begins with, and what it is kept near. Pictures are of any size.

    Attributes:
        start: in place of the recipe's.
        picture: earlier results, brought to where things are in this frame.
        reliability: how sure that is; black all over: not at all.
        focus: where to work first, of the result's size; none: nowhere in particular. Where a run
            is in tiles it works everywhere.
        there: iterations in these places, at least 1, before those on all of the frame.
    """

    start: Picture
    picture: Picture
    reliability: Mask
    focus: Focus | None = None
    there: int = 0

    @property
    def hashes(self) -> list[str]:
        """What tells this past from others."""
        pictures = [each.compute_sha256() for each in (self.start, self.picture, self.reliability)]
        if self.focus is None:
            return pictures
        boxes = repr((self.focus.worked, self.there)).encode()
        return [*pictures, hashlib.sha256(boxes).hexdigest()]

    def check(self, recipe: Recipe, scales: Sequence[Scale]) -> None:
        """See that a run can begin in the boxes of the focus.

        Raises:
            InputError: it cannot.
        """
        if self.focus is None:
            return
        size = self.focus.size
        if len(scales) != 1 or size != (scales[0].height, scales[0].width) or self.there < 1:
            raise InputError(
                f"a focus of {size[1]}x{size[0]} px and {self.there} iterations is for a recipe of "
                "one scale of that size, and at least one iteration"
            )
        if recipe.style.distance == "neighbors":
            raise InputError("neighbors are matched with all of a frame: no focus is possible")

    def past(self, scale: Scale, storage: Storage) -> Past:
        """At the size of a scale."""
        size = scale.width, scale.height
        picture = picture_to_tensor(self.picture, *size, storage)
        return Past(picture, mask_to_tensor(self.reliability, *size, storage))
