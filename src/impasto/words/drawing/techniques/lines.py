"""Draw with lines and dots: pens, burins, pencils, charcoal and drafting."""

from __future__ import annotations

import numpy as np

from impasto.words.drawing.composition import sample
from impasto.words.drawing.easel import Easel
from impasto.words.drawing.marks import draw_lines, make_rounds, scatter, taper, trace
from impasto.words.drawing.surface import Floats, find_borders, measure_distance, mix, soften, step
from impasto.words.drawing.techniques.paints import fill


def draw_contours(easel: Easel, width: float, broken: float = 0.5) -> Floats:
    """Return the coverage [n, n] of outlines of the regions, which swell and break off.

    Args:
        easel: what is drawn with.
        width: half width in marks.
        broken: share of the outlines that is missing.
    """
    distance = measure_distance(find_borders(easel.scene.label))
    swell = 1 + 0.55 * easel.noise.smooth(9)
    gap = step(easel.noise.smooth(12), -1.6 + 1.6 * broken, -1.2 + 1.8 * broken)
    wide = width * easel.mark * swell.clip(0.2) * gap
    return step(wide - distance, -0.7, 0.7) * (wide > 0.15)


def hatch(
    easel: Easel, angle: Floats, need: Floats, *, pitch: float, length: float, width: float
) -> Floats:
    """Draw strokes [n, n] in places where a map of need in [0, 1] asks for them."""
    rng, mark = easel.rng, easel.mark
    starts = scatter(rng, easel.n, pitch * mark, 4 * mark)
    needs = sample(need, starts)
    starts = starts[rng.uniform(0, 1, len(starts)) < needs]
    if not len(starts):
        return np.zeros((easel.n, easel.n), np.float32)
    needs = sample(need, starts)
    long = length * mark * rng.uniform(0.5, 1.3, len(starts)).astype(np.float32)
    points = trace(angle, starts, long, 6)
    points += rng.normal(0, 0.25 * mark, points.shape).astype(np.float32)
    wide = width * mark * (0.6 + 0.6 * needs) * rng.uniform(0.7, 1.2, len(starts))
    widths = np.maximum(taper(len(starts), 6, 0.5) * wide[:, None], 0.35 * easel.unit)
    strength = rng.uniform(0.65, 1, len(starts))
    return draw_lines(easel.n, points, widths.astype(np.float32), strength)


def draw_hatching(easel: Easel) -> Floats:
    """Hatch with a pen in up to four directions on warm paper."""
    scene, noise = easel.scene, easel.noise
    dark = easel.dark + 0.06 * noise.smooth(5)
    paper = easel.paper(0.012, 0.02)
    tint = easel.inks.shade(0.72 + 0 * dark, scene.ink, hue=scene.drift)
    lab = mix(paper, tint, 0.25 * step(dark, 0.35, 0.9) * step(noise.cloud(3), -1.5, 0.5))
    turns = ((0.0, 0.1, 0.65), (0.95, 0.42, 1.0), (-0.75, 0.62, 1.15), (1.6, 0.8, 1.3))
    for turn, low, high in turns:
        need = step(dark, low, high)
        cover = hatch(easel, scene.angle + np.float32(turn), need, pitch=5.4, length=30, width=0.62)
        ink = easel.inks.shade(0.1 + 0.1 * (noise.smooth(6) > 0), scene.ink, hue=scene.drift)
        lab = mix(lab, ink, cover * (0.82 + 0.1 * noise.smooth(60)))
    ink = easel.inks.shade(0.06 + 0 * dark, scene.ink)
    return mix(lab, ink, draw_contours(easel, 0.8, 0.35))


def draw_engraving(easel: Easel) -> Floats:
    """Engrave swelling parallel lines that bend over the forms, crossed in the shadows."""
    scene, rng, n = easel.scene, easel.rng, easel.n
    dark = soften(easel.dark, 1.5 * easel.unit)
    form = soften(scene.light, 7 * easel.unit)
    turns = rng.uniform(-0.5, 0.5, scene.region_count).astype(np.float32)
    base = rng.uniform(-0.3, 0.3)
    bend = 14 * easel.mark * form + 5 * easel.mark * easel.noise.smooth(3)
    lab = easel.paper(0.008, 0.018)
    cover = np.zeros((n, n), np.float32)
    for cross, low in ((0.0, 0.0), (0.85, 0.42), (-0.8, 0.66)):
        turn = turns[scene.label] + base + cross
        place = (scene.x * np.sin(turn) + scene.y * np.cos(turn)) * n + bend
        wave = np.abs((place / (4.3 * easel.mark)) % 1 - 0.5) * 2
        amount = ((dark - low) / (1 - low)).clip(0, 1) ** 0.9 * (0.92 if low == 0 else 0.75)
        amount = amount + 0.05 * easel.noise.smooth(40)
        lines = step(wave - (1 - amount), -0.16, 0.16) * (amount > 0.06)
        cover = 1 - (1 - cover) * (1 - lines)
    cover = np.maximum(cover, draw_contours(easel, 0.75, 0.25))
    fine = 1 - 0.14 * step(easel.noise.grain(0.8 * easel.unit), 0.6, 2)
    shadow = mix(lab, easel.inks.shade(0.6 + 0 * dark, scene.ink), 0.14 * dark)
    ink = easel.inks.shade(0.05 + 0.13 * form, scene.ink, hue=scene.drift)
    return mix(shadow, ink, cover * fine)


