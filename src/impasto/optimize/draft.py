"""Define what paints the draft that the optimizer can start from."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from impasto.engine.inputs import Inputs


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
