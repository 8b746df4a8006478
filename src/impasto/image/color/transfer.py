"""A painting in the colors of a photo, or without colors at all, before a run sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from impasto.image.color.gamut import convert_rows_to_srgb
from impasto.image.color.spaces import Floats, srgb_to_oklab
from impasto.image.picture import Picture
from impasto.image.rows import split_rows

Doubles = NDArray[np.float64]
MOST_GAIN = 4.0
"""A near-monochrome painting's colors are spread no more than this, for its noise would be too."""
_RIDGE = 1e-9
"""Added to variances, about 1e-2 in OKLab, so that a painting of one color can be mapped."""


@dataclass(frozen=True)
class ColorStatistics:
    """Of a picture's visible pixels in OKLab, float64.

    Attributes:
        mean: [3].
        covariance: [3, 3].
    """

    mean: Doubles
    covariance: Doubles

    @classmethod
    def measure(cls, picture: Picture) -> ColorStatistics:
        """Measured in bands of rows, pixels weighted by alpha."""
        count, total, squares = 0.0, np.zeros(3), np.zeros((3, 3))
        for rows in split_rows(picture.height, picture.width):
            lab = srgb_to_oklab(picture.pixels[rows]).reshape(-1, 3).astype(np.float64)
            seen = None if picture.alpha is None else picture.alpha[rows].reshape(-1, 1)
            weighted = lab if seen is None else lab * seen
            count += len(lab) if seen is None else float(seen.sum(dtype=np.float64))
            total += weighted.sum(0)
            squares += weighted.T @ lab
        if not count:  # nothing to be seen: any color will do
            return cls(np.zeros(3), np.zeros((3, 3)))
        mean = total / count
        return cls(mean, squares / count - np.outer(mean, mean))


def solve_monge_kantorovich(source: Doubles, target: Doubles) -> Doubles:
    """The symmetric positive matrix T with ``T source T = target``, [n, n] covariances all three.

    Of all linear maps that do so it moves the colors least, and turns none about:
    ``S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2``, Pitié and Kokaram, "The linear Monge-Kantorovitch linear
    color mapping for example-based color transfer" (2007).
    """
    ridge = _RIDGE * np.eye(len(source))
    root = _power(source + ridge, 0.5)
    back = _power(source + ridge, -0.5)
    return back @ _power(root @ (target + ridge) @ root, 0.5) @ back


def match_colors(painting: Picture, photo: ColorStatistics) -> Picture:
    """A painting whose colors have the mean and covariance of a photo's, in OKLab.

    Colors that sRGB does not have lose chroma, see :mod:`impasto.image.color.gamut`.
    """
    own = ColorStatistics.measure(painting)
    values, axes = np.linalg.eigh(solve_monge_kantorovich(own.covariance, photo.covariance))
    turn = (axes * np.minimum(values, MOST_GAIN)) @ axes.T
    return _mapped(painting, lambda lab: (lab - own.mean) @ turn + photo.mean)


def remove_color(picture: Picture, like: ColorStatistics | None = None) -> Picture:
    """A picture's OKLab lightness alone, with the mean and deviation of another's if asked for."""
    gain, offset = 1.0, 0.0
    if like is not None:
        own = ColorStatistics.measure(picture)
        wanted = float(np.sqrt(like.covariance[0, 0] / max(own.covariance[0, 0], _RIDGE)))
        gain = min(wanted, MOST_GAIN)
        offset = float(like.mean[0] - gain * own.mean[0])
    return _mapped(picture, lambda lab: (gain * lab + offset) * np.array([1, 0, 0]))


def _mapped(picture: Picture, change: Callable[[Doubles], Doubles]) -> Picture:
    """A picture whose OKLab pixels [N, 3] were changed, band by band."""

    def changed(rows: slice) -> Floats:
        pixels = picture.pixels[rows]
        lab = srgb_to_oklab(pixels).reshape(-1, 3).astype(np.float64)
        return change(lab).astype(np.float32).reshape(pixels.shape)

    return replace(picture, pixels=convert_rows_to_srgb(changed, picture.height, picture.width))


def _power(symmetric: Doubles, exponent: float) -> Doubles:
    values, axes = np.linalg.eigh(symmetric)
    power: Doubles = (axes * np.maximum(values, _RIDGE**2) ** exponent) @ axes.T
    return power
