"""Paint with water: ink, watercolor, marbling and dyed cloth."""

from __future__ import annotations

import math

import numpy as np

from impasto.words.drawing.composition import sample
from impasto.words.drawing.easel import Easel
from impasto.words.drawing.marks import Brush, make_discs, scatter, taper, trace
from impasto.words.drawing.surface import (
    Floats,
    find_borders,
    find_cells,
    lighten,
    measure_distance,
    mix,
    soften,
    step,
)
from impasto.words.drawing.techniques.lines import draw_contours
from impasto.words.drawing.techniques.paints import fill


def spread_wash(easel: Easel, region: Floats, rough: float) -> tuple[Floats, Floats]:
    """Let a region [n, n] run on wet paper.

    Returns:
        The amount of pigment inside in [0, 1], and the dark rim where it dried.
    """
    unit = easel.unit
    bleed = easel.noise.cloud(9, 4) * rough + 0.06 * easel.noise.grain(1.5 * unit)
    field = soften(region, 3.2 * unit) + bleed
    inside = step(field, 0.42, 0.56)
    rim = step(field, 0.4, 0.5) * step(field, 0.72, 0.5)
    return inside, rim


def draw_ink_wash(easel: Easel) -> Floats:
    """Lay washes of diluted ink from light to dark, then dry brush strokes and spots."""
    scene, noise, unit, rng = easel.scene, easel.noise, easel.unit, easel.rng
    lab = easel.paper(0.012, 0.016)
    # Diluted black is gray, but a diluted color must stay one.
    deep = 0.1 if easel.inks.is_gray(0) else 0.27
    dark = soften(easel.dark, 4 * unit)
    amount = np.zeros_like(dark)
    for low, strength in ((0.2, 0.15), (0.38, 0.19), (0.55, 0.24), (0.72, 0.3)):
        inside, rim = spread_wash(
            easel, (dark > low + 0.08 * noise.smooth(4)).astype(np.float32), 0.16
        )
        flow = (1 + 0.35 * noise.cloud(4)).clip(0.2)
        amount += (
            strength * inside * flow * (0.35 + 0.85 * step(dark, low - 0.1, low + 0.35))
            + 0.07 * rim
        )
    amount = amount * (1 + 0.12 * noise.grain(1.2 * unit))
    lab = mix(
        lab,
        easel.inks.shade(deep + 0 * dark, scene.ink, hue=scene.drift, chroma=1.25),
        amount.clip(0, 0.93),
    )
    canvas = easel.start_canvas(lab)
    starts = scatter(rng, easel.n, 25 * easel.mark, 5)
    starts = starts[rng.uniform(0, 0.9, len(starts)) < sample(step(easel.dark, 0.45, 0.95), starts)]
    if len(starts):
        points = trace(
            scene.angle,
            starts,
            rng.uniform(45, 130, len(starts)).astype(np.float32) * easel.mark,
            12,
        )
        press = np.exp(np.cumsum(rng.normal(0, 0.2, (len(starts), 13)), 1))
        wide = easel.mark * rng.uniform(1.2, 5.5, (len(starts), 1)) * press.clip(0.4, 1.8)
        widths = np.maximum(taper(len(starts), 12, 0.5) * wide, 0.4 * unit).astype(np.float32)
        ink = easel.inks.shade(
            deep + rng.uniform(-0.08, 0.12, len(starts)), sample(scene.ink, starts)
        )
        canvas.stroke(
            points,
            widths,
            ink,
            lighten(ink, 0.07),
            Brush(0.03, 1.1 * unit, 0.62, 1, 0.3),
        )
    spots = fill(
        easel.n,
        make_discs(rng.uniform(0, easel.n, (46, 2)), easel.mark * rng.lognormal(0.2, 0.8, 46), 11),
    )
    wet = step(soften(spots, 1.2 * unit) + 0.1 * noise.grain(1.3 * unit), 0.25, 0.55)
    return mix(mix(lab, canvas.lab, 0.88), easel.inks.shade(0.12 + 0 * dark, 0), 0.7 * wet)