def draw_stipple(easel: Easel) -> Floats:
    """Set thousands of pen dots, small and sparse in light, large and dense in shadow."""
    scene, rng = easel.scene, easel.rng
    lab = easel.paper(0.01, 0.018)
    dark = (1.1 * easel.dark + 0.06).clip(0, 1)
    tint = easel.inks.shade(0.75 + 0 * dark, scene.ink, hue=scene.drift)
    lab = mix(lab, tint, 0.2 * step(soften(dark, 6 * easel.unit), 0.4, 1))
    layers = ((8.0, 2.3, 0.62, 1.05), (5.0, 1.45, 0.38, 0.92), (4.2, 0.95, 0.06, 0.85))
    for pitch, radius, low, high in layers:
        centers = scatter(rng, easel.n, pitch * easel.mark)
        need = sample(step(dark, low, high), centers)
        centers = centers[rng.uniform(0, 1, len(centers)) < need]
        size = radius * easel.mark * rng.uniform(0.6, 1.2, len(centers))
        cover = fill(easel.n, make_rounds(centers, size, size * 0.9, size * 9, 8))
        light = 0.08 + 0.1 * (easel.noise.smooth(12) > 0.4)
        lab = mix(lab, easel.inks.shade(light, scene.ink, hue=scene.drift), 0.94 * cover)
    edges = draw_contours(easel, 1.0, 0.35) * (easel.noise.grain(1.1 * easel.unit) > 0.1)
    return mix(lab, easel.inks.shade(0.06 + 0 * dark, scene.ink), edges)


def draw_charcoal(easel: Easel) -> Floats:
    """Draw with the side and the point of a coal on rough paper, smudge, and lift out lights."""
    scene, noise, unit = easel.scene, easel.noise, easel.unit
    tooth = easel.tooth()
    paper = easel.paper(0.02, 0.02)
    paper[..., 0] += 0.012 * tooth
    dark = easel.dark
    smudge = soften(dark, 7 * unit) + 0.12 * noise.cloud(4)
    streak = soften(noise.grain(), (0.6 * unit, 12 * unit))
    smudge = smudge + 0.5 * streak / (streak.std() + 1e-6) * 0.09
    cover = 0.7 * step(smudge + 0.05 * tooth, 0.22, 1.05)
    for turn, low, high, width, length, share in (
        (0.0, 0.2, 0.75, 3.6, 46, 0.75),
        (0.55, 0.5, 1.0, 2.6, 36, 0.85),
        (-0.4, 0.66, 1.1, 4.5, 30, 0.95),
    ):
        need = step(dark, low, high)
        lines = hatch(
            easel, scene.angle + np.float32(turn), need, pitch=7, length=length, width=width
        )
        cover = np.maximum(cover, share * soften(lines, 0.6 * unit) * step(tooth, -2.6 - high, 0.6))
    contour = soften(draw_contours(easel, 1.7, 0.45), 0.7 * unit)
    cover = np.maximum(cover, 0.97 * contour * step(tooth, -2.5, 0.3))
    lift = hatch(
        easel, scene.angle, step(scene.light, 0.72, 1.0) * 0.4, pitch=9, length=26, width=1.4
    )
    cover = cover * (1 - 0.75 * soften(lift, 0.7 * unit) * step(tooth, -2, 0.6))
    ink = easel.inks.shade(0.03 + 0.22 * (1 - cover), scene.ink, hue=scene.drift)
    return mix(paper, ink, cover.clip(0, 1))


