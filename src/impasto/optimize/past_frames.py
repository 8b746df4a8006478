"""Hold what earlier frames of a film say about the next one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import mask_to_tensor, picture_to_tensor
from impasto.engine.sizes import Scale
from impasto.errors import InputError
from impasto.image.masks import Mask
from impasto.image.picture import Picture
from impasto.objective.focused import Focus
from impasto.objective.losses.temporal import PastResult


@dataclass(frozen=True)
class PastFrames:
    """What a frame starts from, and what it stays near. Pictures may have any size.

    Attributes:
        start: the picture that the frame starts from, in place of the recipe's start.
        picture: earlier results, warped to this frame.
        reliability: how reliable each of its pixels is.
        focus: the places to work on first, of the result's size. None: the whole frame at once. A
            run in tiles ignores it.
        focus_iterations: iterations on these places, at least 1, before those on the whole frame.
    """

    start: Picture
    picture: Picture
    reliability: Mask
    focus: Focus | None = None
    focus_iterations: int = 0

    @property
    def hashes(self) -> list[str]:
        """Hashes by which a checkpoint recognizes this past."""
        pictures = [each.compute_sha256() for each in (self.start, self.picture, self.reliability)]
        if self.focus is None:
            return pictures
        boxes = repr((self.focus.changing, self.focus_iterations)).encode()
        return [*pictures, hashlib.sha256(boxes).hexdigest()]

    def check_focus(self, scales: Sequence[Scale]) -> None:
        """Check that a run with some scales can start with the focus.

        Raises:
            InputError: it cannot.
        """
        assert self.focus is not None
        size = self.focus.size
        if (
            len(scales) != 1
            or size != (scales[0].height, scales[0].width)
            or self.focus_iterations < 1
        ):
            raise InputError(
                f"of {size[1]}x{size[0]} px and {self.focus_iterations} iterations requires a "
                "recipe with one scale of that size, and at least one iteration",
                what="a focus",
            )

    def resize(self, scale: Scale, storage: Storage) -> PastResult:
        """Return the earlier results at the size of a scale."""
        size = scale.width, scale.height
        picture = picture_to_tensor(self.picture, *size, storage)
        return PastResult(picture, mask_to_tensor(self.reliability, *size, storage))
