"""Convert sRGB to linear light and OKLab, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def srgb_to_linear(encoded: Floats) -> Floats:
    """Convert sRGB values in [0, 1] to linear light (IEC 61966-2-1)."""
    low = encoded / 12.92
    high = ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, low, high).astype(np.float32)


def linear_to_srgb(light: Floats) -> Floats:
    """Convert linear light in [0, 1] to sRGB, the inverse of :func:`srgb_to_linear`."""
    low = light * 12.92
    high = 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, low, high).astype(np.float32)


LINEAR_TO_CONE = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
CONE_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""Matrix from the cube roots of cone responses to OKLab."""


def srgb_to_oklab(encoded: Floats) -> Floats:
    """Convert sRGB pixels [..., 3] in [0, 1] to OKLab, L in [0, 1], a and b about [-0.4, 0.4].

    Ottosson, "A perceptual color space for image processing" (2020).
    """
    cone = np.cbrt(srgb_to_linear(encoded).astype(np.float64) @ LINEAR_TO_CONE.T)
    lab: NDArray[np.float64] = cone @ CONE_TO_OKLAB.T
    return lab.astype(np.float32)


def oklab_to_srgb(lab: Floats) -> Floats:
    """Convert OKLab pixels [..., 3] to sRGB in [0, 1]; colors outside of sRGB are clipped."""
    cone = lab.astype(np.float64) @ np.linalg.inv(CONE_TO_OKLAB).T
    light = cone**3 @ np.linalg.inv(LINEAR_TO_CONE).T
    return linear_to_srgb(light.clip(0, 1).astype(np.float32)).clip(0, 1)
