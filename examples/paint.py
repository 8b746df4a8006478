"""Paint ``examples/painting.jpg``: an oil sketch of a turning sky, stroke by stroke.

Made by this script and nothing else, so that it is free to ship. Strokes follow a flow of vortices
over hills, large ones first and small ones on top, each a bundle of bristles of slightly different
paint. Run: ``python examples/paint.py OUT.jpg`` (NumPy and Pillow; about ten seconds).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 960, 720
VORTICES = ((0.30, 0.30, 0.17, 1.0), (0.72, 0.22, 0.13, -1.0), (0.55, 0.48, 0.10, 0.8))
LIGHTS = ((0.30, 0.30, 0.055), (0.72, 0.22, 0.045), (0.10, 0.14, 0.03), (0.90, 0.45, 0.03))
NIGHT = np.array([[18, 32, 92], [30, 62, 140], [62, 108, 178], [120, 160, 196], [16, 22, 58]])
LIGHT = np.array([[250, 214, 80], [244, 186, 44], [255, 238, 170]])
HILL = np.array([[24, 44, 40], [38, 72, 52], [66, 88, 44], [20, 30, 46], [112, 104, 48]])
PASSES = ((2600, 70, 17), (6500, 46, 10), (12000, 30, 6))
"""Strokes, their length and their width in pixels, from the ground up."""


def horizon(x: float) -> float:
    """Height of the hills at x, both as fractions of the canvas."""
    return 0.74 + 0.06 * np.sin(5.2 * x + 0.6) - 0.05 * np.sin(11 * x)


def flow(x: float, y: float) -> float:
    """Direction of the brush in radians."""
    u, v = 1.0, 0.25 * np.sin(7 * x + 2)
    if y > horizon(x):
        return float(np.arctan2(0.5 * np.cos(9 * x), 1.0))
    for cx, cy, radius, turn in VORTICES:
        dx, dy = x - cx, (y - cy) * HEIGHT / WIDTH
        pull = 4.5 * turn * np.exp(-(dx * dx + dy * dy) / (2 * radius**2))
        u, v = u - pull * dy / radius, v + pull * dx / radius
    return float(np.arctan2(v, u))


def paint_at(x: float, y: float, random: np.random.Generator) -> np.ndarray:
    """The color of a stroke beginning at x, y: 8-bit RGB as floats."""
    for cx, cy, radius in LIGHTS:
        distance = np.hypot(x - cx, (y - cy) * HEIGHT / WIDTH) / radius
        if random.random() < np.exp(-(distance**2) / 2.2):
            return LIGHT[random.integers(len(LIGHT))]
        if abs(distance - 2.3) < 0.35 and random.random() < 0.6:
            return NIGHT[3]
    if y > horizon(x):
        return HILL[random.integers(len(HILL))]
    band = 0.5 + 0.5 * np.sin(14 * y + 5 * np.sin(4 * x) + random.normal(0, 0.5))
    return NIGHT[min(4, int(band * 5))]


def stroke(
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float],
    size: tuple[float, float],
    color: np.ndarray,
    random: np.random.Generator,
) -> None:
    """One loaded brush drawn along the flow, its bristles side by side."""
    length, width = size
    x, y = start
    path = []
    for _ in range(8):
        path.append((x, y))
        angle = flow(x / WIDTH, y / HEIGHT)
        x, y = x + np.cos(angle) * length / 8, y + np.sin(angle) * length / 8
    points = np.array(path)
    tangent = np.gradient(points, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    taper = np.sin(np.linspace(0.5, np.pi - 0.35, len(points)))[:, None]
    bristles = max(3, int(width / 1.6))
    for bristle in np.linspace(-0.5, 0.5, bristles):
        # A ridge of paint catches light on one side of the stroke and lies in shade on the other.
        tone = color + random.normal(0, 9) - 34 * bristle + random.normal(0, 4, 3)
        line = points + normal * taper * bristle * width
        fill = tuple(int(c) for c in np.clip(tone, 0, 255))
        draw.line([tuple(p) for p in line], fill=fill, width=2, joint="curve")


def paint(seed: int = 11) -> Image.Image:
    """The finished canvas."""
    random = np.random.default_rng(seed)
    canvas = Image.new("RGB", (WIDTH, HEIGHT), (22, 34, 84))
    draw = ImageDraw.Draw(canvas)
    for count, length, width in PASSES:
        for _ in range(count):
            x, y = random.uniform(-0.03, 1.03), random.uniform(-0.03, 1.03)
            color = paint_at(x, y, random) + random.normal(0, 8, 3)
            size = (length * random.uniform(0.7, 1.3), width * random.uniform(0.7, 1.2))
            stroke(draw, (x * WIDTH, y * HEIGHT), size, color, random)
    return canvas.filter(ImageFilter.GaussianBlur(0.6))


if __name__ == "__main__":
    paint().save(Path(sys.argv[1]), quality=90, subsampling=0)
