"""Find the colors whose views are closest to given pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from impasto.scene.splat_canvas import SplatView
from impasto.scene.splats import Array


def fit_colors(
    views: Sequence[SplatView],
    pictures: Sequence[Array],
    start: Array,
    background: Array,
    *,
    iterations: int = 25,
    ridge: float = 0.02,
) -> Array:
    """Find the colors whose views are closest to some pictures, by conjugate gradients.

    It minimizes the squared differences of all pixels, plus those to the start, so that a Gaussian
    which no view shows keeps its color. The system is scaled by its diagonal (Jacobi).

    Args:
        views: what each camera shows.
        pictures: [H, W, 3] in [0, 1] each, one for each camera.
        start: [N, 3], the colors to start from.
        background: [3] RGB, what is behind the scene.
        iterations: number of iterations.
        ridge: weight of the differences to the start, for each Gaussian relative to how much of
            it an average one shows.

    Returns:
        [N, 3], not clamped.
    """
    shows = np.zeros((len(start), 1))
    for view in views:
        shows[:, 0] += np.asarray(view.matrix.multiply(view.matrix).sum(0)).ravel()
    damping = np.float32(ridge * max(float(shows.mean()), 1e-12))
    scale: Array = (1 / (shows + damping)).astype(np.float32)

    def apply(colors: Array) -> Array:
        total = damping * colors
        for view in views:
            total += view.matrix.T @ (view.matrix @ colors)
        return total

    residual = np.zeros_like(start)
    for view, picture in zip(views, pictures, strict=True):
        residual += view.pull_back(picture - view.render(start, background))
    colors = start.astype(np.float32).copy()
    preconditioned = scale * residual
    direction = preconditioned.copy()
    energy = (residual * preconditioned).sum(0)
    for _ in range(iterations):
        image = apply(direction)
        step = energy / np.maximum((direction * image).sum(0), 1e-30)
        colors += step * direction
        residual -= step * image
        preconditioned = scale * residual
        previous, energy = energy, (residual * preconditioned).sum(0)
        direction = preconditioned + energy / np.maximum(previous, 1e-30) * direction
    return colors
