"""Give a painting the colors of a photo, or remove its colors, before a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impasto.image.color.gamut import convert_rows_to_srgb
from impasto.image.color.spaces import Floats, srgb_to_oklab
from impasto.image.picture import Picture
from impasto.image.rows import split_rows

Doubles = NDArray[np.float64]
LARGEST_GAIN = 4.0
"""Largest gain of colors and lightness; the noise of a nearly monochrome painting grows with it."""
_RIDGE = 1e-9
"""Added to variances, which are about 1e-2 in OKLab, for paintings of a single color."""


@dataclass(frozen=True)
class ColorStatistics:
    """Mean and covariance of a picture's visible pixels in OKLab, float64.

    Attributes:
        mean: [3].
        covariance: [3, 3].
    """

    mean: Doubles
    covariance: Doubles

    @classmethod
    def measure(cls, picture: Picture) -> ColorStatistics:
        """Measure a picture; its pixels are weighted by alpha."""
        count, total, squares = 0.0, np.zeros(3), np.zeros((3, 3))
        for rows in split_rows(picture.height, picture.width):
            lab = srgb_to_oklab(picture.read_rows(rows)).reshape(-1, 3).astype(np.float64)
            alpha = picture.read_alpha_rows(rows).reshape(-1, 1) if picture.has_alpha else None
            weighted = lab if alpha is None else lab * alpha
            count += len(lab) if alpha is None else float(alpha.sum(dtype=np.float64))
            total += weighted.sum(0)
            squares += weighted.T @ lab
        if not count:  # nothing is visible: any color will do
            return cls(np.zeros(3), np.zeros((3, 3)))
        mean = total / count
        return cls(mean, squares / count - np.outer(mean, mean))


def solve_monge_kantorovich(source: Doubles, target: Doubles) -> Doubles:
    """Compute the linear map that transforms one covariance into another and moves colors least.

    The symmetric positive matrix ``M`` with ``M S M = T`` for the covariances ``S`` of the source
    and ``T`` of the target is ``S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2``: Pitié and Kokaram, "The linear
    Monge-Kantorovitch linear colour mapping for example-based colour transfer" (2007).

    Args:
        source, target: [n, n].

    Returns:
        ``M``, [n, n].
    """
    ridge = _RIDGE * np.eye(len(source))
    root = _raise_to_power(source + ridge, 0.5)
    inverse_root = _raise_to_power(source + ridge, -0.5)
    return inverse_root @ _raise_to_power(root @ (target + ridge) @ root, 0.5) @ inverse_root


def match_colors(painting: Picture, photo: ColorStatistics) -> Picture:
    """Give a painting the mean and covariance of a photo's colors, in OKLab.

    Colors outside of sRGB lose chroma, see :mod:`impasto.image.color.gamut`.
    """
    own = ColorStatistics.measure(painting)
    values, axes = np.linalg.eigh(solve_monge_kantorovich(own.covariance, photo.covariance))
    turn = (axes * np.minimum(values, LARGEST_GAIN)) @ axes.T
    return _map_pixels(painting, lambda lab: (lab - own.mean) @ turn + photo.mean)


def remove_color(picture: Picture, like: ColorStatistics | None = None) -> Picture:
    """Remove the color of a picture and keep its OKLab lightness.

    Args:
        picture: picture to convert.
        like: statistics whose lightness mean and deviation the result gets. None: its own.
    """
    gain, offset = 1.0, 0.0
    if like is not None:
        own = ColorStatistics.measure(picture)
        ratio = float(np.sqrt(like.covariance[0, 0] / max(own.covariance[0, 0], _RIDGE)))
        gain = min(ratio, LARGEST_GAIN)
        offset = float(like.mean[0] - gain * own.mean[0])
    return _map_pixels(picture, lambda lab: (gain * lab + offset) * np.array([1, 0, 0]))


def _map_pixels(picture: Picture, change: Callable[[Doubles], Doubles]) -> Picture:
    """Map the OKLab pixels [N, 3] of a picture, band by band."""

    def convert(rows: slice) -> Floats:
        pixels = picture.read_rows(rows)
        lab = srgb_to_oklab(pixels).reshape(-1, 3).astype(np.float64)
        return change(lab).astype(np.float32).reshape(pixels.shape)

    return picture.with_pixels(convert_rows_to_srgb(convert, picture.height, picture.width))


def _raise_to_power(symmetric: Doubles, exponent: float) -> Doubles:
    """Raise a symmetric positive semidefinite matrix to a power."""
    values, axes = np.linalg.eigh(symmetric)
    power: Doubles = (axes * np.maximum(values, _RIDGE**2) ** exponent) @ axes.T
    return power
