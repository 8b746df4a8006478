"""Draw with pieces: stones, glass, threads, paper, pixels and facets."""

from __future__ import annotations

import numpy as np

from impasto.words.drawing.composition import sample
from impasto.words.drawing.easel import Easel
from impasto.words.drawing.marks import Brush, scatter, trace
from impasto.words.drawing.surface import (
    Floats,
    Integers,
    find_borders,
    find_cells,
    lighten,
    measure_distance,
    mix,
    shift,
    soften,
    step,
)
from impasto.words.drawing.techniques.lines import draw_contours
from impasto.words.drawing.techniques.paints import StrokeLayer, lay_strokes


def average(values: Floats | Integers, pieces: Integers) -> Floats:
    """Average a map [n, n] over each piece, by the piece's number."""
    count = np.bincount(pieces.ravel()) + 1e-6
    total = np.bincount(pieces.ravel(), np.asarray(values, np.float64).ravel())
    return (total / count).astype(np.float32)


def bevel(
    easel: Easel, pieces: Integers, distance: Floats, tilt: float, round_edge: float
) -> Floats:
    """Return the change of lightness [n, n] of pieces that lean and have round edges."""
    count = int(pieces.max()) + 1
    lean = easel.rng.normal(0, tilt, count).astype(np.float32)
    rise = np.minimum(distance, round_edge)
    down, across = np.gradient(rise)
    change: Floats = lean[pieces] + (down + across) * 0.05
    return change


def draw_mosaic(easel: Easel) -> Floats:
    """Lay stones in rows along the forms, each of its own shade, leaning its own way."""
    rng, scene, noise, n, unit = easel.rng, easel.scene, easel.noise, easel.n, easel.unit
    pitch = 13 * easel.mark
    border = measure_distance(find_borders(scene.label))
    rows = border / pitch
    on_row = np.abs(rows % 1 - 0.5) < 0.16
    candidates = np.argwhere(on_row)[:, ::-1].astype(np.float32)
    candidates = rng.permutation(candidates)
    cell = np.floor(candidates / (pitch * 0.98)).astype(np.int64)
    _, first = np.unique(cell[:, 0] * 100_000 + cell[:, 1], return_index=True)
    seeds = candidates[first]
    if len(seeds) < 4:
        seeds = scatter(rng, n, pitch)
    pieces = find_cells(seeds, n)
    edge = measure_distance(find_borders(pieces))
    count = len(seeds)
    light, hue = (sample(m, seeds) for m in (scene.light, scene.drift))
    light = 0.52 + 1.25 * (light - 0.5)
    color = easel.vary(light, sample(scene.ink, seeds), hue, spread=0.055, wander=0.17)
    bright = rng.uniform(0, 1, count) < 0.05
    color[bright, 0] = np.minimum(color[bright, 0] + 0.2, 0.95)
    lab = color[pieces]
    lab[..., 0] += bevel(easel, pieces, edge, 0.03, 2.6 * unit)
    lab[..., 0] += 0.022 * noise.grain(0.8 * unit) + 0.02 * noise.smooth(50)
    slope = rng.normal(0, 0.006, (count, 2)).astype(np.float32)[pieces] / unit
    offset = np.stack([scene.x * n, scene.y * n], -1) - seeds[pieces]
    lab[..., 0] += (slope * offset).sum(-1)
    grout = easel.paper(0.04, 0.02)
    grout[..., 0] = 0.3 * grout[..., 0] + 0.45 * lab[..., 0] - 0.02
    gap = 0.75 * easel.mark**0.5 * unit**0.5 * (1 + 0.35 * noise.smooth(40))
    return mix(lab, grout, step(edge, gap + 0.6, gap - 0.6))


