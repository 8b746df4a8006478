"""Define cameras, and place them around a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from impasto.scene.splats import Array, Splats

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
FIELD = math.radians(45)
"""Field of view of cameras that are placed around a scene."""
HIGHEST, LOWEST = 0.9, -0.5
"""Range of the sine of a camera's elevation: few scenes are looked at from straight below."""
INSIDE = 0.98
"""Share of the visible matter that a camera has in its picture."""
EXTENT = 2
"""Standard deviations from the center of a Gaussian to where it ends."""
MARGIN = 1.04
"""Distance of cameras, relative to that from which the content just fits into the picture."""


@dataclass(frozen=True)
class SceneCamera:
    """A pinhole camera. It looks along its z axis; x points to the right and y downward.

    Attributes:
        rotation: [3, 3] from the scene's axes to the camera's.
        center: [3], where it is.
        focal: focal lengths (x, y) in units of the picture's width and height.
        principal: where its axis meets the picture, in the same units.
        width, height: size of the picture in pixels.
    """

    rotation: Array
    center: Array
    focal: tuple[float, float]
    width: int
    height: int
    principal: tuple[float, float] = (0.5, 0.5)

    def resize(self, width: int, height: int) -> SceneCamera:
        """Return the same camera with a picture of another size."""
        return replace(self, width=width, height=height)


@dataclass(frozen=True)
class Content:
    """Where the visible matter of a scene is.

    Attributes:
        center: [3], its middle.
        radius: of the ball around the center that holds most of it.
        up: [3], the direction that is up.
    """

    center: Array
    radius: float
    up: Array


def measure_content(splats: Splats, up: Sequence[float]) -> Content:
    """Find where the visible matter of a scene is, leaving out stray Gaussians.

    Args:
        splats: the scene.
        up: the direction that is up, of any length.
    """
    cross_sections = np.sort(splats.scales, 1)[:, 1:].prod(1, dtype=np.float64)
    # One huge Gaussian must not be the whole scene.
    weights = splats.opacities * np.minimum(cross_sections, np.quantile(cross_sections, 0.95))
    low = [_find_quantile(axis, weights, 1 - INSIDE) for axis in splats.positions.T]
    high = [_find_quantile(axis, weights, INSIDE) for axis in splats.positions.T]
    center = np.array([low, high]).mean(0)
    sizes = splats.scales.max(1)
    distances = np.linalg.norm(splats.positions - center, axis=1)
    distances += EXTENT * np.minimum(sizes, np.quantile(sizes, 0.95))
    radius = _find_quantile(distances, weights, 0.999)
    return Content(
        center.astype(np.float32),
        max(float(radius), 1e-6),
        (np.asarray(up) / np.linalg.norm(up)).astype(np.float32),
    )


def _find_quantile(values: Array, weights: Array, share: float) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(total, share * total[-1])])


def place_around(content: Content, count: int, size: int, turn: float = 0.0) -> list[SceneCamera]:
    """Place cameras on a sphere around a scene, evenly, all looking at its center.

    Args:
        content: where the scene is.
        count: number of cameras.
        size: sides of their pictures in pixels.
        turn: angle by which all of them are turned around the axis that points up, in radians.
    """
    cameras = []
    for index in range(count):
        height = HIGHEST + (LOWEST - HIGHEST) * (index + 0.5) / count
        cameras.append(aim(content, index * GOLDEN_ANGLE + turn, math.asin(height), size))
    return cameras


def place_on_circle(content: Content, count: int, size: int, elevation: float) -> list[SceneCamera]:
    """Place cameras on a horizontal circle, evenly; elevation in radians."""
    return [aim(content, 2 * math.pi * index / count, elevation, size) for index in range(count)]


def aim(content: Content, azimuth: float, elevation: float, size: int) -> SceneCamera:
    """Return a camera that looks at the center of a scene.

    Args:
        content: where the scene is.
        azimuth: angle around the axis that points up, in radians.
        elevation: angle above the horizon in radians, less than a right angle.
        size: sides of the picture in pixels.
    """
    up = content.up.astype(np.float64)
    helper = np.eye(3)[np.argmin(np.abs(up))]
    east = np.cross(helper, up)
    east /= np.linalg.norm(east)
    north = np.cross(up, east)
    flat = math.cos(azimuth) * east + math.sin(azimuth) * north
    outward = math.cos(elevation) * flat + math.sin(elevation) * up
    distance = MARGIN * content.radius / math.sin(FIELD / 2)
    forward = -outward
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    focal = 0.5 / math.tan(FIELD / 2)
    return SceneCamera(
        rotation.astype(np.float32),
        (content.center + distance * outward).astype(np.float32),
        (focal, focal),
        size,
        size,
    )
