"""Map colors outside of sRGB into it by reducing chroma, without changes of hue or banding.

Clipping maps all colors outside to the edge, where different shades become equal. Here colors
inside are compressed as well, less the farther they are from the edge, so that different colors of
the same lightness and hue stay different.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impasto.image.color.spaces import CONE_TO_OKLAB, LINEAR_TO_CONE, Floats, oklab_to_srgb
from impasto.image.rows import split_rows

LARGEST_EXCESS = 0.2
"""Largest share of the gamut's range that is compressed for colors outside."""
_TOLERANCE = 1e-5
"""Tolerance in linear light for rounding errors of sRGB's own primaries."""
_HALVINGS = 16


@dataclass(frozen=True)
class Excess:
    """How far colors lie outside of sRGB, from 0 to :data:`LARGEST_EXCESS`.

    Attributes:
        lightness: distance beyond black or white, relative to half of the range.
        chroma: distance beyond the largest chroma of the same lightness and hue, relative to it.
    """

    lightness: float = 0.0
    chroma: float = 0.0

    @classmethod
    def measure(cls, lab: Floats) -> Excess:
        """Measure the excess of OKLab pixels [..., 3]."""
        lightness = float(np.abs(2 * lab[..., 0] - 1).max()) - 1
        lightness = min(lightness, LARGEST_EXCESS) if lightness > _TOLERANCE else 0.0
        outside = _limit_lightness(lab[_find_outside(lab)], lightness)
        farthest = float(_measure_reach(outside)[1].max()) if len(outside) else 0.0
        return cls(lightness, min(max(farthest - 1, 0.0), LARGEST_EXCESS))

    def __or__(self, other: Excess) -> Excess:
        return Excess(max(self.lightness, other.lightness), max(self.chroma, other.chroma))

    def to_srgb(self, lab: Floats) -> Floats:
        """Convert OKLab pixels [..., 3] to sRGB, compressing lightness and chroma."""
        lab = _limit_lightness(lab, self.lightness)
        if self.chroma:
            affected = _find_outside(lab, 1 / (1 - self.chroma))
            edge, share = _measure_reach(lab[affected])
            lab[affected, 1:] *= (edge * limit_softly(share, self.chroma))[:, None]
        return oklab_to_srgb(lab)


def convert_rows_to_srgb(lab_of: Callable[[slice], Floats], height: int, width: int) -> Floats:
    """Convert a picture from OKLab to sRGB pixels [H, W, 3], some rows at a time.

    Args:
        lab_of: returns OKLab pixels [rows, W, 3] of some rows; called twice per band of rows.
        height, width: size of the picture in pixels.
    """
    excess = Excess()
    for rows in split_rows(height, width):
        excess |= Excess.measure(lab_of(rows))
    pixels = np.empty((height, width, 3), np.float32)
    for rows in split_rows(height, width):
        pixels[rows] = excess.to_srgb(lab_of(rows))
    return pixels


def limit_softly(share: Floats, excess: float) -> Floats:
    """Map [0, inf) into [0, 1) smoothly and strictly increasing; the identity up to 1 - excess.

    Args:
        share: values to map.
        excess: share of the range that is compressed. 0: values are clipped to 1.
    """
    if excess == 0:
        return np.minimum(share, 1)
    above = np.maximum(share / excess - (1 / excess - 1), 0)
    limited: Floats = np.minimum(share, 1 - excess) + excess * above / (1 + above)
    return limited


def _limit_lightness(lab: Floats, excess: float) -> Floats:
    lab = lab.copy()
    if excess:
        around = 2 * lab[..., 0] - 1
        lab[..., 0] = (1 + np.sign(around) * limit_softly(np.abs(around), excess)) / 2
    return lab


def _find_outside(lab: Floats, factor: Floats | float = 1) -> NDArray[np.bool_]:
    """Return which colors are outside of sRGB when their chroma is multiplied by a factor."""
    scaled = lab * np.stack(np.broadcast_arrays(1, factor, factor), -1)
    cone = scaled.astype(np.float32) @ np.linalg.inv(CONE_TO_OKLAB).T.astype(np.float32)
    light = cone**3 @ np.linalg.inv(LINEAR_TO_CONE).T.astype(np.float32)
    outside: NDArray[np.bool_] = ((light < -_TOLERANCE) | (light > 1 + _TOLERANCE)).any(-1)
    return outside


def _measure_reach(lab: Floats) -> tuple[Floats, Floats]:
    """Find the largest factor of a color's chroma within sRGB, up to 2, and its reciprocal."""
    low = np.zeros(lab.shape[:-1], np.float32)
    high = np.full_like(low, 2)
    for _ in range(_HALVINGS):
        middle = np.asarray((low + high) / 2, np.float32)
        outside = _find_outside(lab, middle)
        low, high = np.where(outside, low, middle), np.where(outside, middle, high)
    return low, np.asarray(1 / np.maximum(low, 1e-6), np.float32)
