"""Add a little grain to photos, from which the network makes strokes in flat areas.

The network is deterministic: an even wall would stay even in every style, or strokes would follow
the JPEG blocks of the photo. With grain it gets the texture of the style. The grain is a fixed
function of position.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

DEVIATION = 0.01
"""Standard deviation of the grain in a photo in [0, 1]; invisible, but enough for strokes."""
SIDE = 1536
"""Period of the grain in pixels; pictures are rarely painted at a larger size."""
PERIODS = (3.0, 24.0)
"""Shortest and longest wavelength in pixels; every octave has the same power."""


@cache
def _make_tile() -> Tensor:
    """Make one period of the grain: [SIDE, SIDE], mean 0, standard deviation 1."""
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


def make_grain(height: int, width: int, top: int = 0, left: int = 0) -> Tensor:
    """Make grain [1, 1, H, W] with mean 0 and standard deviation 1, from a position on."""
    rows = torch.arange(top, top + height) % SIDE
    columns = torch.arange(left, left + width) % SIDE
    part: Tensor = _make_tile()[rows][:, columns]
    return part[None, None]


def add_grain(images: Tensor, amount: Tensor | float = 1.0) -> Tensor:
    """Add the same grain to all channels, without clamping.

    Args:
        images: [N, 3, H, W] in [0, 1].
        amount: factor of :data:`DEVIATION`: a number, or a tensor that broadcasts to [N, 1, H, W].
    """
    return images + DEVIATION * amount * make_grain(*images.shape[2:]).to(images)