def draw_watercolor(easel: Easel) -> Floats:
    """Glaze transparent washes that bleed, bloom, granulate and leave the paper white."""
    scene, noise, unit, rng = easel.scene, easel.noise, easel.unit, easel.rng
    tooth = easel.tooth()
    lab = easel.paper(0.012, 0.01)
    lab[..., 0] += 0.008 * tooth
    wet_hue = 0.3 * noise.cloud(3)
    soft = soften(scene.light, 11 * unit)
    under = easel.inks.shade(0.8 + 0.1 * noise.cloud(3), scene.ink, hue=wet_hue, chroma=1.2)
    lab = mix(
        lab,
        np.stack([soften(under[..., k], 12 * unit) for k in range(3)], -1),
        0.75 * step(soft + 0.2 * noise.cloud(4), 1.15, 0.35),
    )
    for low, light, strength in (
        (0.22, 0.66, 0.6),
        (0.42, 0.48, 0.6),
        (0.6, 0.3, 0.62),
        (0.76, 0.14, 0.6),
    ):
        region = (easel.dark > low + 0.07 * noise.smooth(6)).astype(np.float32)
        inside, rim = spread_wash(easel, region, 0.13)
        pool = 0.72 + 0.3 * noise.cloud(4)
        granules = 1 + 0.16 * step(tooth, 0.2, 1.6) - 0.12 * step(-tooth, 0.3, 1.6)
        color = easel.inks.shade(
            light + 0.1 * noise.cloud(5), scene.ink, hue=scene.drift + wet_hue, chroma=1.2
        )
        lab = mix(
            lab, color, (strength * inside * pool * granules + 0.3 * rim * inside).clip(0, 0.95)
        )
    for _ in range(7):
        away = np.hypot(scene.x - rng.uniform(0, 1), scene.y - rng.uniform(0, 1))
        edge = rng.uniform(0.03, 0.09) * (1 + 0.28 * noise.cloud(12))
        bloom = step(away, edge, 0.3 * edge)
        rim = step(away, edge * 1.12, edge) * step(away, edge * 0.8, edge)
        lab[..., 0] += 0.11 * bloom * (1 - lab[..., 0]) * 2 - 0.09 * rim
    spots = fill(
        easel.n,
        make_discs(rng.uniform(0, easel.n, (60, 2)), easel.mark * rng.lognormal(0.1, 0.7, 60), 9),
    )
    return mix(
        lab, easel.inks.shade(0.42 + 0 * soft, scene.ink + 1), 0.55 * soften(spots, 0.7 * unit)
    )


