"""Paint the studio's shipped styles: small pictures, each drawn by rules and by nothing else.

Made by this script only, so that they are free to ship (CC0, by the impasto authors).
Run: ``python examples/paint_styles.py OUT_DIR [NAME ...]`` (NumPy, SciPy, Pillow; 30 s).
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import paint
from paint_ground import HEIGHT, WIDTH, Random, clouds, grained
from paint_prints import circles, cut_paper, woodcut
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

SHIPPED = (560, 448)
LARGEST = 60_000
"""Bytes of a shipped file."""


def ink(random: Random) -> Image.Image:
    """Mountains in mist: washes one over another, dry strokes down their slopes, one red sun."""
    paper = np.array([238, 231, 216.0])
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    wash = clouds(random, 3, 14, 50)
    tone = 0.05 * clouds(random, 40, 90)
    strokes = Image.new("L", (WIDTH, HEIGHT), 0)
    for depth in range(6):
        rough = clouds(random, 70 - 9 * depth, 18, 5)[depth]
        rolling = np.sin(x[0] / (80 + 20 * depth) + 2 * depth)
        ridge = HEIGHT * (0.20 + 0.135 * depth) + (42 - 2 * depth) * rough + 30 * rolling
        below = (y - ridge[None]) / (46 + 16 * depth)
        inside = 1 / (1 + np.exp(-(y - ridge[None] + 2.2 * wash) / 1.3))
        strength = 0.20 + 0.105 * depth
        laid = strength * (np.exp(-below.clip(0)) * (1 + 0.22 * wash) + 0.10)
        tone = np.maximum(tone * (1 - 0.75 * inside), 0) + inside * laid
        pen = ImageDraw.Draw(strokes)
        pen.bitmap((0, 0), Image.fromarray((inside > 0.5).astype(np.uint8) * 160), fill=0)
        for _ in range(170 + 60 * depth):
            left = random.uniform(0, WIDTH - 1)
            slope = np.gradient(gaussian_filter(ridge, 6))[int(left)]
            top = ridge[int(left)] + random.exponential(22)
            length, lean = random.uniform(8, 34), slope * 0.6 + random.normal(0, 0.35)
            path = [
                (left + lean * t * length + random.normal(0, 0.8), top + t * length)
                for t in np.linspace(0, 1, 5)
            ]
            shade, width = int(random.uniform(30, 90) + 22 * depth), int(random.integers(1, 4))
            pen.line(path, fill=shade, width=width)
    dry = np.asarray(strokes.filter(ImageFilter.GaussianBlur(0.7)), np.float64) / 255
    tone = tone + 0.8 * dry * (0.7 + 0.4 * wash).clip(0.1, 1.4)
    black = np.array([28, 34, 46.0])
    tone = tone.clip(0, 1)[..., None]
    levels = paper * (1 - tone) + black * tone
    sun = np.hypot(x - 0.74 * WIDTH, y - 0.17 * HEIGHT)
    red = (1 / (1 + np.exp((sun - 34 - 1.5 * wash) / 1.2)))[..., None] * (1 - tone)
    levels = levels * (1 - 0.85 * red) + 0.85 * red * np.array([190, 52, 40.0])
    return grained(Image.fromarray(levels.clip(0, 255).astype(np.uint8)), random, 3.0)


GLASS = np.array(
    [
        [[236, 184, 62], [250, 214, 110], [205, 138, 36]],
        [[182, 58, 38], [214, 92, 48], [150, 36, 40]],
        [[22, 88, 128], [38, 124, 152], [18, 60, 110]],
        [[14, 116, 110], [44, 160, 140], [8, 74, 92]],
        [[238, 230, 208], [214, 222, 214], [250, 244, 226]],
    ]
)
"""Of the mosaic: gold, red, sky, sea, white; three tones each."""


def mosaic(random: Random) -> Image.Image:
    """Glass and gold: a sun over waves, laid in small stones."""
    count = 3400
    seeds = random.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
    probes = random.uniform((0, 0), (WIDTH, HEIGHT), (60 * count, 2))
    for _ in range(6):  # Lloyd: stones of about one size
        owner = cKDTree(seeds).query(probes)[1]
        weight = np.maximum(np.bincount(owner, minlength=count), 1)[:, None]
        seeds = np.stack([np.bincount(owner, probes[:, k], count) for k in (0, 1)], 1) / weight
    x, y = seeds.T
    dx, dy = x - 0.5 * WIDTH, y - 0.42 * HEIGHT
    away, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    wave = y + 17 * np.sin(x / 34 + 1.5 * np.sin(y / 60))
    rays = np.sin(12 * angle + 0.9 * np.sin(away / 40)) > 0.35
    kind = np.where(away < 62, 0, np.where(away < 80, 1, np.where(rays & (away < 215), 0, 2)))
    crest = (wave / 34) % 1
    kind = np.where(
        wave > 0.62 * HEIGHT, np.where(crest < 0.22, 4, np.where(crest < 0.62, 3, 2)), kind
    )
    choice = random.integers(0, 3, count)
    paint = GLASS[kind, choice] + random.normal(0, 10, (count, 3))
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    wobble = np.stack([clouds(random, 4), clouds(random, 4)], -1)
    pixels = np.stack([columns, rows], -1) + 0.9 * wobble
    distance, nearest = cKDTree(seeds).query(pixels, k=2)
    gap = distance[..., 1] - distance[..., 0]
    tilt = random.normal(0, 1, (count, 2))[nearest[..., 0]]
    light = ((pixels - seeds[nearest[..., 0]]) * (tilt - 0.9)).sum(-1)
    levels = paint[nearest[..., 0]] + 2.2 * light[..., None] + 3 * clouds(random, 1.0)[..., None]
    stone = (1 / (1 + np.exp(-(gap - 2.0) / 0.45)))[..., None]
    levels = levels * stone + (1 - stone) * np.array([44, 38, 40.0])
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def dab(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    shape: tuple[float, float, float],
    color: np.ndarray,
    random: Random,
) -> None:
    """One touch of a loaded brush; shape: length and width in pixels, direction in radians."""
    length, width, angle = shape
    along, across = (
        np.array([np.cos(angle), np.sin(angle)]),
        np.array([-np.sin(angle), np.cos(angle)]),
    )
    bow = random.normal(0, 0.12)
    for bristle in np.linspace(-0.5, 0.5, max(3, int(width))):
        reach = length * np.sqrt(1 - 3 * bristle**2) * random.uniform(0.8, 1.1)
        t = np.linspace(-0.5, 0.5, 5)[:, None]
        aside = bristle * width + bow * length * (t**2 - 0.2)
        line = np.array(place) + along * t * reach + across * aside
        tone = color + random.normal(0, 7) - 26 * bristle + random.normal(0, 4, 3)
        pen.line([tuple(p) for p in line], fill=tuple(int(c) for c in tone.clip(0, 255)), width=2)


def pond(random: Random) -> Image.Image:
    """Water lilies in the evening, in dabs of broken color."""
    water = np.array(
        [[64, 108, 120], [88, 140, 140], [120, 130, 172], [158, 150, 190], [54, 92, 92]]
    )
    glow = np.array([[236, 190, 170], [228, 160, 150], [246, 220, 180]])
    leaf = np.array([[84, 128, 76], [120, 156, 84], [56, 104, 78], [150, 176, 110]])
    petal = np.array([[240, 190, 205], [250, 226, 228], [222, 120, 150]])
    canvas = Image.new("RGB", (WIDTH, HEIGHT), (76, 116, 126))
    pen = ImageDraw.Draw(canvas)
    tides, sheen = clouds(random, 26, 60), clouds(random, 40)
    for count, length, width in ((2600, 44, 13), (5200, 26, 8), (6500, 15, 5)):
        for _ in range(count):
            x, y = random.uniform(0, WIDTH - 1), random.uniform(0, HEIGHT - 1)
            tide = tides[int(y), int(x)] + random.normal(0, 0.45)
            color = water[int(np.clip(2 + 1.3 * tide, 0, 4))]
            if sheen[int(y), int(x)] > 0.75 and random.random() < 0.75:
                color = glow[random.integers(3)]
            upright = random.random() < 0.2 + 0.2 * (sheen[int(y), int(x)] < -0.9)
            angle = random.normal(np.pi / 2 if upright else 0.0, 0.22)
            shape = (length * random.uniform(0.6, 1.3), width, angle)
            dab(pen, (x, y), shape, color + random.normal(0, 9, 3), random)
    for _ in range(26):
        row = random.uniform(0.08, 1.0)
        x, y, size = random.uniform(0, WIDTH), row * HEIGHT, 16 + 40 * row
        for _ in range(int(2.6 * size)):
            turn, out = random.uniform(0, 2 * np.pi), np.sqrt(random.random())
            place = (x + size * out * np.cos(turn), y + 0.36 * size * out * np.sin(turn))
            color = leaf[random.integers(4)] + random.normal(0, 10, 3)
            dab(pen, place, (0.5 * size, 4 + 4 * row, random.normal(0, 0.3)), color, random)
        if random.random() < 0.7:
            for _ in range(int(0.7 * size)):
                turn = random.uniform(-np.pi, 0)
                place = (x + 0.3 * size * np.cos(turn), y - 0.1 * size + 0.22 * size * np.sin(turn))
                color = petal[random.integers(3)] + random.normal(0, 8, 3)
                dab(pen, place, (0.26 * size, 4 + 3 * row, turn), color, random)
    return canvas


def night(_: Random) -> Image.Image:
    """The turning sky of the examples."""
    return paint.paint()


def encoded(picture: Image.Image) -> bytes:
    """As good a JPEG as is small enough."""
    small = picture.copy()
    small.thumbnail(SHIPPED, Image.Resampling.LANCZOS)
    for quality in range(86, 30, -2):
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=quality, optimize=True, progressive=True)
        if stream.tell() <= LARGEST:
            break
    return stream.getvalue()


PAINTERS = (night, pond, woodcut, mosaic, cut_paper, ink, circles)
STYLES = {each.__name__.replace("_", "-"): each for each in PAINTERS}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for number, (name, drawn) in enumerate(STYLES.items()):
        if not sys.argv[2:] or name in sys.argv[2:]:
            picture = drawn(np.random.default_rng(19 + number))
            (folder / f"{name}.jpg").write_bytes(encoded(picture))
