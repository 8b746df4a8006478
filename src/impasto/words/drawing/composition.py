"""What a painting shows: lights and darks, regions, and the way that strokes run.

A picture to learn from needs masses, edges and gradients as well as marks. Every painting is one of
a few simple views: hills below a sun, waves, flowers, or currents.
"""

from __future__ import annotations

import numpy as np

from impasto.words.description import StyleDescription
from impasto.words.drawing.surface import Bools, Floats, Integers, Noise, step

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

    def __init__(self, description: StyleDescription, rng: np.random.Generator, n: int) -> None:
        self._rng = rng
        self._noise = Noise(rng, n)
        self.n = n
        axis = (np.arange(n, dtype=np.float32) + 0.5) / n
        self.x, self.y = (each.astype(np.float32) for each in np.meshgrid(axis, axis))
        self.light = np.zeros((n, n), np.float32)
        self.ink = np.zeros((n, n), np.int64)
        self.label = np.zeros((n, n), np.int64)
        self.angle = np.zeros((n, n), np.float32)
        self._count = 0
        views = (self._draw_hills, self._draw_waves, self._draw_flowers, self._draw_currents)
        views[int(rng.integers(len(views)))]()
        self._turn(description.direction)
        contrast = _CONTRAST[description.contrast]
        self.light = np.clip(0.5 + (self.light - 0.5) * contrast, 0.02, 0.98).astype(np.float32)
        steps = rng.uniform(-0.13, 0.13, self._count + 1).astype(np.float32)
        self.drift = steps[self.label] + 0.05 * self._noise.smooth(4)

    @property
    def region_count(self) -> int:
        return self._count + 1

    def _put(self, mask: Bools, light: Floats, ink: int, angle: Floats) -> None:
        """Put a region above what is there."""
        self._count += 1
        self.label[mask] = self._count
        self.ink[mask] = ink
        self.light[mask] = np.broadcast_to(light, mask.shape)[mask]
        self.angle[mask] = np.broadcast_to(angle, mask.shape)[mask]

    def _draw_sky(self, horizon: float) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        across, up = rng.uniform(0.2, 0.8), rng.uniform(0.15, horizon * 0.6)
        away = np.hypot(x - across, y - up)
        around = np.arctan2(y - up, x - across) + np.pi / 2
        near = np.exp(-((away / 0.28) ** 2))
        bands = noise.smooth(2.5, 9) + 0.5 * noise.smooth(6, 20)
        light = 0.5 + 0.28 * y / horizon + 0.35 * near + 0.07 * bands
        angle = np.arctan2(np.sin(around) * near + 0.18 * bands * (1 - near), 
                           np.cos(around) * near + (1 - near))  # fmt: skip
        self._put(np.ones_like(away, bool), light, 0, angle)
        for level, shade in ((0.55, 0.16), (1.05, 0.26)):
            cloud = (bands > level) & (y < horizon + 0.1)
            self._put(cloud, light + shade, 0, angle)
        for k, radius in enumerate((0.17, 0.13, 0.085)):
            ring = away < radius * (1 + 0.02 * noise.smooth(8))
            self._put(ring, 0.8 + 0.07 * k + 0.04 * np.cos(away * 120), 1 if k else 0, around)

    def _draw_hills(self) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        self._draw_sky(0.45)
        for k in range(6):
            rough = noise.line(1.6 + k, 5)
            top = 0.40 + 0.1 * k + (0.045 + 0.012 * k) * rough
            below = y - top[None]
            slope = np.gradient(top) * self.n
            fields = np.sin(below * (60 + 24 * (k % 3)) + 3 * noise.smooth(3))
            light = 0.62 - 0.085 * k + 0.1 * noise.smooth(4) + 0.07 * fields
            light = light + 0.25 * step(-below, -0.05, 0) * (0.5 + 0.5 * np.sign(slope)[None])
            turn = np.arctan(slope)[None] * np.exp(-below / 0.12) + 0.3 * noise.smooth(3)
            self._put(below > 0, light, k, turn)
            if k >= 2:
                self._draw_trees(top, k)

    def _draw_trees(self, top: Floats, k: int) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        for _ in range(int(rng.integers(1, 4))):
            place = rng.uniform(0.03, 0.97)
            foot = top[min(int(place * self.n), self.n - 1)] + rng.uniform(0.02, 0.06)
            tall, wide = rng.uniform(0.05, 0.1) * (1 + 0.3 * k), rng.uniform(0.018, 0.05)
            if rng.random() < 0.35:
                tall, wide = tall * 1.8, wide * 0.6
            up = (foot - y) / tall
            side = (x - place - 0.01 * noise.smooth(6)) / wide
            shape = side**2 + (2 * up - 1) ** 2 < 1 + 0.25 * noise.smooth(30)
            light = 0.22 + 0.2 * (side < -0.2) * up + 0.12 * noise.smooth(40)
            self._put(shape, light, k + 1, np.pi / 2 + 0.8 * side + 0.4 * noise.smooth(12))

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
            spot = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0.35, 0.85))
            self._put(spot < rng.uniform(0.004, 0.012), 0.95 + 0 * spot, 0, 0 * spot)

    def _draw_flowers(self) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        flow = noise.smooth(2.5)
        self._put(np.ones_like(x, bool), 0.3 + 0.16 * y + 0.09 * flow, 0, 1.5 * flow)
        self._put(flow > 0.5, 0.42 + 0.08 * noise.smooth(8), 2, 1.5 * flow)
        for _ in range(16):
            self._draw_leaf(rng.uniform(0, 1), rng.uniform(0, 1))
        places = [(0.3, 0.3), (0.72, 0.42), (0.4, 0.74), (0.85, 0.85), (0.08, 0.62), (0.62, 0.08)]
        places += [(0.1, 0.95), (0.95, 0.15)]
        for k, (across, down) in enumerate(places):
            across, down = across + rng.uniform(-0.07, 0.07), down + rng.uniform(-0.07, 0.07)
            radius = rng.uniform(0.13, 0.22) if k < 5 else rng.uniform(0.09, 0.14)
            petals, phase = int(rng.integers(5, 10)), rng.uniform(0, 6.3)
            for ring in range(3):
                reach = radius * (1 - 0.26 * ring)
                away = np.hypot(x - across, (y - down) * rng.uniform(1.0, 1.2))
                around = np.arctan2(y - down, x - across)
                lobe = np.abs(np.cos(petals * around / 2 + phase + 0.9 * ring)) ** 0.7
                edge = reach * (0.62 + 0.38 * lobe + 0.05 * noise.smooth(9))
                veins = np.cos(around * petals * 5) * 0.05
                light = 0.48 + 0.4 * (away / reach) + 0.1 * lobe + veins - 0.04 * ring
                self._put(away < edge, light - 0.12 * (lobe < 0.25), k, around + 0 * away)
            heart = away < radius * 0.2 * (1 + 0.15 * noise.smooth(20))
            self._put(heart, 0.32 + 0.3 * (noise.smooth(50) > 0), k + 1, around + np.pi / 2)

    def _draw_leaf(self, across: float, down: float) -> None:
        rng, x, y = self._rng, self.x, self.y
        turn, length = rng.uniform(0, 6.3), rng.uniform(0.1, 0.22)
        along = ((x - across) * np.cos(turn) + (y - down) * np.sin(turn)) / length
        side = ((y - down) * np.cos(turn) - (x - across) * np.sin(turn)) / length
        width = 0.36 * (1 - along**2)
        vein = np.cos(30 * (along - np.abs(side)))
        light = rng.uniform(0.3, 0.5) + 0.14 * np.sign(side) + 0.07 * vein
        angle = turn + 0.7 * np.sign(side)
        self._put((np.abs(side) < width) & (np.abs(along) < 1), light, 1, angle)

    def _draw_currents(self) -> None:
        rng, noise, x, y = self._rng, self._noise, self.x, self.y
        stream = 0.9 * (y - 0.5) * 4 + 0.5 * noise.smooth(2.2)
        for _ in range(7):
            spot = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 1))
            stream = stream + rng.choice([-1, 1]) * 1.5 * np.exp(-((spot / rng.uniform(0.1, 0.24)) ** 2))
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
        return np.arctan2(-across, down)


def sample(values: Floats | Integers, points: Floats) -> Floats | Integers:
    """Look up a map [n, n] at points [..., 2] (x, y in pixels)."""
    n = values.shape[0]
    places = np.clip(points, 0, n - 1).astype(np.int64)
    result: Floats | Integers = values[places[..., 1], places[..., 0]]
    return result
