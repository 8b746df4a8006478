"""Temporal consistency: a film's frame stays near earlier results, warped to its own motion."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from impasto.objective.tiles import Tile


class PastResult(NamedTuple):
    """A picture to stay near, and how reliable each of its pixels is.

    Attributes:
        picture: [1, 3, H, W] RGB in [0, 1].
        reliability: [H, W] in [0, 1].
    """

    picture: Tensor
    reliability: Tensor

    def cut(self, tile: Tile, device: torch.device) -> PastResult:
        """Return the part that a tile owns."""
        picture, reliability = (tile.cut_core(tile.cut(each), 0) for each in self)
        return PastResult(picture.to(device), reliability.to(device))


def temporal_energy(image: Tensor, past: PastResult) -> Tensor:
    """Sum, over pixels, the reliability times the squared difference averaged over channels.

    Divided by the number of pixels, this is the temporal consistency loss of Ruder, Dosovitskiy and
    Brox, "Artistic Style Transfer for Videos" (arXiv:1604.08610). Their long-term loss, a sum of
    such terms, differs from this one by a constant if the picture is their mean weighted by
    reliability, and the reliability is the sum of theirs.

    Args:
        image: [1, 3, H, W] RGB in [0, 1].
        past: the past result, of the same size.

    Returns:
        A scalar >= 0.
    """
    return (past.reliability * (image - past.picture).square().mean(1)).sum()
