"""The objective of pictures that differ from a given one in some places only.

A style loss is a function of statistics, which are sums over positions: those of all that stays as
it is are measured once, and added to those of the places that change. An iteration then costs what
these places do, and still sees the style of all of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.encoders.layers import get_cell_size
from impasto.objective.statistics.gauge import Statistics, merged
from impasto.objective.tiles import Tile
from impasto.objective.whole import Losses, Objective, evaluated


class FocusedObjective:
    """As :class:`Objective`, but that what stays does not see what changes beside it."""

    def __init__(
        self, whole: Objective, image: Tensor, worked: Sequence[Tile], still: Sequence[Tile]
    ) -> None:
        """Measure what stays.

        Args:
            whole: the objective that this is a part of.
            image: [1, 3, H, W] RGB in [0, 1], what all pictures are like elsewhere.
            worked: tiles that own what changes. If their halos are smaller than the network's
                receptive radius, features at their borders are a little off.
            still: tiles that own all the rest.
        """
        self._whole = whole
        self._worked = worked
        self._content = torch.zeros(())
        self._found: list[Statistics] = []
        with torch.no_grad():
            features = whole.features(image)
            for tile in still:
                part = {layer: tile.part(x, get_cell_size(layer)) for layer, x in features.items()}
                content, found = whole.measure(part, tile)
                self._content = content + self._content.to(content)
                self._found = merged(self._found, found)

    def __call__(self, image: Tensor) -> Losses:
        """The losses of a picture [1, 3, H, W] in [0, 1], differentiable in it."""
        content, found = self._content, self._found
        for tile in self._worked:
            features = self._whole.features(tile.seen(image))
            part = {layer: tile.owned(x, get_cell_size(layer)) for layer, x in features.items()}
            more, here = self._whole.measure(part, tile)
            content, found = content.to(more) + more, merged(found, here)
        return self._whole.losses_of(image, content, found)

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses of a picture as numbers, and the gradient of their total, [1, 3, H, W]."""
        return evaluated(self, image)

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture as numbers."""
        with torch.no_grad():
            return self(image).as_numbers()
