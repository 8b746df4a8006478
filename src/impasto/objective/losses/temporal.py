"""What a frame of a film is kept near: the frames before it, brought to where things are now."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from impasto.objective.tiles import Tile


class Past(NamedTuple):
    """A picture to stay near, and where.

    Attributes:
        picture: [1, 3, H, W] RGB in [0, 1].
        reliability: [H, W] in [0, 1].
    """

    picture: Tensor
    reliability: Tensor

    def seen_by(self, tile: Tile, device: torch.device) -> Past:
        """What a tile owns of it."""
        picture, reliability = (tile.begun(tile.seen(each), 0) for each in self)
        return Past(picture.to(device), reliability.to(device))


def temporal_energy(image: Tensor, past: Past) -> Tensor:
    """Sum over pixels of the reliability times the squared difference, the mean of channels.

    Divided by the number of pixels this is the temporal consistency loss of Ruder, Dosovitskiy and
    Brox, "Artistic Style Transfer for Videos" (arXiv:1604.08610). Their long-term loss, a sum of
    such terms, differs from this one by a constant if the picture is the mean of theirs by
    reliability and the reliability the sum of theirs.

    Args:
        image: [1, 3, H, W] in [0, 1].
        past: of its size.

    Returns:
        A scalar >= 0.
    """
    return (past.reliability * (image - past.picture).square().mean(1)).sum()
