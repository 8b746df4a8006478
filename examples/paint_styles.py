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
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

WIDTH, HEIGHT = 640, 512
SHIPPED = (560, 448)
LARGEST = 60_000
"""Bytes of a shipped file."""
Random = np.random.Generator
Points = list[tuple[float, float]]


def clouds(random: Random, *sizes: float) -> np.ndarray:
    """[H, W] smooth noise of some blob sizes in pixels, each half as strong as the one before; its
    deviation is 1."""
    field = np.zeros((HEIGHT, WIDTH))
    for octave, size in enumerate(sizes):
        layer = gaussian_filter(random.normal(size=field.shape), size, mode="wrap")
        field += layer / layer.std() / 2**octave
    return field / field.std()


def grained(picture: Image.Image, random: Random, depth: float) -> Image.Image:
    """The picture on paper: lit fibres, ``depth`` 8-bit levels deep."""
    fibres = clouds(random, 0.7, 2.0) + 0.5 * clouds(random, 9.0)
    levels = np.asarray(picture, np.float64) + depth * fibres[..., None]
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def blob(random: Random, middle: tuple[float, float], size: float, lobes: int) -> Points:
    """The outline of a leaf of seaweed, cut with scissors."""
    turn = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    start, lean = random.uniform(0, 2 * np.pi, 2)
    radius = 1 + 0.42 * np.sin(lobes * turn + start) * (0.75 + 0.35 * np.sin(turn + lean))
    stretch, angle = random.uniform(0.6, 1.0), random.uniform(0, np.pi)
    x, y = size * radius * np.cos(turn), size * radius * np.sin(turn) * stretch
    return list(
        zip(
            middle[0] + x * np.cos(angle) - y * np.sin(angle),
            middle[1] + x * np.sin(angle) + y * np.cos(angle),
            strict=True,
        )
    )


