"""Something for strokes to begin from where a photo is flat.

The network knows no chance: an even wall stays even whatever the painting, or the blocks of the
photo's JPEG become its strokes. So photos get a little grain before they are painted, which shows
as the texture of the style. At the same place of what is painted it is always the same.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

DEVIATION = 0.01
"""Of grain in a photo in [0, 1]: less than is seen in the photo, enough to be painted."""
SIDE = 1536
"""Pixels after which it repeats itself; few pictures have a longer side where they are painted."""
PERIODS = (3.0, 24.0)
"""Pixels of its waves, every octave of them alike."""


@cache
def _tile() -> Tensor:
    across, along = torch.meshgrid(
        torch.fft.fftfreq(SIDE),
        torch.fft.rfftfreq(SIDE),
        indexing="ij",
    )
    frequency = torch.hypot(across, along)
    inside = (frequency * PERIODS[0] <= 1) & (frequency * PERIODS[1] >= 1)
    phases = torch.rand(frequency.shape, generator=torch.Generator().manual_seed(0))
    waves = torch.polar(inside / frequency.clamp(min=1 / SIDE), 2 * math.pi * phases)
    tile: Tensor = torch.fft.irfft2(waves, s=(SIDE, SIDE))
    return (tile - tile.mean()) / tile.std(correction=0)


def grain(height: int, width: int, top: int = 0, left: int = 0) -> Tensor:
    """[1, 1, H, W] of mean 0 and deviation 1, to be added to every color alike; from any place of
    it on."""
    rows = torch.arange(top, top + height) % SIDE
    columns = torch.arange(left, left + width) % SIDE
    found: Tensor = _tile()[rows][:, columns]
    return found[None, None]


def grained(images: Tensor, amount: Tensor | float = 1.0) -> Tensor:
    """Pictures [N, 3, H, W] in [0, 1] with grain, not clamped.

    Args:
        images: the pictures.
        amount: of :data:`DEVIATION`; one for all, or anything that spreads to [N, 1, H, W].
    """
    return images + DEVIATION * amount * grain(*images.shape[2:]).to(images)
