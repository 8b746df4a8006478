"""Print: cut wood and lino, screens and halftone dots."""

from __future__ import annotations

import numpy as np

from impasto.words.drawing.composition import sample
from impasto.words.drawing.easel import Easel
from impasto.words.drawing.marks import draw_lines, scatter, trace
from impasto.words.drawing.surface import Floats, mix, shift, soften, step
from impasto.words.drawing.techniques.lines import draw_contours


def cut(
    easel: Easel, need: Floats, *, pitch: float, length: float, width: float, turn: float = 0.0
) -> Floats:
    """Draw wedge-shaped cuts [n, n] along the composition, wider where the need is larger."""
    rng, mark = easel.rng, easel.mark
    starts = scatter(rng, easel.n, pitch * mark, 4 * mark)
    amount = sample(need, starts)
    starts = starts[amount > rng.uniform(0.0, 0.35, len(starts))]
    amount = sample(need, starts)
    if not len(starts):
        return np.zeros((easel.n, easel.n), np.float32)
    long = length * mark * rng.uniform(0.6, 1.4, len(starts)).astype(np.float32)
    points = trace(easel.scene.angle + np.float32(turn), starts, long, 6)
    share = np.linspace(0, 1, 7)
    wedge = np.sin(np.pi * share**1.6) ** 0.8 + 0.03
    wide = width * mark * (0.35 + 0.9 * amount) * rng.uniform(0.75, 1.2, len(starts))
    return draw_lines(easel.n, points, (wedge[None] * wide[:, None]).astype(np.float32))


def print_block(easel: Easel, coverage: Floats, salt: float = 0.5) -> Floats:
    """Return coverage as a hand press leaves it: salt in the ink, and weak places."""
    noise, unit = easel.noise, easel.unit
    grain = noise.grain(0.9 * unit)
    weak = noise.cloud(5)
    ink = 1 - salt * step(grain + 0.5 * weak, 1.3, 2.6)
    edge = soften(coverage, 0.5 * unit)
    return (edge * ink * (0.96 + 0.03 * weak)).clip(0, 1)


def draw_woodcut(easel: Easel) -> Floats:
    """Cut a key block along the forms, and print it over blocks of color with the wood's grain."""
    scene, noise, unit = easel.scene, easel.noise, easel.unit
    light = scene.light
    lab = easel.paper(0.014, 0.02)
    rings = np.sin((scene.y * 60 + 2.5 * noise.smooth(2, 5)) * 6.3 + 3 * noise.smooth(1.5, 6))
    wood = 1 - 0.2 * step(rings, 0.2, 1) - 0.1 * step(noise.smooth(5, 110), 0.4, 1.6)
    tone = 0.52 + 0.35 * light
    fade = step(light + 0.25 * (0.5 - scene.y), 0.95, 0.55)
    color = easel.inks.shade(tone, scene.ink, hue=scene.drift)
    lab = mix(lab, shift(color, 2 * unit, -1.5 * unit), print_block(easel, fade, 0.3) * wood * 0.93)
    white = cut(easel, step(light, 0.18, 0.8), pitch=6.5, length=34, width=1.9)
    black = cut(easel, step(1 - light, 0.3, 0.85), pitch=7, length=30, width=1.5)
    key = np.where(light < 0.45, 1 - white, black)
    key = np.maximum(key * (light < 0.8), draw_contours(easel, 1.7, 0.12))
    ink = easel.inks.shade(0.04 + 0.05 * noise.cloud(3), scene.ink * 0, chroma=0.9)
    return mix(lab, ink, print_block(easel, key) * (0.65 + 0.35 * wood))


def draw_linocut(easel: Easel) -> Floats:
    """Reduce a lino block in three steps with wide gouges, each printed over the last."""
    scene, noise, unit = easel.scene, easel.noise, easel.unit
    light = soften(scene.light, 1.2 * unit)
    lab = easel.paper(0.014, 0.015)
    for level, shade, offset in (
        (0.88, 0.8, (1.5, -1)),
        (0.6, 0.5, (-1.5, 1)),
        (0.34, 0.12, (0, 0)),
    ):
        gouge = cut(easel, step(light, level - 0.42, level + 0.04), pitch=9, length=25, width=2.4)
        chatter = cut(
            easel,
            step(light, level - 0.05, level + 0.2) * 0.9,
            pitch=10,
            length=18,
            width=0.9,
            turn=0.1,
        )
        block = np.where(light < level, 1 - gouge, chatter)
        ink = easel.inks.shade(shade + 0.03 * noise.cloud(3), scene.ink, hue=scene.drift)
        block = shift(print_block(easel, block, 0.6), offset[0] * unit, offset[1] * unit)
        lab = mix(lab, ink, block * 0.97)
    key = draw_contours(easel, 1.5, 0.35)
    return mix(
        lab, easel.inks.shade(0.06 + 0 * light, scene.ink * 0), print_block(easel, key) * 0.97
    )


