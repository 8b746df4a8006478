"""Measure two artifacts of fast networks: halos beside edges, and a shape that is repeated.

Statistics of features hardly notice them, but people do. Planes are [H, W] float64, lightness in
OKLab, in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.fft import irfft2, next_fast_len, rfft2

Plane = NDArray[np.float64]

STRONG_EDGE = 0.15
"""Smallest step of lightness across an edge on which halos are measured."""
UNEVEN = 0.25
"""Largest standard deviation of lightness on the even side of an edge, relative to the step."""
BLUR = 3
"""Pixels on each side of an edge that may belong to its blur."""
FLAT = 0.02
"""Largest standard deviation of lightness around a pixel of a flat place."""
VISIBLE = 0.01
"""Smallest standard deviation of detail that is seen; that of rounding to 8 bits is below 0.002."""
FEWEST_EDGES, FEWEST_PIXELS = 16, 1024
MOST_EDGES = 20_000


def halo(photo: Plane, result: Plane) -> float:
    """Compute the overshoot beside the strong edges of a photo, relative to the step of the photo.

    The result is sampled outward from all strong edges of the photo, on each side that is even
    there. The median of the samples at one distance keeps rings, which follow every edge, and
    leaves out strokes, which do not. The metric is the largest amount by which the median departs
    from the even side, in the direction away from the other side of the edge.

    Args:
        photo, result: equal sizes.

    Returns:
        At least 0; also 0 if the photo has too few such edges.
    """
    edges = _Edges.find(photo)
    far = slice(edges.reach // 2, None)
    before, after = edges.sample_sides(photo), edges.sample_sides(result)
    step = np.abs(before[1][:, far].mean(1) - before[0][:, far].mean(1))
    overshoots = []
    for here, there in ((0, 1), (1, 0)):
        even = (step >= STRONG_EDGE) & (before[here][:, BLUR:].std(1) <= UNEVEN * step)
        side, beyond = after[here][even], after[there][even]
        away = np.sign(side[:, :BLUR].mean(1) - beyond[:, :BLUR].mean(1))
        change = side[:, : far.start] - side[:, far].mean(1, keepdims=True)
        overshoots.append((away / step[even])[:, None] * change)
    profiles = np.concatenate(overshoots)
    if len(profiles) < FEWEST_EDGES:
        return 0.0
    return float(max(0.0, np.median(profiles, axis=0).max()))


def repetition(photo: Plane, result: Plane) -> float:
    """Compute how much the detail in flat places of a photo repeats one shape, in [0, 1].

    It is the height of the highest peak beside the center of the normalized autocorrelation of the
    detail (Padfield, "Masked object registration in the Fourier domain", 2012). 1 is a pattern that
    repeats exactly; independent strokes have no such peak.

    Args:
        photo, result: equal sizes.

    Returns:
        0 if the photo has too few flat places or the result has no visible detail there.
    """
    longer = max(photo.shape)
    sigma = longer / 64
    mean = ndimage.gaussian_filter(photo, sigma)
    variance = ndimage.gaussian_filter(photo**2, sigma) - mean**2
    flat = variance < FLAT**2
    detail = result - ndimage.gaussian_filter(result, sigma)
    if flat.sum() < FEWEST_PIXELS or detail[flat].std() < VISIBLE:
        return 0.0
    correlation = _correlate_in_mask(detail, flat.astype(np.float64), longer // 4)
    center = tuple(side // 2 for side in correlation.shape)
    labels, _ = ndimage.label(correlation > 0.5)
    peaks = correlation == ndimage.maximum_filter(correlation, 5)
    peaks &= (labels != labels[center]) | (labels == 0)
    peaks[center] = False
    return float(max(0.0, correlation[peaks].max(initial=0.0)))


@dataclass(frozen=True)
class _Edges:
    """Points on edges, with unit normals that point to the brighter side.

    Attributes:
        rows, columns: [N] positions.
        normals: [2, N] (row, column).
        reach: how far profiles reach to each side, in pixels.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    normals: Plane
    reach: int

    @classmethod
    def find(cls, plane: Plane) -> _Edges:
        """Find edges as Canny (1986) does: maxima of the gradient along its own direction."""
        reach = max(8, max(plane.shape) // 16)
        gradient = np.stack([ndimage.gaussian_filter(plane, 1, order=o) for o in ((1, 0), (0, 1))])
        strength = np.hypot(*gradient)
        inside = np.zeros(plane.shape, bool)
        inside[reach:-reach, reach:-reach] = True
        # The steepest slope of a step that is blurred with a sigma of 2 px.
        rows, columns = np.nonzero(inside & (strength > STRONG_EDGE / np.sqrt(2 * np.pi) / 2))
        normals = gradient[:, rows, columns] / strength[rows, columns]
        highest = np.ones(len(rows), bool)
        for side in (-1, 1):
            at = np.stack([rows, columns]) + side * normals
            highest &= strength[rows, columns] >= ndimage.map_coordinates(strength, at, order=1)
        edges = cls(rows, columns, normals, reach).select(highest)
        every = -(-len(edges.rows) // MOST_EDGES) or 1
        return edges.select(np.arange(len(edges.rows)) % every == 0)

    def select(self, index: NDArray[np.bool_]) -> _Edges:
        return _Edges(self.rows[index], self.columns[index], self.normals[:, index], self.reach)

    def sample_sides(self, plane: Plane) -> tuple[Plane, Plane]:
        """Sample the dark and the bright side [N, reach] at 1, 2, ... pixels from the edge."""
        distances = np.arange(1.0, self.reach + 1)
        sides = []
        for sign in (-1, 1):
            rows = self.rows[:, None] + sign * distances * self.normals[0][:, None]
            columns = self.columns[:, None] + sign * distances * self.normals[1][:, None]
            sides.append(ndimage.map_coordinates(plane, [rows, columns], order=1, mode="nearest"))
        return sides[0], sides[1]


def _correlate_in_mask(plane: Plane, mask: Plane, most: int) -> Plane:
    """Compute the normalized autocorrelation [2 * most + 1, 2 * most + 1] inside a mask.

    Lags at which less than a quarter of the mask overlaps itself are 0.
    """
    most = min(most, *(side - 1 for side in plane.shape))
    shape = [next_fast_len(side + most, real=True) for side in plane.shape]
    values = (plane - (plane * mask).sum() / mask.sum()) * mask
    of_mask, of_values, of_squares = (rfft2(x, shape) for x in (mask, values, values**2))

    def correlate(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> Plane:
        full = irfft2(a.conj() * b, shape)
        lags = np.arange(-most, most + 1)
        window: Plane = full[np.ix_(lags, lags)]
        return window

    overlap = np.maximum(correlate(of_mask, of_mask), 1.0)
    here, there = correlate(of_values, of_mask), correlate(of_mask, of_values)
    energy = correlate(of_squares, of_mask) - here**2 / overlap
    energy_there = correlate(of_mask, of_squares) - there**2 / overlap
    scale = np.sqrt(np.maximum(energy, 0) * np.maximum(energy_there, 0))
    enough = (overlap >= mask.sum() / 4) & (scale > 1e-6 * overlap)
    covariance = correlate(of_values, of_values) - here * there / overlap
    correlation: Plane = np.where(enough, covariance / np.maximum(scale, 1e-30), 0.0)
    return correlation
