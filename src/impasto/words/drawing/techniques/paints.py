"""Paint with body: brushes, knives, dabs, drips and pastel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.words.drawing.composition import sample
from impasto.words.drawing.easel import Easel
from impasto.words.drawing.marks import (
    Brush,
    PaintSurface,
    draw_lines,
    make_discs,
    make_rounds,
    scatter,
    taper,
    trace,
)
from impasto.words.drawing.surface import Floats, light_relief, lighten, mix, soften, step


@dataclass(frozen=True)
class StrokeLayer:
    """One layer of strokes over the whole picture; lengths are in marks.

    Attributes:
        pitch: distance between strokes.
        length, width: of a stroke.
        steps: number of segments, even.
        spread: deviation of the lightness between strokes.
        wander: deviation of the hue between strokes in radians.
        turn: angle to the directions of the composition in radians.
    """

    pitch: float
    length: float
    width: float
    steps: int = 6
    spread: float = 0.05
    wander: float = 0.18
    turn: float = 0.0


def lay_strokes(
    easel: Easel,
    canvas: PaintSurface,
    layer: StrokeLayer,
    brush: Brush,
    where: Floats | None = None,
) -> None:
    """Cover the canvas with a layer of strokes in the composition's colors.

    Args:
        easel, canvas: what is painted with, and on.
        layer: the strokes.
        brush: how they look.
        where: [n, n] probability of a stroke. None: everywhere.
    """
    rng, scene, mark = easel.rng, easel.scene, easel.mark
    starts = scatter(rng, easel.n, layer.pitch * mark, 4 * mark)
    if where is not None:
        starts = starts[rng.uniform(0, 1, len(starts)) < sample(where, starts)]
    if not len(starts):
        return
    long = layer.length * mark * rng.uniform(0.6, 1.35, len(starts)).astype(np.float32)
    angle = scene.angle if layer.turn == 0 else scene.angle + np.float32(layer.turn)
    points = trace(angle, starts, long, layer.steps)
    wide = layer.width * mark * rng.uniform(0.65, 1.3, (len(starts), 1)).astype(np.float32)
    shape = (
        np.maximum(taper(1, layer.steps, 0.3), 0.55)
        if not brush.flat
        else taper(1, layer.steps, 0.02)
    )
    widths = np.repeat(shape, len(starts), 0) * wide / 2
    light, ink, hue = (sample(m, starts) for m in (scene.light, scene.ink, scene.drift))
    color = easel.vary(light, ink, hue, spread=layer.spread, wander=layer.wander)
    second = easel.vary(
        light + rng.choice([-0.14, 0.16], len(light)),
        ink,
        hue,
        spread=0.05,
        wander=layer.wander + 0.1,
    )
    canvas.stroke(points, widths, color, second, brush)


def draw_brush_strokes(easel: Easel) -> Floats:
    """Paint long strokes that follow each other, over a dark ground, thick and wet."""
    canvas = easel.start_canvas(mix(easel.paper(), easel.local_color(), 0.75 + 0 * easel.dark))
    hair = 1.5 * easel.unit
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=13, length=80, width=17),
        Brush(0.05, hair, 0.1, 1.2 * easel.unit, 0.3),
    )
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=9, length=46, width=9.5, steps=8),
        Brush(0.06, hair, 0.15, 1.6 * easel.unit, 0.35),
    )
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=8.5, length=30, width=5.5, spread=0.12, wander=0.25),
        Brush(0.05, hair, 0.05, 2.0 * easel.unit, 0.2),
        0.25 + 0.5 * step(easel.noise.smooth(6), -0.4, 1),
    )
    return easel.light_canvas(canvas, 0.32 / easel.unit)


def draw_oil(easel: Easel) -> Floats:
    """Paint short soft touches of broken color on canvas, as the impressionists did."""
    scene = easel.scene
    canvas = easel.start_canvas(mix(easel.paper(0.02), easel.local_color(), 0.6 + 0 * easel.dark))
    scene.angle = scene.angle + 0.35 * easel.noise.smooth(7)
    hair = 1.2 * easel.unit
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=14, length=34, width=19, steps=4, wander=0.15),
        Brush(0.03, hair, 0.3, 0.7 * easel.unit, 0.25),
    )
    canvas.lab = np.stack([soften(canvas.lab[..., k], 1.6 * easel.unit) for k in range(3)], -1)
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=8, length=19, width=8, steps=4, spread=0.07, wander=0.28),
        Brush(0.035, hair, 0.35, 1.0 * easel.unit, 0.35),
    )
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=7, length=11, width=5, steps=2, spread=0.12, wander=0.4),
        Brush(0.03, hair, 0.2, 1.5 * easel.unit, 0.1),
        0.3 + 0.4 * step(easel.noise.smooth(8), 0, 1.2),
    )
    lab = easel.light_canvas(canvas, 0.25 / easel.unit)
    thread = np.pi / (1.7 * easel.unit)
    weave = np.cos(scene.x * easel.n * thread) * np.cos(scene.y * easel.n * thread)
    lab[..., 0] += 0.012 * weave
    return lab


def draw_palette_knife(easel: Easel) -> Floats:
    """Spread slabs of half-mixed paint with sharp edges and ridges."""
    canvas = easel.start_canvas(mix(easel.paper(), easel.local_color(), 0.7 + 0 * easel.dark))
    easel.scene.angle = easel.scene.angle + 0.5 * easel.noise.smooth(5)
    hair = 2.2 * easel.unit
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=26, length=78, width=44, steps=2, spread=0.06),
        Brush(0.03, 1.6 * hair, 0.05, 2.2 * easel.unit, 0.4, flat=True),
    )
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=19, length=44, width=24, steps=2, spread=0.1, wander=0.25),
        Brush(0.035, hair, 0.18, 2.6 * easel.unit, 0.45, flat=True),
    )
    lay_strokes(
        easel,
        canvas,
        StrokeLayer(pitch=20, length=26, width=11, steps=2, spread=0.18, wander=0.3, turn=0.6),
        Brush(0.04, hair, 0.25, 3.0 * easel.unit, 0.3, flat=True),
        0.2 + 0.5 * step(easel.noise.smooth(5), 0, 1),
    )
    return easel.light_canvas(canvas, 0.3 / easel.unit)


def draw_pointillism(easel: Easel) -> Floats:
    """Set dots of divided color over each other, large ones first."""
    rng, scene = easel.rng, easel.scene
    canvas = easel.start_canvas(mix(easel.paper(), easel.local_color(), 0.45 + 0 * easel.dark))
    for pitch, radius, spread, wander in (
        (9, 5.2, 0.07, 0.2),
        (6, 3.1, 0.1, 0.32),
        (5.2, 2.2, 0.15, 0.45),
    ):
        centers = scatter(rng, easel.n, pitch * easel.mark, 4)
        light, ink, hue = (sample(m, centers) for m in (scene.light, scene.ink, scene.drift))
        other = rng.uniform(0, 1, len(centers)) < 0.16
        ink = np.where(other, ink + 1, ink)
        size = radius * easel.mark * rng.uniform(0.65, 1.15, len(centers))
        turn = sample(scene.angle, centers) + rng.normal(0, 0.3, len(centers))
        color = easel.vary(light, ink, hue, spread=spread, wander=wander)
        color[:, 1:] *= np.where(rng.uniform(0, 1, len(centers)) < 0.07, -0.5, 1.0)[:, None]
        canvas.dab(make_rounds(centers, size * 1.12, size * 0.9, turn), color, 1.4 * easel.unit)
    canvas.lab[..., 0] += 0.015 * easel.noise.grain(0.7 * easel.unit)
    return easel.light_canvas(canvas, 0.2 / easel.unit)


def draw_splatter(easel: Easel) -> Floats:
    """Pour and fling threads, pools and drops of glossy paint on raw canvas."""
    rng, noise, unit, n = easel.rng, easel.noise, easel.unit, easel.n
    scene, inks = easel.scene, easel.inks
    lab = mix(easel.paper(0.025, 0.02), easel.local_color(), 0.3 * step(noise.cloud(4), -0.2, 1.2))
    height: Floats = np.zeros((n, n), np.float32)
    throw = scene.angle + 1.2 * noise.smooth(2.2)
    for layer in range(9):
        shade = (0.5, 0.05, 0.42, 0.96, 0.08, 0.6, 0.3, 0.97, 0.04)[layer]
        if inks.is_gray(layer) and 0.25 < shade < 0.7:
            shade = 0.03
        color = inks.shade(shade, layer, hue=rng.normal(0, 0.12))
        starts = scatter(rng, n, (86 - 3 * layer) * easel.mark, 30)
        starts = starts[: max(6, len(starts) * 2 // 3)]
        points = trace(throw + rng.uniform(-1.5, 1.5), starts,
                       rng.uniform(90, 420, len(starts)).astype(np.float32) * unit, 24)  # fmt: skip
        wide = easel.mark * rng.lognormal(0.2, 0.75, (len(starts), 1))
        run = np.cumsum(rng.normal(0, 0.28, (len(starts), 25)), 1)
        widths = (wide * np.exp(run - run.mean(1, keepdims=True))).clip(0.3, 7 * easel.mark)
        cover = draw_lines(n, points, widths.astype(np.float32))
        count = max(40, int(360 / (1 + 0.3 * layer)))
        near = points[rng.integers(0, len(points), count), rng.integers(0, 25, count)]
        spots = near + rng.normal(0, 13 * unit, (count, 2))
        radius = easel.mark * rng.lognormal(0.0, 0.75, count).clip(0.4, 9)
        dots = fill(n, make_rounds(spots, radius * rng.uniform(1, 1.5, count), radius,
                                   rng.uniform(0, 3.1, count), 11))  # fmt: skip
        cover = np.maximum(cover, dots)
        soft = soften(cover, 0.5 * unit)
        tint = inks.shade(0, 0) * 0 + color + 0 * soft[..., None]
        tint[..., 0] += 0.03 * noise.smooth(30)
        lab = mix(lab, tint, soft)
        height = height * (1 - 0.5 * soft) + 1.3 * soften(cover, 1.5 * unit) * unit
    lab[..., 0] += 0.6 * light_relief(height, 0.5 / unit)
    return lab


def fill(n: int, polygons: list[list[float]]) -> Floats:
    """Return the coverage [n, n] of polygons."""
    from impasto.words.drawing.marks import fill_ids

    return (fill_ids(n, polygons) > 0).astype(np.float32)


def draw_pastel(easel: Easel) -> Floats:
    """Rub chalk over toned rough paper that shows between the strokes."""
    rng, scene, unit = easel.rng, easel.scene, easel.unit
    tooth = easel.tooth()
    lab = easel.paper(0.03)
    rubbed = easel.local_color(chroma=0.8)
    lab = mix(lab, rubbed, 0.7 * step(tooth, -2.2, 0.9))
    for pitch, length, width, turn, strength in (
        (12, 62, 11, 0.0, 0.9),
        (11, 40, 7, 0.35, 0.9),
        (12, 22, 4.5, -0.3, 1.0),
    ):
        starts = scatter(rng, easel.n, pitch * easel.mark, 6)
        long = length * easel.mark * rng.uniform(0.5, 1.3, len(starts)).astype(np.float32)
        points = trace(scene.angle + np.float32(turn), starts, long, 6)
        canvas = easel.start_canvas(lab)
        wide = width * easel.mark * rng.uniform(0.5, 1.2, (len(starts), 1)).astype(np.float32)
        light, ink, hue = (sample(m, starts) for m in (scene.light, scene.ink, scene.drift))
        color = easel.vary(light * 1.05, ink, hue, spread=0.08, wander=0.24)
        canvas.stroke(points, np.repeat(taper(1, 6, 0.25), len(starts), 0) * wide / 2, color,
                      lighten(color, 0.05), Brush(0.02, 1.4 * unit, 0.05, 1, 0.3))  # fmt: skip
        lab = mix(lab, canvas.lab, strength * step(tooth + 0.4 * easel.noise.smooth(9), -2.8, 0.0))
    lab[..., 0] += 0.018 * tooth
    return lab


def draw_spray(easel: Easel) -> Floats:
    """Spray soft clouds and sharp stencils on a wall, with drips and specks."""
    rng, noise, unit, n, scene = easel.rng, easel.noise, easel.unit, easel.n, easel.scene
    wall = easel.paper(0.03, 0.03)
    wall[..., 0] += 0.03 * noise.cloud(14) - 0.12 * step(np.abs(noise.cloud(5, 5)), 0.03, 0.0)
    soft = np.stack(
        [soften(each, 9 * easel.mark) for each in np.moveaxis(easel.local_color(), -1, 0)], -1
    )
    mist = 0.86 + 0.12 * noise.smooth(4)
    speck = step(noise.grain(0.5 * unit) + 1.5 * noise.smooth(5), -3.2, -0.8)
    lab = mix(wall, soft, mist * speck)
    sharp = easel.local_color()
    edge = np.zeros((n, n), np.float32)
    for label in rng.permutation(scene.region_count)[: max(3, scene.region_count // 2)]:
        inside = (scene.label == label).astype(np.float32)
        fade = step(noise.smooth(3) + 0.4 * noise.grain(0.7 * unit), -1.3, 0.5)
        edge = np.maximum(edge, inside * fade)
    lab = mix(lab, sharp, 0.85 * edge)
    for light, reach in ((0.06, 5.0), (0.97, 3.2)):
        starts = scatter(rng, n, 105 * easel.mark, 10)
        points = trace(scene.angle + 0.3 * noise.smooth(3), starts, 190 * unit, 16)
        line = draw_lines(n, points, taper(len(points), 16, 0.2) * reach * easel.mark)
        halo = soften(line, 3.2 * unit)
        dusty = step(halo + 0.12 * noise.grain(0.6 * unit), 0.12, 0.62)
        lab = mix(lab, easel.inks.shade(light + 0 * halo, scene.ink), dusty * 0.95)
        begin = points[:, 8]
        drop = np.stack(
            [begin, begin + np.array([0, 1]) * rng.uniform(15, 85, (len(begin), 1)) * unit], 1
        )
        drip = draw_lines(
            n, drop.astype(np.float32), np.full((len(drop), 2), 1.0 * easel.mark, np.float32)
        )
        lab = mix(lab, easel.inks.shade(light + 0 * halo, scene.ink), soften(drip, 0.7 * unit))
    dots = fill(
        n,
        make_discs(rng.uniform(0, n, (900, 2)), easel.mark * rng.lognormal(-0.4, 0.6, 900), 7),
    )
    lab = mix(
        lab, easel.inks.shade(np.where(noise.smooth(9) > 0, 0.9, 0.15), scene.ink), 0.75 * dots
    )
    lab[..., 0] += 0.02 * noise.grain(0.9 * unit)
    return lab
