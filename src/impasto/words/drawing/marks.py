"""Draw marks on a canvas: strokes along a field, dabs, and thin lines.

Strokes are filled as polygons that hold their number, and every pixel then computes its place along
and across its stroke. So bristles, dry edges and relief cost no more for many strokes than for few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from impasto.words.drawing.composition import sample
from impasto.words.drawing.surface import Floats, Integers, normalize, soften

_BANK = (64, 512)


def scatter(rng: np.random.Generator, n: int, pitch: float, margin: float = 0.0) -> Floats:
    """Place points [m, 2] on a grid with a random offset each, in random order."""
    count = max(2, round((n + 2 * margin) / pitch))
    step = (n + 2 * margin) / count
    grid = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1).reshape(-1, 2)
    points = (grid + rng.uniform(0, 1, grid.shape)) * step - margin
    return rng.permutation(points).astype(np.float32)


def trace(angle: Floats, starts: Floats, length: Floats | float, steps: int) -> Floats:
    """Follow the directions of a field from the middle of strokes to both ends.

    Args:
        angle: [n, n] in radians.
        starts: [m, 2] middles.
        length: of each stroke, in pixels.
        steps: number of segments, even.

    Returns:
        Points [m, steps + 1, 2].
    """
    stride = np.broadcast_to(np.asarray(length, np.float32) / steps, len(starts))[:, None]
    points = np.empty((len(starts), steps + 1, 2), np.float32)
    points[:, steps // 2] = starts
    first = sample(angle, starts)
    for sign in (1, -1):
        here, before = starts, np.stack([np.cos(first), np.sin(first)], -1) * sign
        for k in range(1, steps // 2 + 1):
            turn = sample(angle, here)
            ahead = np.stack([np.cos(turn), np.sin(turn)], -1)
            ahead *= np.where((ahead * before).sum(-1, keepdims=True) < 0, -1, 1)
            here = here + ahead * stride
            points[:, steps // 2 + sign * k] = here
            before = ahead
    return points


def outline(points: Floats, widths: Floats) -> tuple[Floats, Floats]:
    """Compute the left and right edges of strokes [m, s, 2] with half widths [m, s]."""
    along = np.gradient(points, axis=1)
    along /= np.hypot(along[..., 0], along[..., 1])[..., None] + 1e-6
    normal = np.stack([-along[..., 1], along[..., 0]], -1) * widths[..., None]
    return points + normal, points - normal


def fill_ids(n: int, polygons: Sequence[Sequence[float]]) -> Integers:
    """Fill polygons with their numbers from 1; later ones cover earlier ones, 0 is empty."""
    image = Image.new("I", (n, n))
    draw = ImageDraw.Draw(image)
    for number, polygon in enumerate(polygons, 1):
        draw.polygon(polygon, fill=number)
    return np.asarray(image).astype(np.int64)


def draw_lines(n: int, points: Floats, widths: Floats, strength: Floats | float = 1.0) -> Floats:
    """Draw tapered lines and return their coverage [n, n].

    Args:
        n: size in pixels.
        points: [m, s, 2].
        widths: [m, s] half widths.
        strength: [m] of each line in [0, 1].
    """
    left, right = outline(points, widths)
    rings = np.concatenate([left, right[:, ::-1]], 1).reshape(len(points), -1).tolist()
    levels = np.broadcast_to(np.asarray(strength) * 255, len(points)).astype(int).tolist()
    image = Image.new("L", (n, n))
    draw = ImageDraw.Draw(image)
    for ring, level in zip(rings, levels, strict=True):
        draw.polygon(ring, fill=level)
    return np.asarray(image).astype(np.float32) / 255


def taper(count: int, steps: int, sharp: float = 0.7) -> Floats:
    """Make widths [count, steps + 1] that rise from a point and fall to one."""
    share = np.linspace(0.02, 0.98, steps + 1)
    return np.repeat(np.sin(np.pi * share)[None] ** sharp, count, 0).astype(np.float32)


def make_rounds(
    centers: Floats, long: Floats, short: Floats, angle: Floats, corners: int = 9
) -> list[list[float]]:
    """Make ellipses as polygons from half axes in pixels."""
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    along, across = np.cos(turn) * long[:, None], np.sin(turn) * short[:, None]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x = centers[:, :1] + along * cos - across * sin
    y = centers[:, 1:] + along * sin + across * cos
    return np.stack([x, y], -1).reshape(len(centers), -1).tolist()


def make_discs(centers: Floats, radius: Floats, corners: int = 9) -> list[list[float]]:
    """Make circles as polygons from radii [m] in pixels."""
    return make_rounds(centers, radius, radius, np.zeros(len(radius)), corners)


@dataclass(frozen=True)
class Brush:
    """How strokes look.

    Attributes:
        bristle: change of lightness between bristles.
        hair: width of a bristle in pixels.
        dry: share of a stroke in [0, 1] where the ground shows through.
        body: height of the paint in pixels.
        mixing: share of bristles that have the second color.
        flat: whether the ends are straight and the edges stand up, as of a knife.
    """

    bristle: float = 0.05
    hair: float = 1.6
    dry: float = 0.15
    body: float = 1.0
    mixing: float = 0.3
    flat: bool = False


class PaintSurface:
    """OKLab colors [n, n, 3] and the height of the paint [n, n]."""

    def __init__(self, rng: np.random.Generator, lab: Floats) -> None:
        self._rng = rng
        self.lab = lab
        self.height = np.zeros(lab.shape[:2], np.float32)
        rough = rng.standard_normal(_BANK).astype(np.float32)
        self._bank = normalize(soften(rough, (7, 0.9)))

    def stroke(
        self, points: Floats, widths: Floats, color: Floats, second: Floats, brush: Brush
    ) -> None:
        """Paint strokes in order.

        Args:
            points: [m, s, 2] in pixels.
            widths: [m, s] half widths in pixels.
            color, second: [m, 3] OKLab, of most and of the other bristles.
            brush: how they look.
        """
        left, right = outline(points, widths)
        segments = points.shape[1] - 1
        quads = np.concatenate([left[:, :-1], left[:, 1:], right[:, 1:], right[:, :-1]], -1)
        ids = fill_ids(self.lab.shape[0], quads.reshape(-1, 8).tolist())
        places = np.nonzero(ids.ravel())[0]
        number = ids.ravel()[places] - 1
        stroke, part = number // segments, number % segments
        begin = points[:, :-1].reshape(-1, 2)
        step = (points[:, 1:] - points[:, :-1]).reshape(-1, 2)
        size = np.hypot(step[:, 0], step[:, 1]) + 1e-6
        step /= size[:, None]
        half = ((widths[:, 1:] + widths[:, :-1]) / 2).ravel() + 1e-6
        dx = (places % self.lab.shape[0]).astype(np.float32) - begin[number, 0]
        dy = (places // self.lab.shape[0]).astype(np.float32) - begin[number, 1]
        ahead, aside = step[number, 0], step[number, 1]
        along = (part + np.clip((dx * ahead + dy * aside) / size[number], 0, 1)) / segments
        across = np.clip((dy * ahead - dx * aside) / half[number], -1, 1)
        hairs = self._comb(stroke, along, across * half[number] / brush.hair, len(points))
        edge = 1 - across * across
        if brush.flat:
            cover = hairs * 0.35 + 3 * np.minimum(1, 6 * edge) - 2.2 * along * brush.dry
        else:
            ends = np.minimum(1, 7 * np.minimum(along, 1 - along))
            cover = hairs * 0.5 + 2.6 * np.sqrt(edge) * (0.35 + 0.65 * ends)
            cover -= 1.2 * brush.dry * along
        visible = cover > 0.4 + 1.6 * brush.dry
        self._apply(
            places[visible],
            stroke[visible],
            hairs[visible],
            edge[visible],
            along[visible],
            (color, second, brush),
        )

    def dab(self, polygons: Sequence[Sequence[float]], color: Floats, body: float) -> None:
        """Paint filled polygons of one color each, [m, 3], with raised middles."""
        ids = fill_ids(self.lab.shape[0], polygons)
        inside = ids > 0
        self.lab[inside] = color[ids[inside] - 1]
        bump = self._rng.uniform(0.5, 1, len(polygons) + 1).astype(np.float32) * body
        self.height = np.where(inside, self.height * 0.4 + bump[ids], self.height)

    def _comb(self, stroke: Integers, along: Floats, hair: Floats, count: int) -> Floats:
        """Look up the bristles of every pixel."""
        rows = self._rng.integers(0, _BANK[0], count)
        columns = self._rng.integers(0, _BANK[1], count)
        row = ((along * 24).astype(np.int64) + rows[stroke]) % _BANK[0]
        column = (np.floor(hair).astype(np.int64) + columns[stroke]) % _BANK[1]
        result: Floats = self._bank[row, column]
        return result

    def _apply(
        self,
        places: Integers,
        stroke: Integers,
        hairs: Floats,
        edge: Floats,
        along: Floats,
        paint: tuple[Floats, Floats, Brush],
    ) -> None:
        color, second, brush = paint
        share = (hairs > 0.9 - 1.6 * brush.mixing).astype(np.float32)[:, None] * 0.7
        mixed = color[stroke] + (second - color)[stroke] * share
        mixed[:, 0] += brush.bristle * hairs
        self.lab.reshape(-1, 3)[places] = mixed
        ridge = np.where(edge < 0.35, 1.25, 0.8) if brush.flat else 0.4 + 0.6 * np.sqrt(edge)
        tall = brush.body * (ridge + 0.22 * hairs + 0.25 * along)
        flat = self.height.reshape(-1)
        flat[places] = 0.3 * flat[places] + tall