def draw_stained_glass(easel: Easel) -> Floats:
    """Lead together panes of streaky glass with light behind them."""
    rng, scene, noise, n, unit = easel.rng, easel.scene, easel.noise, easel.n, easel.unit
    cells = find_cells(scatter(rng, n, 62 * easel.mark, 20), n)
    bent = sample(
        cells,
        np.stack(
            [scene.x * n + 7 * unit * noise.smooth(4), scene.y * n + 7 * unit * noise.smooth(4)], -1
        ),
    )
    _, pieces = np.unique(scene.label * 10_000 + bent, return_inverse=True)
    pieces = pieces.reshape(n, n)
    edge = measure_distance(find_borders(pieces))
    light = average(scene.light, pieces)
    count = len(light)
    ink = np.rint(average(scene.ink, pieces)).astype(np.int64)
    ink = np.where(rng.uniform(0, 1, count) < 0.14, ink + 1, ink)
    light = (0.28 + 0.6 * light + rng.normal(0, 0.07, count)).clip(0.08, 0.95)
    streak = (
        noise.smooth(9, 30) * np.cos(rng.uniform(0, 3, count))[pieces]
        + noise.smooth(30, 9) * np.sin(rng.uniform(0, 3, count))[pieces]
    )
    lit = (
        light[pieces]
        + 0.075 * streak
        + 0.04 * noise.cloud(14)
        + 0.1 * (0.5 - np.hypot(scene.x - 0.5, scene.y - 0.4))
    )
    hue = rng.normal(0, 0.16, count)[pieces]
    lab = easel.inks.shade(lit.clip(0, 1), ink[pieces], hue=hue, chroma=1.25)
    lab[..., 0] -= 0.2 * np.exp(-edge / (5 * unit))
    bubbles = step(noise.grain(1.1 * unit), 2.2, 3.2)
    lab[..., 0] += 0.12 * bubbles
    width = 2.5 * easel.mark * (1 + 0.16 * noise.smooth(12))
    lead = step(edge, width + 0.8, width - 0.8)
    down, across = np.gradient(np.minimum(edge, width))
    dark = np.zeros((n, n, 3), np.float32)
    dark[..., 0] = 0.17 - 0.1 * (down + across) + 0.02 * noise.grain(1.0 * unit)
    glow = np.stack([soften(each, 5 * unit) for each in np.moveaxis(lab, -1, 0)], -1)
    return mix(lab, dark + 0.16 * glow * np.array([0.4, 1, 1], np.float32), lead)


def draw_weave(easel: Easel) -> Floats:
    """Weave a tapestry: colored weft over a pale warp, with the wool's own unevenness."""
    rng, scene, noise, n, unit = easel.rng, easel.scene, easel.noise, easel.n, easel.unit
    pitch = 5.2 * easel.mark
    x = scene.x * n + 0.9 * unit * noise.smooth(9)
    y = scene.y * n + 0.9 * unit * noise.smooth(9)
    column, row = (
        np.floor(x / pitch).astype(np.int64),
        np.floor(y / (0.72 * pitch)).astype(np.int64),
    )
    twill = (
        (column + row) % 4 if easel.description.direction == "diagonal" else (column + row) % 2 * 2
    )
    over = twill < 2
    middle = np.stack([(column + 0.5) * pitch, (row + 0.5) * 0.72 * pitch], -1)
    light, ink, hue = (sample(m, middle) for m in (scene.light, scene.ink, scene.drift))
    lot = (
        rng.normal(0, 0.045, int(row.max()) + 2)[row]
        + rng.normal(0, 0.035, 4096)[(column * 57 + row * 131) % 4096]
    )
    weft = easel.inks.shade((0.1 + 0.85 * light + lot).clip(0, 1), ink, hue=hue + 3 * lot)
    warp = easel.inks.shade(
        (0.45 + 0.42 * light + rng.normal(0, 0.05, int(column.max()) + 2)[column]).clip(0, 1),
        ink,
        hue=hue,
        chroma=0.7,
    )
    across, down = (x / pitch) % 1 - 0.5, (y / (0.72 * pitch)) % 1 - 0.5
    lab = np.where(over[..., None], weft, warp)
    along, side = np.where(over, across, down), np.where(over, down, across)
    round_thread = 0.1 - 0.55 * side**2 - 0.3 * along**2 + 0.07 * -side
    fiber = np.where(over, noise.smooth(n / 12, n / 2.2), noise.smooth(n / 2.2, n / 12))
    twist = np.sin((along * 5 + side * 9) * 2)
    lab[..., 0] += 1.15 * round_thread + 0.03 * fiber + 0.015 * twist + 0.02 * noise.cloud(3)
    return lab.astype(np.float32)


