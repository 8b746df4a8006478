"""Define the objective of pictures that differ from a given one in some places only.

A style loss is a function of statistics, which are sums over positions. Those of everything that
stays the same are measured once and added to those of the places that change. An iteration then
costs what these places cost, and still sees the style of the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.encoders.layers import get_cell_size
from impasto.objective.evaluation import Losses, evaluate_by_autograd
from impasto.objective.statistics.gauge import Statistics, merge_statistics
from impasto.objective.tiles import Tile
from impasto.objective.whole import WholeObjective


class FocusedObjective:
    """A whole objective whose unchanged part is measured once.

    The features of the unchanged part do not see changes next to them.
    """

    def __init__(
        self,
        whole: WholeObjective,
        image: Tensor,
        changing: Sequence[Tile],
        unchanged: Sequence[Tile],
    ) -> None:
        """Measure what stays the same.

        Args:
            whole: the objective of whole pictures.
            image: [1, 3, H, W] RGB in [0, 1], which all pictures equal in the unchanged tiles.
            changing: tiles that own what changes. If their halos are smaller than the encoder's
                receptive radius, features at their borders are slightly off.
            unchanged: tiles that own everything else.
        """
        self._whole = whole
        self._changing = changing
        self._content = torch.zeros(())
        self._statistics: list[Statistics] = []
        with torch.no_grad():
            features = whole.extract(image)
            for tile in unchanged:
                part = {
                    layer: tile.cut_from_picture(x, get_cell_size(layer))
                    for layer, x in features.items()
                }
                content, statistics = whole.measure(part, tile)
                self._content = content + self._content.to(content)
                self._statistics = merge_statistics(self._statistics, statistics)

    def __call__(self, image: Tensor) -> Losses:
        """Compute the losses of a picture [1, 3, H, W] in [0, 1], differentiable in it."""
        content, statistics = self._content, self._statistics
        for tile in self._changing:
            features = self._whole.extract(tile.cut(image))
            owned = {
                layer: tile.cut_from_tile(x, get_cell_size(layer)) for layer, x in features.items()
            }
            more, here = self._whole.measure(owned, tile)
            content, statistics = content.to(more) + more, merge_statistics(statistics, here)
        return self._whole.combine(image, content, statistics)

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """See :meth:`impasto.objective.evaluation.Objective.evaluate`."""
        return evaluate_by_autograd(self, image)

    def compute_losses(self, image: Tensor) -> dict[str, float]:
        """See :meth:`impasto.objective.evaluation.Objective.compute_losses`."""
        with torch.no_grad():
            return self(image).as_numbers()
