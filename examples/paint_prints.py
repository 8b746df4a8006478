"""The styles that are cut and printed: paper, wood, circles and lines (see paint_styles.py)."""

from __future__ import annotations

import numpy as np
from paint_ground import HEIGHT, WIDTH, Points, Random, clouds, grained
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter


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