def draw_embroidery(easel: Easel) -> Floats:
    """Fill forms with satin stitches whose silk shines by its direction, on linen."""
    rng, scene, noise, n, unit = easel.rng, easel.scene, easel.noise, easel.n, easel.unit
    thread = np.pi / (1.9 * unit)
    cloth = easel.paper(0.02, 0.015)
    cloth[..., 0] += 0.035 * np.cos(scene.x * n * thread) * np.cos(scene.y * n * thread)
    canvas = easel.start_canvas(mix(cloth, easel.local_color(), 0.35 + 0 * easel.dark))
    for pitch, length, width, spread, share in (
        (7.5, 30, 4.0, 0.05, 1.0),
        (5.2, 24, 2.7, 0.07, 0.93),
        (7, 17, 2.1, 0.15, 0.5),
    ):
        starts = scatter(rng, n, pitch * easel.mark, 4)
        starts = starts[rng.uniform(0, 1, len(starts)) < share]
        points = trace(
            scene.angle,
            starts,
            length * easel.mark * rng.uniform(0.7, 1.2, len(starts)).astype(np.float32),
            2,
        )
        light, ink, hue, turn = (
            sample(m, starts) for m in (scene.light, scene.ink, scene.drift, scene.angle)
        )
        shine = 0.1 * np.cos(2 * (turn - 0.8))
        color = easel.vary((light + shine).clip(0, 1), ink, hue, spread=spread, wander=0.12)
        widths = np.full((len(starts), 3), width * easel.mark / 2, np.float32)
        widths[:, [0, 2]] *= 0.6
        canvas.stroke(
            points,
            widths,
            color,
            lighten(color, 0.07),
            Brush(0.045, 0.8 * unit, 0.0, 1.9 * unit, 0.25),
        )
    distance = measure_distance(find_borders(scene.label))
    cord = step(1.9 * easel.mark - distance, -0.6, 0.6) * step(noise.smooth(7), -0.9, -0.5)
    twist = (
        0.09 * np.sin((scene.x + 1.3 * scene.y) * n / (1.6 * easel.mark)) - 0.06 * distance / unit
    )
    lab = easel.light_canvas(canvas, 0.34 / unit)
    color = easel.inks.shade((0.24 + twist).clip(0, 1), scene.ink + 1)
    return mix(lab, color, cord)