def screen(
    easel: Easel, amount: Floats, turn: float, pitch: float, round_dots: bool = True
) -> Floats:
    """Turn an amount [n, n] in [0, 1] into dots of one screen."""
    scene, n = easel.scene, easel.n
    across = (scene.x * np.cos(turn) + scene.y * np.sin(turn)) * n / (pitch * easel.mark)
    down = (scene.y * np.cos(turn) - scene.x * np.sin(turn)) * n / (pitch * easel.mark)
    if round_dots:
        wave = 0.5 + 0.25 * (np.cos(2 * np.pi * across) + np.cos(2 * np.pi * down))
    else:
        wave = 0.5 + 0.5 * np.cos(2 * np.pi * across)
    soft = 0.9 / pitch
    return step(wave - (1 - amount), -soft, soft)


def draw_halftone(easel: Easel) -> Floats:
    """Print screens of dots out of register on newsprint, below a bold black line."""
    scene, noise, unit = easel.scene, easel.noise, easel.unit
    dark = soften(easel.dark, 1.5 * unit)
    lab = easel.paper(0.02, 0.02)
    for k in range(max(2, min(3, easel.inks.count))):
        mine = (scene.ink % easel.inks.count == k % easel.inks.count) | (easel.inks.count == 1)
        flat = mine * (0.12 + 0.95 * dark) if k < easel.inks.count else 0.75 * step(dark, 0.45, 1)
        amount = soften(flat.astype(np.float32), 1.0 * unit) + 0.02 * noise.smooth(6)
        dots = screen(easel, amount.clip(0, 0.98), 0.26 + 0.52 * k, 9.5)
        dots = shift(dots, (k - 1) * 1.6 * unit, (1 - k) * 1.2 * unit)
        ink = easel.inks.shade((0.6 if k < easel.inks.count else 0.3) + 0.02 * noise.cloud(4), k)
        lab = mix(lab, ink, print_block(easel, dots, 0.35) * 0.94)
    shadow = screen(easel, step(dark, 0.62, 1.15) * 0.8, 0.8, 6.5)
    line = np.maximum(draw_contours(easel, 2.0, 0.06), shadow)
    return mix(
        lab, easel.inks.shade(0.03 + 0 * dark, 0, chroma=0.5), print_block(easel, line, 0.45)
    )


def draw_screen_print(easel: Easel) -> Floats:
    """Pull flat transparent inks through screens, a little out of register, over each other."""
    scene, noise, unit, rng = easel.scene, easel.noise, easel.unit, easel.rng
    light = soften(scene.light, 2 * unit) + 0.04 * noise.smooth(10)
    lab = easel.paper(0.016, 0.015)
    layers = ((0.9, 0.86, 0), (0.66, 0.6, 1), (0.44, 0.4, 0), (0.24, 0.12, 2))
    for k, (level, shade, extra) in enumerate(layers):
        amount = step(light, level + 0.1, level - 0.1)
        half = screen(easel, amount, 0.4 + 0.5 * k, 5.5, round_dots=k % 2 == 0)
        solid = np.where(np.abs(light - level) < 0.1, half, light < level)
        drag = 1 - 0.25 * step(noise.smooth(70, 3) + 0.5 * noise.grain(1.2 * unit), 0.9, 2.2)
        ink = easel.inks.shade(
            shade + 0.02 * noise.cloud(4),
            scene.ink + (extra if k else 0),
            hue=scene.drift + rng.normal(0, 0.05),
        )
        moved = shift(
            soften(solid.astype(np.float32), 0.45 * unit), *(rng.uniform(-2.6, 2.6, 2) * unit)
        )
        lab = mix(
            lab,
            0.9 * ink + 0.1 * lab,
            moved * drag * (0.93 + 0.04 * noise.grain(1.0 * unit)).clip(0, 1),
        )
    line = shift(draw_contours(easel, 1.1, 0.55), 1.5 * unit, 1 * unit)
    return mix(lab, easel.inks.shade(0.05 + 0 * light, 0), 0.9 * soften(line, 0.4 * unit))
