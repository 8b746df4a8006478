"""What the optimizer starts from where the recipe starts from a draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from impasto.engine.regions import Regions
from impasto.image.picture import Picture


class Draft(Protocol):
    """A network that paints what the optimizer starts from."""

    def __call__(
        self, image: Tensor, photo: Picture, paintings: Sequence[Picture], regions: Regions
    ) -> Tensor:
        """Repaint the photo.

        Args:
            image: [1, 3, H, W] in [0, 1], the photo at the size of the first scale.
            photo: the photo, in the colors that the network is to see, at any size.
            paintings: the paintings, likewise.
            regions: where each painting is the style, and how strong.

        Returns:
            [1, 3, H, W] in [0, 1].
        """
