"""Make seeded noise that has the same forms at every size, and compute with [n, n] maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Floats = NDArray[Any]
"""Real numbers, of 32 bits wherever they are as many as the pixels."""
Integers = NDArray[Any]
Bools = NDArray[Any]


class Noise:
    """Makes noise of mean 0 and deviation about 1."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self._rng = rng
        self.n = n

    def smooth(self, across: float, down: float | None = None) -> Floats:
        """Make [n, n] of blobs.

        Args:
            across: number of blobs in a row.
            down: number of blobs in a column. None: as many.
        """
        columns, rows = max(1.0, across), max(1.0, across if down is None else down)
        shape = (int(np.ceil(rows)) + 3, int(np.ceil(columns)) + 3)
        lattice = self._rng.standard_normal(shape).astype(np.float32)
        box = (1, 1, 1 + columns, 1 + rows)
        image = Image.fromarray(lattice).resize((self.n, self.n), Image.Resampling.BICUBIC, box)
        return np.asarray(image) * 1.4

    def cloud(self, across: float, octaves: int = 4, gain: float = 0.5) -> Floats:
        """Make [n, n] of blobs with smaller blobs in them."""
        total = np.zeros((self.n, self.n), np.float32)
        weight = power = 1.0
        for octave in range(octaves):
            total += weight * self.smooth(min(across * 2**octave, self.n / 2))
            power += weight**2
            weight *= gain
        return total / np.float32(np.sqrt(power))

    def line(self, across: float, octaves: int = 4) -> Floats:
        """Make [n] of noise along one row."""
        total = np.zeros(self.n, np.float32)
        for octave in range(octaves):
            knots = self._rng.standard_normal(int(across * 2**octave) + 4)
            places = np.linspace(1, len(knots) - 3, self.n)
            values = ndimage.map_coordinates(knots, [places], order=3, mode="nearest")
            total += values.astype(np.float32) / 2**octave
        return total

    def grain(self, sigma: float = 0.0) -> Floats:
        """Make [n, n] of noise in single pixels, or blurred to blobs of ``sigma`` pixels."""
        values = self._rng.standard_normal((self.n, self.n), np.float32)
        return values if sigma == 0 else normalize(soften(values, sigma))


def soften(values: Floats, sigma: float | tuple[float, float]) -> Floats:
    """Blur [n, n] with a Gaussian of ``sigma`` pixels."""
    result: Floats = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=2.5)
    return result


def normalize(values: Floats) -> Floats:
    """Bring values to mean 0 and deviation 1."""
    result: Floats = (values - values.mean()) / (values.std() + 1e-6)
    return result


def step(values: Any, low: Any, high: Any) -> Floats:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``."""
    share = np.clip((values - low) / (high - low), 0, 1)
    result: Floats = (share * share * (3 - 2 * share)).astype(np.float32)
    return result


def mix(below: Any, above: Any, share: Any) -> Floats:
    """Mix two [n, n, 3] pictures or colors by an [n, n] share of the second."""
    share = np.asarray(share, np.float32)[..., None]
    return np.asarray(below + (above - below) * share, np.float32)


def lighten(lab: Floats, amount: float) -> Floats:
    """Return OKLab colors [..., 3] with the lightness raised by an amount."""
    lighter = lab.copy()
    lighter[..., 0] += amount
    return lighter


def find_borders(labels: Integers) -> Bools:
    """Find the pixels whose right or lower neighbor has another label."""
    border = np.zeros(labels.shape, bool)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:-1] |= labels[:-1] != labels[1:]
    return border


def measure_distance(border: Bools) -> Floats:
    """Compute the distance in pixels of every pixel from a border."""
    if not border.any():
        return np.full(border.shape, max(border.shape), np.float32)
    distance: Floats = ndimage.distance_transform_edt(~border).astype(np.float32)
    return distance


def find_cells(points: Floats, n: int) -> Integers:
    """Divide [n, n] into the cells of points [m, 2] (x, y in pixels): the index of the nearest."""
    places = np.clip(np.rint(points), 0, n - 1).astype(np.int64)
    owner = np.full((n, n), -1, np.int64)
    owner[places[:, 1], places[:, 0]] = np.arange(len(points))
    rows, columns = ndimage.distance_transform_edt(
        owner < 0, return_distances=False, return_indices=True
    )
    cells: Integers = owner[rows, columns]
    return cells


def shift(values: Floats, dx: float, dy: float) -> Floats:
    """Move a picture by whole pixels, repeating its edges."""
    rows = np.clip(np.arange(values.shape[0]) - round(dy), 0, values.shape[0] - 1)
    columns = np.clip(np.arange(values.shape[1]) - round(dx), 0, values.shape[1] - 1)
    moved: Floats = values[rows][:, columns]
    return moved


def light_relief(height: Floats, strength: float) -> Floats:
    """Compute the change of lightness of a relief that is lit from the upper left."""
    down, across = np.gradient(height)
    slope = (down + across) * np.float32(strength)
    shade: Floats = np.tanh(slope * 6) * 0.11 + np.maximum(slope - 0.02, 0).clip(0, 0.25) * 0.45
    return shade.astype(np.float32)