def draw_colored_pencil(easel: Easel) -> Floats:
    """Layer fine pencil strokes of several colors over the tooth of the paper."""
    scene, noise, unit, rng = easel.scene, easel.noise, easel.unit, easel.rng
    tooth = easel.tooth()
    lab = easel.paper(0.012, 0.012)
    lab[..., 0] += 0.008 * tooth
    layers = (
        (0.0, -0.35, 0.62, 0.08, 0.5),
        (0.22, 0.3, 0.5, 0.2, 0.75),
        (-0.18, 0.0, 0.34, 0.36, 0.95),
        (0.5, -0.25, 0.2, 0.55, 1.05),
        (0.05, 0.1, 0.1, 0.74, 1.15),
    )
    for turn, hue, light, low, high in layers:
        need = 0.15 * (low < 0.1) + step(easel.dark, low, high)
        lines = hatch(
            easel, scene.angle + np.float32(turn), need.clip(0, 1), pitch=3.9, length=34, width=0.85
        )
        color = easel.inks.shade(
            light + 0.28 * scene.light,
            scene.ink,
            hue=scene.drift + hue + rng.normal(0, 0.04),
            chroma=1.1,
        )
        press = step(tooth + 0.4 * noise.smooth(7), -2.4, 0.5)
        lab = mix(lab, color, 0.8 * soften(lines, 0.45 * unit) * press)
    edge = soften(draw_contours(easel, 0.8, 0.5), 0.5 * unit) * step(tooth, -1.4, 0.4)
    return mix(lab, easel.inks.shade(0.12 + 0 * edge, scene.ink), 0.85 * edge)


def draw_blueprint(easel: Easel) -> Floats:
    """Draft white lines, circles, sections and measures on a blotchy blue ground."""
    scene, noise, unit, rng, n, mark = (
        easel.scene,
        easel.noise,
        easel.unit,
        easel.rng,
        easel.n,
        easel.mark,
    )
    wash = (
        0.34
        + 0.055 * noise.cloud(3, 5)
        + 0.02 * noise.grain(0.9 * unit)
        + 0.12 * (scene.light - 0.5)
    )
    streak = noise.smooth(3, 60) * 0.012
    edge = np.minimum(np.minimum(scene.x, 1 - scene.x), np.minimum(scene.y, 1 - scene.y))
    wash = wash - 0.1 * step(edge, 0.05, 0.0) + streak
    lab = easel.inks.shade(wash, scene.ink * 0, hue=0.06 * noise.smooth(3))
    drawing = np.zeros((n, n), np.float32)
    for cells, strength in ((64, 0.1), (16, 0.24)):
        grid = np.minimum(np.abs((scene.x * cells) % 1 - 0.5), np.abs((scene.y * cells) % 1 - 0.5))
        drawing = np.maximum(drawing, strength * step(grid * n / cells, 0.9 * unit, 0.2 * unit))
    levels = soften(scene.light, 2.5 * unit) * 9
    contour = find_borders(np.floor(levels).astype(np.int64))
    drawing = np.maximum(drawing, 0.5 * step(measure_distance(contour), 1.1 * mark, 0.3 * mark))
    drawing = np.maximum(drawing, draw_contours(easel, 1.0, 0.05))
    section = np.abs(((scene.x + scene.y) * n / (5.5 * mark)) % 1 - 0.5) * 5.5 * mark
    areas = np.isin(scene.label, rng.permutation(scene.region_count)[: scene.region_count // 4])
    drawing = np.maximum(drawing, 0.6 * step(section, 0.75 * mark, 0.3 * mark) * areas)
    for _ in range(7):
        across, down = rng.uniform(0.1, 0.9, 2) * n
        for radius in rng.uniform(0.03, 0.3, 3) * n:
            away = np.abs(np.hypot(scene.x * n - across, scene.y * n - down) - radius)
            turn = np.arctan2(scene.y * n - down, scene.x * n - across)
            dash = 1.0 if rng.random() < 0.5 else (np.sin(turn * radius / (3 * unit)) > -0.2)
            drawing = np.maximum(drawing, 0.7 * step(away, 0.8 * mark, 0.25 * mark) * dash)
        reach = rng.uniform(0.05, 0.28) * n
        axis = np.array(
            [
                [[across - reach, down], [across + reach, down]],
                [[across, down - reach], [across, down + reach]],
            ],
            np.float32,
        )
        drawing = np.maximum(
            drawing, 0.75 * draw_lines(n, axis, np.full((2, 2), 0.45 * mark, np.float32))
        )
        ticks = np.linspace(-reach, reach, 15)
        marks = np.stack(
            [
                np.stack([across + ticks, down - 3 * unit + 0 * ticks], -1),
                np.stack([across + ticks, down + 3 * unit + 0 * ticks], -1),
            ],
            1,
        )
        drawing = np.maximum(
            drawing,
            0.8 * draw_lines(n, marks.astype(np.float32), np.full((15, 2), 0.4 * mark, np.float32)),
        )
    worn = 0.8 + 0.16 * noise.cloud(6) + 0.1 * noise.grain(0.8 * unit)
    white = easel.inks.shade(0.98 + 0 * wash, 0, chroma=0.4)
    lab = mix(lab, white, 0.28 * soften(drawing, 2.2 * unit))
    return mix(lab, white, (soften(drawing, 0.35 * unit) * worn).clip(0, 1))
