"""Rasterize splats: which Gaussians each pixel of a camera shows, and how much of each.

With geometry and opacities fixed, a picture of splats is linear in their colors. Each camera
therefore needs its matrix only once, and no renderer needs a gradient: it is the transpose.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from impasto.scene.cameras import SceneCamera
from impasto.scene.splats import Array, Splats

LOW_PASS = 0.3
"""Added to the variances of a projected Gaussian, in square pixels, so that none is lost between
pixels. All viewers do the same."""
LEAST = 1 / 255
"""Alpha below which a Gaussian does not count at a pixel."""
MOST = 0.99
"""Largest alpha of a Gaussian at a pixel."""
OPAQUE = 1e-4
"""What is left of the light where everything behind is hidden."""
NEAR = 0.01
"""Nearest visible depth, relative to the median depth."""
BEYOND = 1.3
"""How far outside of the picture a Gaussian is projected by its own slope, relative to the
picture's sides; beyond, it is projected as at that place, since the projection explodes."""
BAND = 65_536
"""Pixels of a band of rows, at most: their indices take 16 bits, which sort fastest."""
PAIRS = 1 << 20
"""Pairs of a Gaussian and a pixel that are worked on together, about."""

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class _Ellipses:
    """Gaussians in the picture, from front to back; all arrays have one number for each.

    Attributes:
        index: index of the Gaussian.
        x, y: its center in pixels.
        a, b, c: its inverse covariance [[a, b], [b, c]].
        reach: squared Mahalanobis distance at which its alpha is LEAST.
        log_opacity: logarithm of its opacity.
        top, bottom: its rows, the last one excluded.
        left, right: its columns, the last one excluded.
    """

    index: Ints
    x: Array
    y: Array
    a: Array
    b: Array
    c: Array
    reach: Array
    log_opacity: Array
    top: Ints
    bottom: Ints
    left: Ints
    right: Ints

    def pick(self, where: NDArray[np.bool_] | slice) -> _Ellipses:
        return _Ellipses(*(getattr(self, name)[where] for name in self.__dataclass_fields__))


