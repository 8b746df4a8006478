"""What the optimizer begins with, where ``start.base`` is ``"draft"``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from impasto.engine.regions import Regions
from impasto.image.picture import Picture


class Draft(Protocol):
    """A one-pass network, as far as the optimizer needs it."""

    def __call__(
        self, image: Tensor, photo: Picture, paintings: Sequence[Picture], regions: Regions
    ) -> Tensor:
        """The photo, repainted.

        Args:
            image: [1, 3, H, W] in [0, 1], the photo at the size of the first scale.
            photo, paintings: in the colors they are wanted in, any sizes.
            regions: of the photo, where each painting is the style, and how much.

        Returns:
            [1, 3, H, W] in [0, 1].
        """