def draw_marbling(easel: Easel) -> Floats:
    """Float drops of color on water, and draw a comb and a stylus through them."""
    rng, scene, noise, unit, n = easel.rng, easel.scene, easel.noise, easel.unit, easel.n
    x, y = scene.x.copy(), scene.y.copy()
    scale = easel.mark / unit
    main = choose_comb_direction(easel)
    for k, (reach, spacing) in enumerate([(0.02, 0.09), (0.06, 0.2), (0.075, 0.28)]):
        turn = main + (k % 2) * np.pi / 2 + rng.normal(0, 0.06)
        cos, sin = math.cos(turn), math.sin(turn)
        wave = np.cos((x * sin - y * cos) * (2 * math.pi / (spacing * scale)))
        push = np.float32(reach * scale) * np.sign(wave) * np.abs(wave) ** np.float32(0.6)
        x, y = x - push * np.float32(cos), y - push * np.float32(sin)
    for _ in range(3):
        across, down, radius = (
            float(rng.uniform(*each)) for each in ((0.15, 0.85), (0.15, 0.85), (0.1, 0.22))
        )
        dx, dy = x - across, y - down
        turn = float(rng.choice([-2.6, 2.6])) * np.exp(-np.hypot(dx, dy) / radius)
        x = across + dx * np.cos(turn) - dy * np.sin(turn)
        y = down + dx * np.sin(turn) + dy * np.cos(turn)
    warp = 0.035
    x, y = (each + np.float32(warp) * noise.smooth(3) for each in (x, y))
    light: Floats = np.full((n, n), 0.85, np.float32)
    ink = np.zeros((n, n), np.int64)
    number = np.zeros((n, n), np.int64)
    free = np.ones((n, n), bool)
    count = int(min(110, 90 / scale))
    shades = rng.choice([0.1, 0.3, 0.46, 0.62, 0.8, 0.97], count)
    for k in range(count):
        across, down = map(float, rng.uniform(-0.25, 1.25, 2))
        radius = float(scale * rng.uniform(0.04, 0.1))
        dx, dy = x - across, y - down
        square = dx * dx + dy * dy
        inside = free & (square < radius**2)
        light[inside], ink[inside], number[inside] = (
            shades[k],
            rng.integers(0, 4) // 2 * (1 + k % 2),
            k + 1,
        )
        free &= ~inside
        factor = np.sqrt(np.maximum(1 - radius**2 / np.maximum(square, 1e-6), 0))
        x, y = across + dx * factor, down + dy * factor
    band = np.floor((x * math.cos(main) + y * math.sin(main)) * 26 + 2).astype(np.int64)
    rest = np.where(free, band % 97, 0)
    light = np.where(free, rng.choice([0.2, 0.4, 0.75, 0.85, 0.93], 97)[rest], light)
    ink = np.where(free, (rng.integers(0, 5, 97) // 3)[rest], ink)
    number = np.where(free, count + rest, number)
    stones = np.floor(light * 6).astype(np.int64) + 7 * number
    rim = step(measure_distance(find_borders(stones)), 1.6 * unit, 0.3 * unit)
    light = light + 0.045 * noise.cloud(7) - 0.05 * rim
    lab = easel.inks.shade(light, ink, hue=0.12 * noise.smooth(4), chroma=1.05)
    veins = rng.uniform(-1, 1, count + 97).astype(np.float32)[number]
    lab[..., 0] += 0.02 * veins + 0.014 * noise.grain(0.9 * unit)
    specks = fill(
        n,
        make_discs(rng.uniform(0, n, (260, 2)), easel.mark * rng.lognormal(0.0, 0.5, 260), 8),
    )
    lab = mix(lab, easel.inks.shade(0.95 + 0 * light, 0, chroma=0.6), 0.85 * specks)
    return mix(lab, easel.paper(0.02), 0.06 + 0.1 * step(noise.grain(1.1 * unit), 1.2, 2.6))


def choose_comb_direction(easel: Easel) -> float:
    """Return the direction of the comb."""
    turns = {"horizontal": 0.0, "vertical": np.pi / 2, "diagonal": np.pi / 4}
    return float(turns.get(easel.description.direction, easel.rng.uniform(0, np.pi)))


def draw_batik(easel: Easel) -> Floats:
    """Dye cloth in three baths between wax, which cracks and leaves veins."""
    scene, noise, unit, rng, n = easel.scene, easel.noise, easel.unit, easel.rng, easel.n
    light = soften(scene.light, 1.2 * unit) + 0.05 * noise.smooth(9)
    lab = easel.paper(0.012, 0.02)
    warp = np.stack(
        [scene.x * n + 6 * unit * noise.smooth(12), scene.y * n + 6 * unit * noise.smooth(12)], -1
    )
    crack = np.zeros((n, n), np.float32)
    for pitch, width, share in ((58, 1.3, 0.95), (26, 0.75, 0.6)):
        cells = find_cells(scatter(rng, n, pitch * easel.mark), n)
        bent = sample(cells, warp)
        some = step(noise.smooth(5), -0.3, 0.6) if share < 0.9 else 1.0
        distance = measure_distance(find_borders(bent))
        crack = np.maximum(
            crack,
            share
            * some
            * step(width * easel.mark * (0.55 + 0.5 * noise.smooth(25)) - distance, -0.8, 0.9),
        )
    for level, shade in ((0.74, 0.7), (0.5, 0.44), (0.27, 0.1)):
        bath = step(light, level + 0.03, level - 0.03)
        dots = np.hypot(
            (scene.x * n / (13 * easel.mark)) % 1 - 0.5, (scene.y * n / (13 * easel.mark)) % 1 - 0.5
        )
        wax = (dots < 0.17 + 0.04 * noise.smooth(30)) & (np.abs(light - level + 0.13) < 0.12)
        bath = soften((bath * ~wax).astype(np.float32), 0.9 * unit)
        seep = np.maximum(bath, 0.5 * crack * step(light, 1.1, level - 0.1))
        color = easel.inks.shade(shade + 0.06 * noise.cloud(4), scene.ink, hue=scene.drift)
        lab = mix(lab, color, (seep * (0.9 + 0.09 * noise.cloud(8))).clip(0, 1))
    outline = soften(draw_contours(easel, 1.6, 0.15), 0.7 * unit)
    lab = mix(lab, easel.paper(0.01), 0.85 * outline * (1 - 0.6 * crack))
    lab = mix(lab, easel.inks.shade(0.08 + 0 * light, 0), 0.3 * crack * step(light, 1.0, 0.5))
    thread = np.cos(scene.x * n * 2.4 / unit) + np.cos(scene.y * n * 2.4 / unit)
    lab[..., 0] += 0.008 * thread + 0.012 * noise.grain(0.8 * unit)
    return lab