def rasterize(splats: Splats, camera: SceneCamera) -> csr_matrix:
    """Compute how much of each Gaussian every pixel shows.

    Args:
        splats: the scene.
        camera: the camera.

    Returns:
        [pixels, N] float32, pixels row by row. The sum of a row is the alpha of the pixel.
    """
    width, height = camera.width, camera.height
    ellipses = _project(splats, camera)
    rows = max(1, BAND // width)
    parts = [
        _rasterize_band(ellipses, top, min(top + rows, height), width)
        for top in range(0, height, rows)
    ]
    counts = np.concatenate([counts for counts, _, _ in parts])
    pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    indices = np.concatenate([indices for _, indices, _ in parts])
    weights = np.concatenate([weights for _, _, weights in parts])
    return csr_matrix((weights, indices, pointers), shape=(width * height, len(splats)))


def _project(splats: Splats, camera: SceneCamera) -> _Ellipses:
    """Project Gaussians by the slope of the projection at their centers (Zwicker et al., "EWA
    Splatting", 2002).
    """
    points = (splats.positions - camera.center) @ camera.rotation.T
    depth = points[:, 2]
    ahead = depth > 0
    near = NEAR * np.median(depth[ahead]) if ahead.any() else 0.0
    index = np.flatnonzero(depth > near)
    index = index[np.argsort(depth[index], kind="stable")]
    points, axes = points[index], splats.compute_axes()[index]
    z = points[:, 2]
    fx, fy = camera.focal[0] * camera.width, camera.focal[1] * camera.height
    slope_x, slope_y = points[:, 0] / z, points[:, 1] / z
    x: Array = (fx * slope_x + camera.principal[0] * camera.width - 0.5).astype(np.float32)
    y: Array = (fy * slope_y + camera.principal[1] * camera.height - 0.5).astype(np.float32)
    limits = BEYOND * 0.5 / camera.focal[0], BEYOND * 0.5 / camera.focal[1]
    slope_x, slope_y = slope_x.clip(-limits[0], limits[0]), slope_y.clip(-limits[1], limits[1])
    # Rows of the slope of the projection, in the scene's axes.
    rotation = camera.rotation
    along_x = (fx / z)[:, None] * (rotation[0] - slope_x[:, None] * rotation[2])
    along_y = (fy / z)[:, None] * (rotation[1] - slope_y[:, None] * rotation[2])
    spread_x = np.einsum("ni,nij->nj", along_x, axes)
    spread_y = np.einsum("ni,nij->nj", along_y, axes)
    xx = np.square(spread_x).sum(1) + LOW_PASS
    yy = np.square(spread_y).sum(1) + LOW_PASS
    xy = (spread_x * spread_y).sum(1)
    determinant = np.maximum(xx * yy - xy * xy, LOW_PASS**2)
    opacity = splats.opacities[index]
    reach = 2 * np.log(np.maximum(opacity / LEAST, 1e-30))
    half_width, half_height = (
        np.sqrt(np.maximum(reach, 0) * each).astype(np.float32) for each in (xx, yy)
    )
    left, right = _span(x, half_width, camera.width)
    top, bottom = _span(y, half_height, camera.height)
    ellipses = _Ellipses(
        index=index.astype(np.int32),
        x=x,
        y=y,
        a=yy / determinant,
        b=-xy / determinant,
        c=xx / determinant,
        reach=reach,
        log_opacity=np.log(np.maximum(opacity, 1e-30)),
        top=top,
        bottom=bottom,
        left=left,
        right=right,
    )
    return ellipses.pick((reach > 0) & (right > left) & (bottom > top))


def _span(center: Array, half: Array, size: int) -> tuple[Ints, Ints]:
    """Return the first pixel of an interval, and the one behind the last, within a picture."""
    first = np.ceil(center - half).clip(0, size).astype(np.int32)
    behind = (np.floor(center + half) + 1).clip(0, size).astype(np.int32)
    return first, behind


def _rasterize_band(
    ellipses: _Ellipses, top: int, bottom: int, width: int
) -> tuple[NDArray[np.int64], Ints, Array]:
    """Rasterize some rows.

    Returns:
        The number of Gaussians at each pixel; their indices and weights, pixel by pixel.
    """
    ellipses = ellipses.pick((ellipses.top < bottom) & (ellipses.bottom > top))
    light = np.zeros((bottom - top) * width)  # logarithm of what passes
    pixels, indices, weights = [], [], []
    for batch in _split(ellipses):
        visible = _is_visible(batch, light.reshape(-1, width) > np.log(OPAQUE), top)
        pixel, index, alpha = _list_pairs(batch.pick(visible), top, bottom, width)
        shows = light[pixel] > np.log(OPAQUE)
        pixel, index, alpha = pixel[shows], index[shows], alpha[shows]
        order = np.argsort(pixel, kind="stable")
        pixel, index, alpha = pixel[order], index[order], alpha[order]
        if not len(pixel):
            continue
        passes = np.log1p(-alpha, dtype=np.float64)
        total = np.cumsum(passes)
        first = np.flatnonzero(np.diff(pixel, prepend=np.uint16(pixel[0] ^ 1)))
        counts = np.diff(first, append=len(pixel))
        before = np.repeat(light[pixel[first]] - (total[first] - passes[first]), counts)
        before += total - passes
        light[pixel[first]] += total[first + counts - 1] - (total[first] - passes[first])
        lit = before > np.log(OPAQUE)
        pixels.append(pixel[lit])
        indices.append(index[lit])
        weights.append((alpha[lit] * np.exp(before[lit])).astype(np.float32))
    if not pixels:
        return np.zeros(len(light), np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    pixel = np.concatenate(pixels)
    order = np.argsort(pixel, kind="stable")
    counts = np.bincount(pixel, minlength=len(light))
    return counts, np.concatenate(indices)[order], np.concatenate(weights)[order]


def _split(ellipses: _Ellipses) -> Iterator[_Ellipses]:
    """Yield batches of about PAIRS pairs, from front to back."""
    boxes = (ellipses.bottom - ellipses.top).astype(np.int64) * (ellipses.right - ellipses.left)
    batches = np.cumsum(boxes) // PAIRS
    edges = np.flatnonzero(np.diff(batches, prepend=-1, append=-1))
    for first, last in itertools.pairwise(edges):
        yield ellipses.pick(slice(first, last))


def _is_visible(batch: _Ellipses, open_pixels: NDArray[np.bool_], top: int) -> NDArray[np.bool_]:
    """Tell for each Gaussian whether any pixel of its box lets light through."""
    height, width = open_pixels.shape
    sums = np.zeros((height + 1, width + 1), np.int32)
    sums[1:, 1:] = open_pixels.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    upper, lower = (batch.top - top).clip(0, height), (batch.bottom - top).clip(0, height)
    count = sums[lower, batch.right] - sums[lower, batch.left]
    count -= sums[upper, batch.right] - sums[upper, batch.left]
    return np.asarray(count > 0)


def _list_pairs(
    batch: _Ellipses, top: int, bottom: int, width: int
) -> tuple[NDArray[np.uint16], Ints, Array]:
    """List the pixels inside of each ellipse, with the alphas there.

    Returns:
        Pixels counted from the top of the band, indices of Gaussians from front to back, alphas.
    """
    upper, lower = np.maximum(batch.top, top), np.minimum(batch.bottom, bottom)
    count = lower - upper
    each = np.repeat(np.arange(len(count), dtype=np.int32), count)
    y = _count_up(count) + np.repeat(upper, count)
    dy = y.astype(np.float32) - batch.y[each]
    a, b, c = batch.a[each], batch.b[each], batch.c[each]
    root = np.sqrt(np.maximum(np.square(b * dy) - a * (c * np.square(dy) - batch.reach[each]), 0))
    x = batch.x[each]
    first, behind = _span(x - b * dy / a, root / a, width)
    count = np.maximum(behind - first, 0)
    # alpha = exp(square * dx^2 + linear * dx + constant) within a row
    square, linear = -0.5 * a, -b * dy
    constant = batch.log_opacity[each] - 0.5 * c * np.square(dy)
    column = _count_up(count) + np.repeat(first, count)
    dx = column.astype(np.float32) - np.repeat(x, count)
    power = np.repeat(square, count)
    power *= dx
    power += np.repeat(linear, count)
    power *= dx
    power += np.repeat(constant, count)
    alpha = np.minimum(np.exp(power, out=power), np.float32(MOST))
    pixel = (column + np.repeat((y - top) * width, count)).astype(np.uint16)
    return pixel, np.repeat(batch.index[each], count), alpha


def _count_up(counts: Ints) -> Ints:
    """Return 0, 1, ..., count - 1 for each count, one after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    numbers: Ints = np.arange(total, dtype=np.int32)
    numbers -= np.repeat((ends - counts).astype(np.int32), counts)
    return numbers
