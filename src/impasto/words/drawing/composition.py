"""Compose a painting: lights and darks, regions, and the way that strokes run.

A picture to learn from needs masses, edges and gradients as well as marks. Every painting is one of
a few simple views: hills below a sun, waves, flowers, or currents.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from impasto.words.description import StyleDescription
from impasto.words.drawing.surface import Bools, Floats, Integers, Noise

Window = tuple[slice, slice]
EVERYWHERE: Window = (slice(None), slice(None))
VIEWS = ("hills", "waves", "flowers", "currents")
_CONTRAST = {"low": 0.6, "medium": 1.0, "high": 1.4}


class Composition:
    """A view as maps [n, n].

    Attributes:
        light: lightness in [0, 1].
        ink: index of the color.
        label: number of the region.
        angle: direction of strokes in radians, from right to down.
        x, y: coordinates in [0, 1].
        drift: a small change of hue for every place, in radians.
    """

    def __init__(
        self,
        description: StyleDescription,
        rng: np.random.Generator,
        n: int,
        fold: int,
        view: str,
    ) -> None:
        """Compose one of :data:`VIEWS` at ``n / fold`` pixels, and repeat each ``fold`` times."""
        self._rng = rng
        n //= fold
        self._noise = Noise(rng, n)
        self.n = n
        axis = (np.arange(n, dtype=np.float32) + np.float32(0.5)) / np.float32(n)
        self.x, self.y = (each.astype(np.float32) for each in np.meshgrid(axis, axis))
        self.light: Floats = np.zeros((n, n), np.float32)
        self.ink: Integers = np.zeros((n, n), np.int32)
        self.label: Integers = np.zeros((n, n), np.int32)
        self.angle: Floats = np.zeros((n, n), np.float32)
        self._count = 0
        views = (self._draw_hills, self._draw_waves, self._draw_flowers, self._draw_currents)
        dict(zip(VIEWS, views, strict=True))[view]()
        self._turn(description.direction)
        contrast = np.float32(_CONTRAST[description.contrast])
        self.light = np.clip(
            np.float32(0.5) + (self.light - np.float32(0.5)) * contrast, 0.02, 0.98
        )
        steps = rng.uniform(-0.13, 0.13, self._count + 1).astype(np.float32)
        self.drift: Floats = steps[self.label] + np.float32(0.05) * self._noise.smooth(4)
        if fold > 1:
            self._enlarge(fold)

    def _enlarge(self, fold: int) -> None:
        self.n *= fold
        for name in ("light", "ink", "label", "angle", "drift"):
            setattr(self, name, getattr(self, name).repeat(fold, 0).repeat(fold, 1))
        axis = (np.arange(self.n, dtype=np.float32) + np.float32(0.5)) / np.float32(self.n)
        self.x, self.y = (each.astype(np.float32) for each in np.meshgrid(axis, axis))

    @property
    def region_count(self) -> int:
        return self._count + 1

    def _put(
        self, mask: Bools, light: Any, ink: int, angle: Any, window: Window = EVERYWHERE
    ) -> None:
        """Put a region above what is there; the arrays are those of the window."""
        self._count += 1
        self.label[window][mask] = self._count
        self.ink[window][mask] = ink
        self.light[window][mask] = np.broadcast_to(light, mask.shape)[mask]
        self.angle[window][mask] = np.broadcast_to(angle, mask.shape)[mask]

    def _find_window(self, across: float, down: float, reach: float) -> Window:
        """Return the rows and columns within a distance of a place; at least one of each."""
        low = [min(max(int((each - reach) * self.n), 0), self.n - 1) for each in (down, across)]
        high = [max(int((each + reach) * self.n) + 1, 1) for each in (down, across)]
        return slice(low[0], max(high[0], low[0] + 1)), slice(low[1], max(high[1], low[1] + 1))

    def _draw_sky(self, horizon: float) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        across, up = float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.15, horizon * 0.6))
        away = np.hypot(x - across, y - up)
        around = np.arctan2(y - up, x - across) + np.pi / 2
        near = np.exp(-((away / 0.28) ** 2))
        bands = noise.smooth(2.5, 9) + 0.5 * noise.smooth(6, 20)
        light = 0.5 + 0.28 * y / horizon + 0.35 * near + 0.07 * bands
        angle = np.arctan2(
            np.sin(around) * near + 0.18 * bands * (1 - near), np.cos(around) * near + (1 - near)
        )
        self._put(np.ones_like(away, bool), light, 0, angle)
        for level, shade in ((0.55, 0.16), (1.05, 0.26)):
            cloud = (bands > level) & (y < horizon + 0.1)
            self._put(cloud, light + shade, 0, angle)
        for k, radius in enumerate((0.17, 0.13, 0.085)):
            ring = away < radius * (1 + 0.02 * noise.smooth(8))
            self._put(ring, 0.8 + 0.07 * k + 0.04 * np.cos(away * 120), 1 if k else 0, around)

    def _draw_hills(self) -> None:
        noise, y = self._noise, self.y
        self._draw_sky(0.45)
        rough_edges, shades = noise.smooth(30), noise.smooth(40)
        for k in range(6):
            rough = noise.line(1.3 + 0.5 * k, 4)
            top = 0.42 + 0.1 * k + (0.045 - 0.003 * k) * rough
            below = y - top[None]
            slope = np.gradient(top).astype(np.float32) * self.n
            fields = np.sin(below * (60 + 24 * (k % 3)) + 3 * noise.smooth(3))
            light = 0.64 - 0.075 * k + 0.1 * noise.smooth(4) + 0.075 * fields
            light = light + 0.16 * np.exp(-below.clip(0) / 0.03) * (0.3 + np.tanh(slope))[None]
            turn = np.arctan(slope)[None] * np.exp(-below.clip(0) / 0.12) + 0.3 * noise.smooth(3)
            self._put(below > 0, light, k, turn)
            if k >= 1:
                self._draw_trees(top, k, rough_edges, shades)

    def _draw_trees(self, top: Floats, k: int, rough: Floats, shades: Floats) -> None:
        rng = self._rng
        for _ in range(int(rng.integers(1, 4))):
            place = float(rng.uniform(0.03, 0.97))
            foot = float(top[min(int(place * self.n), self.n - 1)]) + float(rng.uniform(0.0, 0.03))
            is_cypress = rng.random() < 0.5
            tall = float(rng.uniform(0.1, 0.15)) * (0.8 + 0.3 * k)
            wide = tall * float(rng.uniform(0.16, 0.22) if is_cypress else rng.uniform(0.42, 0.6))
            window = self._find_window(place, foot - tall / 2, 0.6 * tall + wide)
            up = ((foot - self.y[window]) / tall).clip(-0.1, 1.1)
            side = (self.x[window] - place) / wide + 0.12 * rough[window]
            if is_cypress:  # a flame
                width = 1.75 * up.clip(0, 1) ** 0.4 * (1 - up).clip(0, 1) ** 0.8
            else:  # a crown of lobes on a trunk
                lobes = 1 + 0.16 * np.cos(7 * np.arctan2(up - 0.62, side)) + 0.12 * rough[window]
                width = np.sqrt((lobes - ((up - 0.62) / 0.38) ** 2).clip(0, 1.5))
                width = np.maximum(width, 0.1 * (up > 0) * (up < 0.5))
            shape = np.abs(side) < width
            light = 0.2 + 0.3 * np.exp(-((side + 0.4) ** 2) * 3) * (0.4 + up)
            light = light + 0.12 * shades[window]
            self._put(shape, light, k + 1, np.pi / 2 + 0.8 * side, window)

    def _draw_waves(self) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        self._draw_sky(0.4)
        for k in range(8):
            length, phase = 1.2 + 0.25 * k + rng.uniform(0, 1), rng.uniform(0, 6.3)
            warp = x + 0.04 * noise.smooth(3)
            arch = np.abs(np.sin(np.pi * length * warp + phase)) ** 0.8
            crest = 0.44 + 0.085 * k - (0.03 + 0.016 * k) * arch + 0.008 * noise.smooth(14)
            below = y - crest
            down, across = np.gradient(crest)
            lines = np.cos(below * (150 - 8 * k) + 2 * noise.smooth(5))
            light = 0.62 - 2.2 * below - 0.03 * k + 0.12 * lines + 0.06 * noise.smooth(5)
            turn = np.arctan2(across, 1 / self.n + 0 * across) + 0.2 * noise.smooth(5)
            self._put(below > 0, light, k % 3 if k % 2 else 0, turn)
            foam = (below > 0) & (below < (0.006 + 0.004 * k) * (1 + 0.7 * noise.smooth(18)))
            self._put(foam, np.float32(0.93) + 0 * light, 0, turn)
        for _ in range(14):
            across, down = float(rng.uniform(0, 1)), float(rng.uniform(0.35, 0.85))
            window = self._find_window(across, down, 0.02)
            spot = np.hypot(x[window] - across, y[window] - down)
            self._put(spot < rng.uniform(0.004, 0.012), 0.95, 0, 0.0, window)

    def _draw_flowers(self) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        flow = noise.smooth(2.5)
        self._put(np.ones_like(x, bool), 0.3 + 0.16 * y + 0.09 * flow, 0, 1.5 * flow)
        self._put(flow > 0.5, 0.42 + 0.08 * noise.smooth(8), 2, 1.5 * flow)
        for _ in range(16):
            self._draw_leaf(float(rng.uniform(0, 1)), float(rng.uniform(0, 1)))
        places = [(0.3, 0.3), (0.72, 0.42), (0.4, 0.74), (0.85, 0.85), (0.08, 0.62), (0.62, 0.08)]
        places += [(0.1, 0.95), (0.95, 0.15)]
        rough, spots = noise.smooth(9), noise.smooth(50)
        for k, (across, down) in enumerate(places):
            radius = rng.uniform(0.13, 0.22) if k < 5 else rng.uniform(0.09, 0.14)
            moved = (across + rng.uniform(-0.07, 0.07), down + rng.uniform(-0.07, 0.07))
            self._draw_flower(k, float(moved[0]), float(moved[1]), float(radius), (rough, spots))

    def _draw_flower(
        self, k: int, across: float, down: float, radius: float, noises: tuple[Floats, Floats]
    ) -> None:
        rng = self._rng
        petals, phase = int(rng.integers(5, 10)), float(rng.uniform(0, 6.3))
        window = self._find_window(across, down, 1.2 * radius)
        dx, dy = self.x[window] - across, self.y[window] - down
        rough, spots = (each[window] for each in noises)
        around = np.arctan2(dy, dx)
        veins = 0.05 * np.cos(around * petals * 5)
        for ring in range(3):
            reach = radius * (1 - 0.26 * ring)
            away = np.hypot(dx, dy * float(rng.uniform(1.0, 1.2)))
            lobe = np.abs(np.cos(petals * around / 2 + phase + 0.9 * ring)) ** 0.7
            edge = reach * (0.62 + 0.38 * lobe + 0.05 * rough)
            light = 0.46 + 0.36 * (away / reach) + 0.1 * lobe + veins - 0.03 * ring
            light = light - 0.12 * (lobe < 0.25) - 0.1 * ((away / edge) ** 6).clip(0, 1)
            self._put(away < edge, light, k, around, window)
        heart = np.hypot(dx, dy) < radius * 0.2 * (1 + 0.15 * rough)
        self._put(heart, 0.32 + 0.3 * (spots > 0), k + 1, around + np.pi / 2, window)

    def _draw_leaf(self, across: float, down: float) -> None:
        rng = self._rng
        turn, length = float(rng.uniform(0, 6.3)), float(rng.uniform(0.1, 0.22))
        window = self._find_window(across, down, length)
        dx, dy = self.x[window] - across, self.y[window] - down
        cos, sin = math.cos(turn), math.sin(turn)
        along, side = (dx * cos + dy * sin) / length, (dy * cos - dx * sin) / length
        vein = np.cos(30 * (along - np.abs(side)))
        light = float(rng.uniform(0.3, 0.5)) + 0.14 * np.sign(side) + 0.07 * vein
        inside = (np.abs(side) < 0.36 * (1 - along**2)) & (np.abs(along) < 1)
        self._put(inside, light, 1, turn + 0.7 * np.sign(side), window)

    def _draw_currents(self) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        stream = 0.9 * (y - 0.5) * 4 + 0.5 * noise.smooth(2.2)
        for _ in range(7):
            spot = np.hypot(x - float(rng.uniform(0, 1)), y - float(rng.uniform(0, 1)))
            stream = stream + float(rng.choice([-1.5, 1.5])) * np.exp(
                -((spot / rng.uniform(0.1, 0.24)) ** 2)
            )
        down, across = np.gradient(stream)
        angle = np.arctan2(-across, down)
        level = np.floor(stream * 3.2)
        fine = 0.1 * np.cos(stream * 60)
        shades = rng.uniform(0.15, 0.9, 60)
        for k, value in enumerate(np.unique(level)):
            inside = stream * 3.2 - value
            light = shades[k % 60] * 0.8 + 0.22 * inside + fine
            self._put(level == value, light, int(rng.integers(0, 3)) if k % 2 else 0, angle)

    def _turn(self, direction: str) -> None:
        """Replace the direction of strokes by the one that words chose."""
        x, y, noise = self.x, self.y, self._noise
        waver = 0.12 * noise.smooth(4)
        if direction == "horizontal":
            self.angle = waver
        elif direction == "vertical":
            self.angle = np.pi / 2 + waver
        elif direction == "diagonal":
            self.angle = -np.pi / 4 + waver
        elif direction == "radial":
            self.angle = np.arctan2(y - 0.5, x - 0.5) + waver
        elif direction == "wavy":
            self.angle = np.arctan(1.2 * np.cos(x * 20 + 2 * noise.smooth(2))) + waver
        elif direction == "swirling":
            self.angle = self._make_swirls()
        self.angle = self.angle.astype(np.float32)

    def _make_swirls(self) -> Floats:
        rng = self._rng
        stream = (self.y * 3 + 0.6 * self._noise.smooth(3)).astype(np.float32)
        for _ in range(8):
            spot = np.hypot(self.x - rng.uniform(0, 1), self.y - rng.uniform(0, 1))
            stream += rng.choice([-1, 1]) * 1.6 * np.exp(-((spot / rng.uniform(0.08, 0.2)) ** 2))
        down, across = np.gradient(stream)
        angle: Floats = np.arctan2(-across, down)
        return angle


def sample(values: Floats | Integers, points: Floats) -> Floats | Integers:
    """Look up a map [n, n] at points [..., 2] (x, y in pixels)."""
    n = values.shape[0]
    places = np.clip(points, 0, n - 1).astype(np.int64)
    result: Floats | Integers = values[places[..., 1], places[..., 0]]
    return result
