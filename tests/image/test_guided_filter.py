"""The guided filter against a regression in each window."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from impasto.image import guided_filter as guided
from impasto.image.guided_filter import apply_guided_filter, average_boxes, fit_guided_filter


def slow_mean(values: np.ndarray, radius: int) -> np.ndarray:
    result = np.empty_like(values)
    for y, x in np.ndindex(*values.shape[:2]):
        rows = slice(max(0, y - radius), y + radius + 1)
        columns = slice(max(0, x - radius), x + radius + 1)
        result[y, x] = values[rows, columns].mean((0, 1))
    return result


def slow_guided(image: np.ndarray, guide: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """A ridge regression in each window, and the mean of their predictions."""
    height, width = guide.shape[:2]
    total, count = np.zeros_like(image), np.zeros((height, width, 1))
    for y, x in np.ndindex(height, width):
        # Border windows are smaller, and so is the number of those that a pixel is in.
        box = np.s_[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        colors, values = guide[box].reshape(-1, 3), image[box].reshape(-1, 3)
        centered = colors - colors.mean(0)
        left = centered.T @ centered / len(colors) + epsilon * np.eye(3)
        slope = np.linalg.solve(left, centered.T @ (values - values.mean(0)) / len(colors))
        total[box] += (guide[box] - colors.mean(0)) @ slope + values.mean(0)
        count[box] += 1
    return total / count


def test_box_averages_equal_those_of_a_loop():
    values = np.random.default_rng(0).random((13, 9, 2))
    for radius in (1, 3, 20):
        assert np.allclose(average_boxes(values, radius), slow_mean(values, radius), atol=1e-13)


@pytest.mark.parametrize(("block", "strip"), [(256, 2**17), (5, 60)])
@pytest.mark.parametrize("radius", [1, 2, 5])
def test_the_guided_filter_is_a_regression_in_each_window(radius, block, strip, monkeypatch):
    monkeypatch.setattr(guided, "BLOCK", block)
    monkeypatch.setattr(guided, "STRIP", strip)
    rng = np.random.default_rng(1)
    image, guide = rng.random((2, 37, 12, 3), np.float32)
    expected = slow_guided(image.astype(float), guide.astype(float), radius, 1e-2)
    assert np.abs(apply_guided_filter(image, guide, radius, 1e-2) - expected).max() < 1e-6
    slopes, offsets = fit_guided_filter(image.astype(float), guide.astype(float), radius, 1e-2)
    result = np.einsum("hwi,hwic->hwc", guide.astype(float), slopes) + offsets
    assert np.abs(result - expected).max() < 1e-12


def scene_and_painting(width: int, height: int) -> np.ndarray:
    """[2, H, W, 3]: edges and grain, and the same in other colors beside other edges."""
    y, x = np.mgrid[:height, :width]
    ramps = np.stack([x / width, y / height, (x + y) / (width + height)], -1)
    photo = np.where(((x - width / 2) ** 2 + (y - height / 2) ** 2 < 60**2)[..., None], 0.8, ramps)
    photo = photo + np.random.default_rng(4).normal(0, 0.02, photo.shape)
    strokes = 0.15 * (np.sin((x + 2 * y) / 9) > 0)[..., None]
    return np.stack([photo, 0.7 * photo[..., ::-1] + strokes]).clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("radius", [16, 20, 31, 40])
def test_large_windows_are_fitted_over_cells_within_the_stated_tolerance(radius, monkeypatch):
    photo, image = scene_and_painting(330, 250)
    coarse = apply_guided_filter(image, photo, radius, 1e-4)
    monkeypatch.setattr(guided, "BLOCK", 30)
    monkeypatch.setattr(guided, "STRIP", 999)
    assert np.abs(apply_guided_filter(image, photo, radius, 1e-4) - coarse).max() < 1e-6
    monkeypatch.undo()
    monkeypatch.setattr(guided, "CELLS", radius)
    difference = apply_guided_filter(image, photo, radius, 1e-4) - coarse
    assert np.abs(difference).max() < 0.02
    assert np.sqrt((difference**2).mean()) < 0.003
    assert difference.any()


def test_the_guided_filter_takes_the_same_memory_for_large_pictures(monkeypatch):
    monkeypatch.setattr(guided, "BLOCK", 32)
    monkeypatch.setattr(guided, "STRIP", 2**12)

    def peak(side: int) -> int:
        """Bytes beside the result, of float32."""
        photo, image = scene_and_painting(side, side)
        tracemalloc.start()
        apply_guided_filter(image, photo, side // 20, 1e-4)
        size = tracemalloc.get_traced_memory()[1] - image.nbytes
        tracemalloc.stop()
        return size

    assert peak(640) < 1.3 * peak(320)


def test_a_linear_recoloring_of_the_guide_is_reproduced():
    guide = np.random.default_rng(2).random((30, 40, 3), np.float32)
    recolored = (guide @ np.float32([[0.5, 0.2, 0], [0.1, 0.6, 0], [0, 0.1, 0.7]])) + 0.1
    assert np.abs(apply_guided_filter(recolored, guide, 4, 1e-7) - recolored).max() < 1e-4
