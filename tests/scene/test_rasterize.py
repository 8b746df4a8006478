"""Splats as sparse matrices, compared with compositing one Gaussian after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impasto.scene import rasterize as module
from impasto.scene.cameras import SceneCamera, measure_content, place_around
from impasto.scene.rasterize import LEAST, LOW_PASS, MOST, OPAQUE, rasterize
from impasto.scene.splats import Splats
from splat_scenes import make_blob, make_shell


def look_at(splats: Splats, size: int = 40, index: int = 2) -> SceneCamera:
    return place_around(measure_content(splats, (0, -1, 0)), 5, size)[index]


def composite(splats: Splats, camera: SceneCamera) -> np.ndarray:
    """Composite every Gaussian at every pixel in float64, [pixels, N]."""
    height, width = camera.height, camera.width
    points = (splats.positions - camera.center).astype(np.float64) @ camera.rotation.T
    y, x = np.mgrid[0:height, 0:width]
    weights = np.zeros((height * width, len(splats)))
    light = np.ones((height, width))
    fx, fy = camera.focal[0] * width, camera.focal[1] * height
    axes = splats.compute_axes().astype(np.float64)
    for n in np.argsort(points[:, 2], kind="stable"):
        px, py, pz = points[n]
        slope = np.array([[fx / pz, 0, -fx * px / pz**2], [0, fy / pz, -fy * py / pz**2]])
        spread = slope @ camera.rotation @ axes[n]
        inverse = np.linalg.inv(spread @ spread.T + LOW_PASS * np.eye(2))
        d = np.stack([x + 0.5 - width / 2 - fx * px / pz, y + 0.5 - height / 2 - fy * py / pz])
        distance = np.einsum("ihw,ij,jhw->hw", d, inverse, d)
        alpha = np.minimum(splats.opacities[n] * np.exp(-distance / 2), MOST)
        alpha[(alpha < LEAST) | (light <= OPAQUE)] = 0
        weights[:, n] = (alpha * light).ravel()
        light *= 1 - alpha
    return weights


def test_a_picture_is_that_of_compositing_gaussian_after_gaussian():
    splats = make_blob(50)
    camera = look_at(splats)
    matrix = rasterize(splats, camera)
    image, exact = matrix @ splats.colors, composite(splats, camera) @ splats.colors
    assert exact.max() > 0.4
    assert np.abs(image - exact).max() < 1e-4


def test_bands_and_batches_change_nothing(monkeypatch):
    splats = make_blob(50)
    camera = look_at(splats)
    whole = rasterize(splats, camera)
    monkeypatch.setattr(module, "BAND", 7 * 40)
    monkeypatch.setattr(module, "PAIRS", 500)
    parts = rasterize(splats, camera)
    assert np.abs((whole - parts).toarray()).max() < 1e-6


def test_what_is_behind_something_opaque_is_hidden():
    splats = make_blob(2)
    splats = replace(
        splats,
        positions=np.float32([[0, 0, 0], [0, 0, 1]]),
        scales=np.full((2, 3), 0.5, np.float32),
        opacities=np.ones(2, np.float32),
    )
    camera = SceneCamera(np.eye(3, dtype=np.float32), np.float32([0, 0, -3]), (1.0, 1.0), 9, 9)
    row = rasterize(splats, camera).toarray()[9 * 4 + 4]
    assert row == pytest.approx([MOST, MOST * (1 - MOST)], rel=1e-3)


def test_gaussians_behind_the_camera_and_beside_the_picture_are_left_out():
    splats = make_blob(3)
    splats = replace(
        splats,
        positions=np.float32([[0, 0, 1], [0, 0, -1], [50, 0, 1]]),
        scales=np.full((3, 3), 0.05, np.float32),
    )
    camera = SceneCamera(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), (1.0, 1.0), 16, 16)
    shows = np.asarray(rasterize(splats, camera).sum(0)).ravel()
    assert shows[0] > 0
    assert shows[1] == shows[2] == 0


def test_a_huge_gaussian_beside_the_camera_stays_finite():
    splats = replace(
        make_blob(1),
        positions=np.float32([[30, 0, 0.02]]),
        scales=np.float32([[40, 40, 40]]),
        opacities=np.ones(1, np.float32),
    )
    camera = SceneCamera(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), (1.0, 1.0), 16, 16)
    matrix = rasterize(splats, camera)
    assert np.isfinite(matrix.data).all()


def test_every_camera_shows_all_of_a_shell():
    splats = make_shell()
    for camera in place_around(measure_content(splats, (0, -1, 0)), 4, 48):
        alpha = np.asarray(rasterize(splats, camera).sum(1)).reshape(48, 48)
        assert alpha[24, 24] > 0.9
        assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) < 0.5