def cut_paper(random: Random) -> Image.Image:
    """Sheets of painted paper, and leaves cut out of others laid on them."""
    sheets = [
        "#f3e9d8",
        "#e4572e",
        "#17518c",
        "#f2b134",
        "#2a9d6e",
        "#efc3ca",
        "#1d2b53",
        "#7fb7be",
    ]
    canvas = Image.new("RGB", (WIDTH, HEIGHT), sheets[0])
    pen = ImageDraw.Draw(canvas)
    columns, rows = 4, 3
    for cell in range(columns * rows):
        row, column = divmod(cell, columns)
        x, y = column * WIDTH / columns, row * HEIGHT / rows
        slip = random.uniform(-10, 10, 4)
        corners = (x + slip[0], y + slip[1], x + WIDTH / columns + slip[2], y + HEIGHT / rows + 14)
        pen.rectangle(corners, fill=sheets[(3 * row + 5 * column + row * column) % len(sheets)])
    for count in range(34):
        column, row = count % 7, count // 7
        middle = ((column + random.uniform(0.1, 0.9)) * WIDTH / 7, (row + 0.5) * HEIGHT / 5)
        outline = blob(random, middle, random.uniform(26, 50), int(random.integers(4, 9)))
        under = canvas.getpixel((min(int(middle[0]), WIDTH - 1), min(int(middle[1]), HEIGHT - 1)))
        color = sheets[int(random.integers(len(sheets)))]
        while sum(abs(int(color[k : k + 2], 16) - under[k // 2]) for k in (1, 3, 5)) < 150:
            color = sheets[int(random.integers(len(sheets)))]
        shade = Image.new("L", canvas.size, 255)
        ImageDraw.Draw(shade).polygon([(px + 3, py + 4) for px, py in outline], fill=150)
        soft = shade.filter(ImageFilter.GaussianBlur(2.5))
        canvas = ImageChops.multiply(canvas, Image.merge("RGB", [soft] * 3))
        ImageDraw.Draw(canvas).polygon(outline, fill=color)
    return grained(canvas.filter(ImageFilter.GaussianBlur(0.7)), random, 4.5)


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
    """Water lilies in the evening, in dabs of broken colour."""
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


def woodcut(random: Random) -> Image.Image:
    """A sea of cut lines under a graded sky: key block, two blues, one red, on cream paper."""
    scale = 2
    size = (WIDTH * scale, HEIGHT * scale)
    canvas = Image.new("RGB", size, "#efe4c8")
    pen = ImageDraw.Draw(canvas)
    for row in range(int(size[1] * 0.5)):  # the printer wipes the block
        share = max(0.0, 1 - row / (size[1] * 0.34)) ** 1.4
        tint = np.array([239, 228, 200]) * (1 - share) + np.array([34, 70, 120]) * share
        pen.line([(0, row), (size[0], row)], fill=tuple(int(c) for c in tint))
    left, top, across = size[0] * 0.17, size[1] * 0.16, size[0] * 0.2
    pen.ellipse((left, top, left + across, top + across), fill="#cf4a34")
    x = np.arange(-40, size[0] + 40, 4.0)
    for crest in range(13):
        near = crest / 12
        base = size[1] * (0.40 + 0.60 * near**1.15)
        swell, length = 22 + 96 * near, 120 + 260 * near
        phase = x / length * 2 * np.pi + crest * 2.1 + 0.5 * np.sin(x / length * 2 * np.pi + crest)
        line = base - swell * (1 - np.abs(np.sin(phase / 2)) ** 0.8 * 1.25)
        body = ["#23497d", "#4f86ad", "#16335e", "#8fb3bd"][crest % 4]
        pen.polygon([*zip(x, line, strict=True), (x[-1], size[1]), (x[0], size[1])], fill=body)
        for step in range(1, 9):
            lower = line + step * (7 + 11 * near) + 2.5 * np.sin(x / 37 + step)
            shown = np.abs(np.sin(phase / 2 + 0.25 * step)) > 0.16 + 0.07 * step
            color = "#efe4c8" if step % 2 and crest % 4 != 3 else "#12233f"
            for k in np.flatnonzero(shown[1:]):
                ends = [(x[k], lower[k]), (x[k + 1], lower[k + 1])]
                pen.line(ends, fill=color, width=int(2 + 3 * near))
        pen.line(
            list(zip(x, line, strict=True)), fill="#12233f", width=int(4 + 5 * near), joint="curve"
        )
        for k in np.flatnonzero(np.abs(np.sin(phase / 2)) < 0.30)[
            :: 3 if near < 0.5 else 2
        ]:  # foam
            for _ in range(2 + int(4 * near)):
                r = random.uniform(3, 6 + 12 * near)
                px, py = x[k] + random.normal(0, 10), line[k] + random.normal(-4, 6 + 7 * near)
                pen.ellipse(
                    (px - r, py - r, px + r, py + r), fill="#f4ecd8", outline="#12233f", width=3
                )
    grain = clouds(random, 0.8)
    grain = gaussian_filter(grain, (0.4, 12))
    levels = np.asarray(canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), np.float64)
    levels = (levels + 5 * (grain / grain.std())[..., None]).clip(0, 255)
    return grained(Image.fromarray(levels.astype(np.uint8)), random, 2.0)


def circles(random: Random) -> Image.Image:
    """A composition: discs, wedges and ruled lines, thin paint over thin paint."""
    scale = 2
    size = (WIDTH * scale, HEIGHT * scale)
    canvas = Image.new("RGB", size, "#f0e6d2")
    inks = ["#e2b33c", "#c8452f", "#2b4c7e", "#3f8f8a", "#1c1c22", "#d98aa0", "#7a5c99", "#e98a3b"]

    for count in range(52):
        x, y = random.uniform(0, size[0]), random.uniform(0, size[1])
        r = float(random.choice([34, 56, 90, 150], p=[0.35, 0.35, 0.2, 0.1]))
        color = inks[int(random.integers(len(inks)))]
        box = (x - r, y - r, x + r, y + r)
        turn = random.uniform(0, 360)
        film = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(film)
        if count % 4 == 0:
            pen.pieslice(box, turn, turn + 70, fill=color)
        elif count % 4 == 1:
            angles = np.radians(turn) + np.array([0, 2.5, 3.6])
            pen.polygon([(x + 1.5 * r * np.cos(a), y + 1.5 * r * np.sin(a)) for a in angles], color)
        else:
            pen.ellipse(box, fill=color)
        canvas = ImageChops.multiply(canvas, film)
        if count % 4 > 1:
            pen = ImageDraw.Draw(canvas)
            for ring, share in enumerate((0.72, 0.45, 0.2)):
                inner = (x - share * r, y - share * r, x + share * r, y + share * r)
                pen.ellipse(inner, fill=inks[(count + 3 * ring) % len(inks)])
    pen = ImageDraw.Draw(canvas)
    for _ in range(30):
        a, turn, reach = (
            random.uniform((0, 0), size),
            random.uniform(0, np.pi),
            random.uniform(120, 620),
        )
        for rule in range(int(random.integers(1, 6))):
            off = 13 * rule * np.array([-np.sin(turn), np.cos(turn)])
            b = a + reach * np.array([np.cos(turn), np.sin(turn)])
            pen.line(
                [tuple(a + off), tuple(b + off)], fill="#1c1c22", width=int(random.integers(3, 8))
            )
    for _ in range(5):
        left, top = random.uniform((0, 0), (size[0] * 0.85, size[1] * 0.8))
        for cell in range(20):
            row, column = divmod(cell, 5)
            if (row + column) % 2:
                x, y = left + 24 * column, top + 24 * row
                pen.rectangle((x, y, x + 24, y + 24), fill="#1c1c22")
    soft = canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return grained(soft, random, 5.0)


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


def night(_: Random) -> Image.Image:
    """The turning sky of the examples."""
    return paint.paint()


PAINTERS = (night, pond, woodcut, mosaic, cut_paper, ink, circles)
STYLES = {each.__name__.replace("_", "-"): each for each in PAINTERS}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for number, (name, drawn) in enumerate(STYLES.items()):
        if not sys.argv[2:] or name in sys.argv[2:]:
            picture = drawn(np.random.default_rng(19 + number))
            (folder / f"{name}.jpg").write_bytes(encoded(picture))
