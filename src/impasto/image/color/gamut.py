"""Colors that sRGB does not have, brought into it by less chroma: no hue turns, nothing bands.

Clipping maps all that lies outside to the edge, where shades run together. Here the colors inside
move too, the less the farther they are from the edge, so that no two of a lightness and hue meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impasto.image.color.spaces import CONE_TO_OKLAB, LINEAR_TO_CONE, Floats, oklab_to_srgb
from impasto.image.rows import split_rows

MOST_MOVED = 0.2
"""At most so much of the gamut's reach is given to the colors outside."""
_TOLERANCE = 1e-5
"""In linear light: what rounding makes of sRGB's own primaries."""
_HALVINGS = 16


@dataclass(frozen=True)
class Excess:
    """How far some colors lie outside of sRGB, as shares of its reach; 0: they do not. No more
    than :data:`MOST_MOVED`.

    Attributes:
        lightness: beyond black or white, of half the range.
        chroma: beyond the largest chroma of its lightness and hue.
    """

    lightness: float = 0.0
    chroma: float = 0.0

    @classmethod
    def measure(cls, lab: Floats) -> Excess:
        """The excess of OKLab pixels [..., 3]."""
        lightness = float(np.abs(2 * lab[..., 0] - 1).max()) - 1
        lightness = min(lightness, MOST_MOVED) if lightness > _TOLERANCE else 0.0
        outside = _with_lightness(lab[_outside(lab)], lightness)
        farthest = float(_reach(outside)[1].max()) if len(outside) else 0.0
        return cls(lightness, min(max(farthest - 1, 0.0), MOST_MOVED))

    def __or__(self, other: Excess) -> Excess:
        return Excess(max(self.lightness, other.lightness), max(self.chroma, other.chroma))

    def to_srgb(self, lab: Floats) -> Floats:
        """sRGB pixels of OKLab ones [..., 3]."""
        lab = _with_lightness(lab, self.lightness)
        if self.chroma:
            moved = _outside(lab, 1 / (1 - self.chroma))
            edge, share = _reach(lab[moved])
            lab[moved, 1:] *= (edge * limit_softly(share, self.chroma))[:, None]
        return oklab_to_srgb(lab)


def convert_rows_to_srgb(lab_of: Callable[[slice], Floats], height: int, width: int) -> Floats:
    """The sRGB pixels [H, W, 3] of a picture given in OKLab, some rows at a time.

    Args:
        lab_of: rows to OKLab pixels [rows, W, 3]; called twice for each band of rows.
        height, width: of the picture.
    """
    excess = Excess()
    for rows in split_rows(height, width):
        excess |= Excess.measure(lab_of(rows))
    pixels = np.empty((height, width, 3), np.float32)
    for rows in split_rows(height, width):
        pixels[rows] = excess.to_srgb(lab_of(rows))
    return pixels


def limit_softly(share: Floats, excess: float) -> Floats:
    """Maps [0, inf) into [0, 1): the identity up to ``1 - excess``, then ever flatter, without a
    kink and strictly increasing. With no excess, what is above 1 ends at 1.
    """
    if excess == 0:
        return np.minimum(share, 1)
    above = np.maximum(share / excess - (1 / excess - 1), 0)
    limited: Floats = np.minimum(share, 1 - excess) + excess * above / (1 + above)
    return limited


def _with_lightness(lab: Floats, excess: float) -> Floats:
    lab = lab.copy()
    if excess:
        around = 2 * lab[..., 0] - 1
        lab[..., 0] = (1 + np.sign(around) * limit_softly(np.abs(around), excess)) / 2
    return lab


def _outside(lab: Floats, factor: Floats | float = 1) -> NDArray[np.bool_]:
    """Which colors, their chroma multiplied by ``factor``, sRGB does not have."""
    scaled = lab * np.stack(np.broadcast_arrays(1, factor, factor), -1)
    cone = scaled.astype(np.float32) @ np.linalg.inv(CONE_TO_OKLAB).T.astype(np.float32)
    light = cone**3 @ np.linalg.inv(LINEAR_TO_CONE).T.astype(np.float32)
    outside: NDArray[np.bool_] = ((light < -_TOLERANCE) | (light > 1 + _TOLERANCE)).any(-1)
    return outside


def _reach(lab: Floats) -> tuple[Floats, Floats]:
    """What a color's chroma may be multiplied by at most, no more than 2, and one over it."""
    low = np.zeros(lab.shape[:-1], np.float32)
    high = np.full_like(low, 2)
    for _ in range(_HALVINGS):
        middle = np.asarray((low + high) / 2, np.float32)
        outside = _outside(lab, middle)
        low, high = np.where(outside, low, middle), np.where(outside, middle, high)
    return low, np.asarray(1 / np.maximum(low, 1e-6), np.float32)
