"""Define the objective of pictures that differ from a given one in some places only.

A style loss is a function of statistics, which are sums over positions. Those of everything that
stays the same are measured once and added to those of the places that change. An iteration then
costs what these places cost, and still sees the style of the whole picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.encoder_registry import get_cell_size
from impasto.objective.statistics.gauge import Statistics, merge_statistics
from impasto.objective.tiles import Tile
from impasto.objective.views import DirectObjective
from impasto.objective.whole import WholeObjective


@dataclass(frozen=True)
class Focus:
    """A picture cut into boxes that own every pixel once.

    Attributes:
        changing: the boxes that are worked on. If their halos are smaller than the encoder's
            receptive radius, features at their borders are slightly off.
        unchanged: all others.
        cost: cost of an iteration on the changing boxes and their halos, in iterations on the
            whole picture.
    """

    changing: tuple[Tile, ...]
    unchanged: tuple[Tile, ...]
    cost: float

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        tiles = (*self.changing, *self.unchanged)
        return max(each.rows.stop for each in tiles), max(each.columns.stop for each in tiles)

    def make_mask(self) -> Tensor:
        """Return a mask [height, width]: 0 in the boxes that are worked on, 1 elsewhere."""
        mask = torch.ones(self.size)
        for tile in self.changing:
            tile.cut_from_picture(mask, 1).zero_()
        return mask


class FocusedObjective(DirectObjective):
    """A whole objective whose unchanged part is measured once.

    The features of the unchanged part do not see changes next to them.
    """

    def __init__(self, whole: WholeObjective, image: Tensor, focus: Focus) -> None:
        """Measure what stays the same.

        Args:
            whole: the objective of whole pictures.
            image: [1, 3, H, W] RGB in [0, 1], which all pictures equal in the unchanged boxes.
            focus: the boxes.

        Raises:
            ValueError: the boxes are not those of an image of this size.
        """
        if focus.size != tuple(image.shape[2:]):
            raise ValueError(f"a focus of {focus.size} pixels does not suit {tuple(image.shape)}")
        self.recipe, self.terms, self.whole = whole.recipe, whole.terms, whole
        self._whole = whole
        self._changing = focus.changing
        self._content = torch.zeros(())
        self._statistics: list[Statistics] = []
        with torch.no_grad():
            features = whole.extract(image)
            for tile in focus.unchanged:
                part = {
                    layer: tile.cut_from_picture(x, get_cell_size(layer))
                    for layer, x in features.items()
                }
                content, statistics = whole.measure_features(part, tile)
                self._content = content + self._content.to(content)
                self._statistics = merge_statistics(self._statistics, statistics)

    def measure_losses(self, image: Tensor) -> tuple[dict[str, Tensor], list[Statistics]]:
        """See :meth:`impasto.objective.views.Objective.measure_losses`."""
        content, statistics = self._content, self._statistics
        for tile in self._changing:
            features = self._whole.extract(tile.cut(image))
            owned = {
                layer: tile.cut_from_tile(x, get_cell_size(layer)) for layer, x in features.items()
            }
            more, here = self._whole.measure_features(owned, tile)
            content, statistics = content.to(more) + more, merge_statistics(statistics, here)
        return self._whole.compute_local_losses(image, content), statistics