def draw_pixel(easel: Easel) -> Floats:
    """Reduce the view to large pixels of few shades, dithered, on a glowing screen."""
    scene, noise, n, unit, rng = easel.scene, easel.noise, easel.n, easel.unit, easel.rng
    count = int(min(n, 84 * unit / easel.mark))
    axis = np.minimum((np.arange(count) + 0.5) / count * n, n - 1)
    grid = np.stack(np.meshgrid(axis, axis), -1).astype(np.float32)
    light = sample(soften(scene.light, 0.4 * n / count), grid)
    bayer = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 0.47
    dither = np.tile(bayer, (count // 4 + 1, count // 4 + 1))[:count, :count]
    levels = (
        np.floor(((light - 0.5) * 1.15 + 0.5).clip(0, 0.999) * 6.0 + 0.8 * dither).clip(0, 6) / 6
    )
    ink = sample(scene.ink, grid)
    edge = find_borders(sample(scene.label, grid))
    levels = np.where(
        edge & (rng.uniform(0, 1, edge.shape) < 0.92), np.maximum(levels - 0.3, 0.04), levels
    )
    hue = 0.5 * (0.5 - levels) + sample(scene.drift, grid)
    small = easel.inks.shade(0.06 + 0.9 * levels, ink, hue=hue * 0.6, chroma=1.15)
    place = np.minimum((np.arange(n) * count) // n, count - 1)
    lab = small[place][:, place]
    inner = (np.arange(n) * count / n) % 1
    edge_x, edge_y = np.meshgrid(np.abs(inner - 0.5), np.abs(inner - 0.5))
    lab[..., 0] -= 0.07 * step(np.maximum(edge_x, edge_y), 0.34, 0.5)
    lab[..., 0] += 0.035 * (0.5 - inner[:, None]) + 0.02 * (0.5 - inner[None])
    glow = np.stack([soften(each, 3.5 * unit) for each in np.moveaxis(lab, -1, 0)], -1)
    lab = mix(lab, glow, 0.22 + 0 * scene.light)
    lab[..., 0] += 0.008 * noise.grain(0.7 * unit) + 0.02 * noise.cloud(2)
    return lab


def draw_paper_cut(easel: Easel) -> Floats:
    """Stack sheets of paper cut along the lights, each with its shadow on the one below."""
    scene, noise, n, unit, rng = easel.scene, easel.noise, easel.n, easel.unit, easel.rng
    light = soften(scene.light, 2.2 * unit)
    height = np.clip(np.floor((1 - light) * 5.2), 0, 5).astype(np.int64)
    lab = np.empty((n, n, 3), np.float32)
    lab[:] = easel.paper(0.015)
    fiber = noise.smooth(n / 4, n / 12) + noise.smooth(n / 12, n / 4) + noise.smooth(n / 7)
    for k in range(6):
        sheet = height >= k
        if k:
            tall = (4.2 if k > 2 else 3.2) * easel.mark
            shadow = shift(soften(sheet.astype(np.float32), 2.6 * easel.mark), tall * 0.8, tall)
            lab[..., 0] -= 0.17 * shadow * ~sheet
            contact = shift(soften(sheet.astype(np.float32), 0.9 * unit), 1.1 * unit, 1.3 * unit)
            lab[..., 0] -= 0.1 * contact * ~sheet
        tone = 0.93 - 0.155 * k + rng.normal(0, 0.015)
        color = easel.inks.shade(
            tone + 0.02 * noise.cloud(2),
            scene.ink + (k >= 4),
            hue=scene.drift + rng.normal(0, 0.06),
        )
        color[..., 0] += 0.016 * fiber + 0.01 * noise.grain(0.8 * unit)
        down, across = np.gradient(soften(sheet.astype(np.float32), 0.9 * unit))
        color[..., 0] += 0.35 * (down + across) * -1 * -1
        lab = np.where(sheet[..., None], color, lab)
    holes = step(draw_contours(easel, 1.5, 0.45), 0.3, 0.8)
    under = easel.inks.shade(0.9 + 0 * light, scene.ink + 1)
    under[..., 0] -= 0.16 * shift(1 - holes, 1.5 * unit, 1.5 * unit)
    return mix(lab, under, holes * (light < 0.72))


def draw_cubism(easel: Easel) -> Floats:
    """Break the view into facets that are seen from several sides, shaded from one edge."""
    rng, scene, noise, n, unit = easel.rng, easel.scene, easel.noise, easel.n, easel.unit
    pieces = np.zeros((n, n), np.int64)
    leans = {"diagonal": (-0.8, 0.35), "vertical": (1.57, 0.3), "horizontal": (0.0, 0.3)}
    around, spread = leans.get(easel.description.direction, (0.6, 1.6))
    for k in range(int(17 / (easel.mark / unit) ** 0.7)):
        lean = around + rng.normal(0, spread)
        side = (scene.x - rng.uniform(0.05, 0.95)) * np.sin(lean) - (
            scene.y - rng.uniform(0.05, 0.95)
        ) * np.cos(lean)
        away = np.hypot(scene.x - rng.uniform(0, 1), scene.y - rng.uniform(0, 1))
        part = (away < rng.uniform(0.3, 0.9)) if k > 3 else True
        pieces = pieces * 2 + ((side > 0) & part)
        _, pieces = np.unique(pieces, return_inverse=True)
        pieces = pieces.reshape(n, n)
    count = int(pieces.max()) + 1
    move = rng.normal(0, 0.05 * n, (count, 2)).astype(np.float32)
    places = np.stack([scene.x * n, scene.y * n], -1) + move[pieces]
    light, ink = sample(soften(scene.light, 2 * unit), places), sample(scene.ink, places)
    turn = rng.uniform(0, 6.3, count).astype(np.float32)[pieces]
    ramp = (scene.x * np.cos(turn) + scene.y * np.sin(turn)) * 2.6
    mean = average(ramp, pieces)
    shade = np.tanh((ramp - mean[pieces]) * 2.2)
    light = 0.08 + 0.6 * light + 0.34 * shade + 0.12 * rng.normal(0, 1, count)[pieces]
    scene.light = light.clip(0.03, 0.97).astype(np.float32)
    scene.ink = np.where(rng.uniform(0, 1, count)[pieces] < 0.22, ink + 1, ink)
    scene.angle = (turn + np.pi / 2).astype(np.float32)
    scene.drift = rng.normal(0, 0.1, count).astype(np.float32)[pieces]
    canvas = easel.start_canvas(easel.local_color())
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=8, length=26, width=11, steps=2, spread=0.035, wander=0.12),
        Brush(0.035, 1.3 * unit, 0.3, 1.0 * unit, 0.25),
    )
    lab = mix(easel.local_color(), easel.light_canvas(canvas, 0.24 / unit), 0.85 + 0 * light)
    edge = measure_distance(find_borders(pieces))
    lab[..., 0] += 0.1 * np.exp(-((edge - 3 * unit) ** 2) / (2 * unit) ** 2) * (shade > 0)
    gap = step(noise.smooth(8), -1.1, -0.5)
    line = step(1.25 * easel.mark * (1 + 0.5 * noise.smooth(6)) * gap - edge, -0.7, 0.7)
    return mix(lab, easel.inks.shade(0.05 + 0 * light, scene.ink), 0.88 * line)
