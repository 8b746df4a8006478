"""Give what no camera sees the colors of its surroundings."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from impasto.scene.splats import Array

NEIGHBORS = 8
VISIBLE = 0.1
"""Pixels, over all views, from which a Gaussian is visible enough to have a color of its own."""


def fill_hidden(positions: Array, colors: Array, shows: Array) -> Array:
    """Blend the colors of Gaussians that are hardly visible with those of visible neighbors.

    Args:
        positions: [N, 3] centers.
        colors: [N, 3].
        shows: [N], how many pixels each Gaussian fills, over all views.

    Returns:
        [N, 3]. If none is visible, the colors are unchanged.
    """
    visible = shows >= VISIBLE
    hidden = np.flatnonzero(~visible)
    if not len(hidden) or not visible.any():
        return colors
    sources = colors[visible]
    count = min(NEIGHBORS, len(sources))
    distances, places = cKDTree(positions[visible]).query(positions[hidden], count)
    distances, places = distances.reshape(len(hidden), -1), places.reshape(len(hidden), -1)
    nearest = distances[:, :1]
    weights = 1 / np.maximum(distances / np.maximum(nearest, 1e-12), 1) ** 2
    weights /= weights.sum(1, keepdims=True)
    around = (sources[places] * weights[..., None]).sum(1)
    own = (shows[hidden] / VISIBLE)[:, None]
    filled = colors.copy()
    filled[hidden] = own * colors[hidden] + (1 - own) * around
    return filled
