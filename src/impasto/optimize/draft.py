"""Define what paints the draft that the optimizer can start from."""

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
            photo: the photo at any size, in the colors that the network sees.
            paintings: the paintings at any sizes, in the colors that the network sees.
            regions: the regions of the photo.

        Returns:
            [1, 3, H, W] in [0, 1].
        """
