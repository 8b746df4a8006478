"""Make the colors of a painting: each named color as a scale of shades with nearly one hue."""

from __future__ import annotations

from typing import Any

import numpy as np

from impasto.image.color.spaces import oklab_to_srgb, srgb_to_oklab
from impasto.words.description import StyleDescription
from impasto.words.drawing.surface import Floats
from impasto.words.vocabulary import load_vocabulary

_KNOTS = 65
_LEVELS = 1024
_CHROMA = {"plain": 1.0, "vivid": 1.3, "muted": 0.5, "pale": 0.7, "dark": 0.9}
_RANGE = {
    "plain": (0.2, 0.96),
    "vivid": (0.22, 0.96),
    "muted": (0.25, 0.92),
    "pale": (0.5, 0.98),
    "dark": (0.1, 0.72),
}
_GRAY = 0.03
"""Chroma below which a color has no hue."""
_GROUNDS = {"dark": (0.24, 0.012), "pale": (0.95, 0.012)}


class Inks:
    """Turns lightness and the index of a color into OKLab colors.

    Attributes:
        base: [k, 3] the named colors in OKLab, after the tone.
        ground: [3] the color of the ground in OKLab.
        count: number of colors.
    """

    def __init__(self, description: StyleDescription) -> None:
        tone = description.tone
        base = np.stack([read_color(name) for name in description.colors])
        base[:, 1:] *= _CHROMA[tone]
        low, high = _RANGE[tone]
        self.base = base
        self.count = len(base)
        self._lightness, self._chroma = _make_scales(base, low, high)
        self._hue = np.arctan2(base[:, 2], base[:, 1])
        self.ground = self._make_ground(description)

    def is_gray(self, index: int) -> bool:
        """Tell whether a color has no hue."""
        return bool(np.hypot(*self.base[index % self.count, 1:]) < _GRAY)

    def _make_ground(self, description: StyleDescription) -> Floats:
        name = description.ground
        if name in _GROUNDS:
            lightness, chroma = _GROUNDS[name]
            hue = self._hue[0]
            color = np.array([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], np.float32)
            if self.is_gray(0):
                color[1:] = 0
            return color
        color = read_color(name)
        if "ground" in description.defaults and name not in description.colors:
            # Paper that is as yellow as its name would change the hue of what is drawn on it.
            color[1:] *= 0.2
        elif color[0] > 0.8:
            color[1:] *= 0.45
        return color

    def shade(self, light: Any, index: Any = 0, *, hue: Any = 0.0, chroma: Any = 1.0) -> Floats:
        """Compute OKLab colors.

        Args:
            light: lightness in [0, 1] of a color's own scale.
            index: which color, from 0; larger numbers begin again.
            hue: change of hue in radians.
            chroma: factor of the chroma.
        """
        index = np.asarray(index, np.int32) % self.count
        level = np.clip(np.asarray(light, np.float32), 0, 1) * np.float32(_LEVELS - 1)
        place = index * _LEVELS + level.astype(np.int32)
        angle = self._hue[index] + np.asarray(hue, np.float32)
        amount = self._chroma[place] * np.asarray(chroma, np.float32)
        lab = np.empty(
            (*np.broadcast_shapes(place.shape, angle.shape, amount.shape), 3), np.float32
        )
        lab[..., 0] = self._lightness[place]
        lab[..., 1] = amount * np.cos(angle)
        lab[..., 2] = amount * np.sin(angle)
        return lab


def read_color(name: str) -> Floats:
    text = load_vocabulary().colors[name]
    levels = [int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return srgb_to_oklab(np.array(levels, np.float32))


def _make_scales(base: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Make the lightness and chroma of every color at each level of its scale."""
    level = np.linspace(0, 1, _KNOTS)
    own = base[:, 0].clip(low + 0.12, high - 0.16)
    middle = 0.45 * (low + high) / 2 + 0.55 * own
    bend = np.log((middle - low) / (high - low)) / np.log(0.5)
    lightness = low + (high - low) * level[None] ** bend[:, None]
    chroma = np.hypot(base[:, 1], base[:, 2])
    hue = np.arctan2(base[:, 2], base[:, 1])
    away = np.abs(lightness - own[:, None])
    target = np.maximum(chroma, np.minimum(chroma * 2, 0.1))[:, None] * (1 - 0.75 * away / 0.75)
    tries = np.linspace(0, 0.36, 73)
    direction = np.stack([np.cos(hue), np.sin(hue)], -1)
    lab = np.empty((*lightness.shape, len(tries), 3), np.float32)
    lab[..., 0] = lightness[..., None]
    lab[..., 1:] = tries[:, None] * direction[:, None, None, :]
    back = srgb_to_oklab(oklab_to_srgb(lab))
    is_inside = np.abs(back - lab).max(-1) < 2e-3
    largest = tries[np.maximum(np.argmin(is_inside, -1) - 1, 0)]
    fine = np.linspace(0, 1, _LEVELS)
    amount = np.minimum(target, largest * 0.98)
    scales = ([np.interp(fine, level, row) for row in rows] for rows in (lightness, amount))
    lightness, amount = (np.concatenate(each).astype(np.float32) for each in scales)
    return lightness, amount
