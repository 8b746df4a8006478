"""What the frames before one of a film have come to, as the loop takes it."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.media.masks import Mask
from impasto.media.picture import Picture
from impasto.objective.storage import Storage
from impasto.objective.temporal import Past
from impasto.optimize.canvas import mask_to_tensor, to_tensor
from impasto.optimize.focus import Focus
from impasto.optimize.schedule import Scale


@dataclass(frozen=True)
class Before:
    """What a frame begins with, and what it is kept near. All of any size.

    Attributes:
        start: in place of the recipe's.
        picture: earlier results, brought to where things are in this frame.
        reliability: how sure that is; black all over: not at all.
        focus: where to work first; none: nowhere in particular.
        there: iterations in these places, before those on all of the frame.
    """

    start: Picture
    picture: Picture
    reliability: Mask
    focus: Focus | None = None
    there: int = 0

    @property
    def hashes(self) -> list[str]:
        """What tells this past from others."""
        return [each.sha256() for each in (self.start, self.picture, self.reliability)]

    def past(self, scale: Scale, storage: Storage) -> Past:
        """At the size of a scale."""
        size = scale.width, scale.height
        picture = to_tensor(self.picture, *size, storage)
        return Past(picture, mask_to_tensor(self.reliability, *size, storage))
