"""What the studio's styles are painted on: noise, and the grain of paper."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

WIDTH, HEIGHT = 640, 512
Random = np.random.Generator
Points = list[tuple[float, float]]


def clouds(random: Random, *sizes: float) -> np.ndarray:
    """[H, W] smooth noise of some blob sizes in pixels, each half as strong as the one before; its
    deviation is 1."""
    field = np.zeros((HEIGHT, WIDTH))
    for octave, size in enumerate(sizes):
        layer = gaussian_filter(random.normal(size=field.shape), size, mode="wrap")
        field += layer / layer.std() / 2**octave
    return field / field.std()


def grained(picture: Image.Image, random: Random, depth: float) -> Image.Image:
    """The picture on paper: lit fibres, ``depth`` 8-bit levels deep."""
    fibres = clouds(random, 0.7, 2.0) + 0.5 * clouds(random, 9.0)
    levels = np.asarray(picture, np.float64) + depth * fibres[..., None]
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))
