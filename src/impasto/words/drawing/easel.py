"""Hold what a technique draws with: the description's composition, inks and noise at a size."""

from __future__ import annotations

import numpy as np

from impasto.words.description import StyleDescription
from impasto.words.drawing.composition import Composition
from impasto.words.drawing.inks import Inks
from impasto.words.drawing.marks import PaintSurface
from impasto.words.drawing.surface import Floats, Noise, light_relief

_MARKS = {"fine": 0.65, "medium": 1.0, "bold": 1.6}


class Easel:
    """Everything that a technique needs.

    Attributes:
        n: size of the drawing in pixels, before it is reduced.
        unit: a 512th of the picture, in pixels.
        mark: the size of marks: a unit times the scale that words chose.
        rng: for everything random of the technique.
        noise, inks, scene: see their classes.
        description: what is drawn.
    """

    def __init__(self, description: StyleDescription, n: int, fold: int, view: str) -> None:
        name = description.technique.encode()
        self.description = description
        self.n = n
        self.unit = n / 512
        self.mark = self.unit * _MARKS[description.scale]
        self.rng = np.random.default_rng([description.seed, *name])
        self.noise = Noise(self.rng, n)
        self.inks = Inks(description)
        scene_rng = np.random.default_rng([description.seed, 1, *name])
        self.scene = Composition(description, scene_rng, n, fold, view)

    @property
    def dark(self) -> Floats:
        """Darkness [n, n] in [0, 1]."""
        return 1 - self.scene.light

    def paper(self, rough: float = 0.012, stain: float = 0.012) -> Floats:
        """Make paper [n, n, 3] in the color of the ground, with fibers and stains."""
        lab = np.empty((self.n, self.n, 3), np.float32)
        lab[:] = self.inks.ground
        fibers = self.noise.smooth(self.n / 3, self.n / 9) + self.noise.smooth(
            self.n / 9, self.n / 3
        )
        lab[..., 0] += rough * (0.6 * self.noise.grain(0.8 * self.unit) + 0.4 * fibers)
        lab[..., 0] += stain * self.noise.cloud(3)
        return lab

    def tooth(self) -> Floats:
        """Make the grain [n, n] of rough paper, of mean 0 and deviation about 1."""
        return 0.95 * self.noise.grain(0.75 * self.unit) + 0.2 * self.noise.cloud(60, 2)

    def local_color(self, **changes: float) -> Floats:
        """Return the composition's own colors [n, n, 3]."""
        scene = self.scene
        return self.inks.shade(scene.light, scene.ink, hue=scene.drift, **changes)

    def start_canvas(self, lab: Floats) -> PaintSurface:
        """Begin a canvas of paint on a ground [n, n, 3]."""
        return PaintSurface(self.rng, lab.copy())

    def vary(
        self, light: Floats, ink: Floats, hue: Floats, *, spread: float, wander: float = 0.2
    ) -> Floats:
        """Return colors [m, 3] of marks that differ a little from each other.

        Args:
            light, ink, hue: [m] of the places of the marks.
            spread: deviation of the lightness.
            wander: deviation of the hue in radians.
        """
        count = len(light)
        return self.inks.shade(
            np.clip(light + self.rng.normal(0, spread, count), 0.02, 0.98),
            ink,
            hue=hue + self.rng.normal(0, wander, count),
            chroma=self.rng.uniform(0.75, 1.12, count),
        )

    def light_canvas(self, canvas: PaintSurface, strength: float) -> Floats:
        """Return the canvas's colors as its relief shows them in light from the upper left."""
        from impasto.words.drawing.surface import soften

        lab = canvas.lab
        lab[..., 0] += light_relief(soften(canvas.height, 0.6 * self.unit), strength)
        return lab
