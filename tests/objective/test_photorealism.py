"""The matting energy against Levin's explicit matrix, the guided filter against loops."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.sparse import lil_matrix

from impasto.cli import main
from impasto.image import guided_filter as guided
from impasto.image.files.decode import read_picture
from impasto.image.guided_filter import apply_guided_filter, average_boxes, fit_guided_filter
from impasto.objective.losses.matting import matting_energy, matting_loss
from impasto.recipe.recipe import load_recipe
from objectives import assert_equal_evaluations, both, picture


def levin_matrix(photo: np.ndarray, epsilon: float) -> lil_matrix:
    """The matting Laplacian of [H, W, 3], entry by entry, as the paper's equation 12 has it."""
    height, width = photo.shape[:2]
    matrix = lil_matrix((height * width, height * width))
    for top in range(height - 2):
        for left in range(width - 2):
            places = [(top + i) * width + left + j for i in range(3) for j in range(3)]
            colors = photo.reshape(-1, 3)[places]
            centered = colors - colors.mean(0)
            spread = centered.T @ centered / 9 + epsilon / 9 * np.eye(3)
            affinity = (1 + centered @ np.linalg.inv(spread) @ centered.T) / 9
            matrix[np.ix_(places, places)] += np.eye(9) - affinity
    return matrix


@pytest.mark.parametrize("epsilon", [1e-7, 1e-5, 1e-2])
def test_energy_and_gradient_are_those_of_the_explicit_matrix(epsilon):
    photo, image = picture(11, 14, 1), picture(11, 14, 2).requires_grad_()
    matrix = levin_matrix(photo[0].permute(1, 2, 0).numpy(), epsilon).tocsr()
    flat = image.detach()[0].flatten(1).numpy()
    energy = matting_energy(image, photo, epsilon)
    (gradient,) = torch.autograd.grad(energy, image)
    assert float(energy.detach()) == pytest.approx(sum(v @ (matrix @ v) for v in flat), rel=1e-10)
    expected = torch.from_numpy(np.stack([2 * (matrix @ v) for v in flat])).view(image.shape)
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


def test_recoloring_is_free_and_new_structure_is_not():
    photo = picture(40, 50, 1)
    mixed = torch.einsum("cd,ndhw->nchw", picture(3, 3, 2)[0, 0], photo) * 0.5 + 0.2
    assert matting_loss(mixed, photo) < 1e-3 * matting_loss(picture(40, 50, 3), photo)
    gray = torch.full_like(photo, 0.4)
    assert matting_loss(gray, photo) < 1e-20
    assert matting_loss(photo[..., :2, :], photo[..., :2, :]) == 0


def test_float32_is_as_good_as_it_can_be():
    photo = 0.5 + 0.01 * picture(60, 70, 1)  # nearly flat: badly conditioned
    image = picture(60, 70, 2)
    exact = float(matting_loss(image, photo))
    assert float(matting_loss(image.float(), photo.float())) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("layers", [{"relu1_1": 1.0}, {"relu3_1": 1.0}])
def test_tiles_make_no_difference(layers):
    size = (65, 97)
    changes = {"style.layers": layers, "content.layers": layers, "photorealism.weight": 50.0}
    recipe = load_recipe("standard").with_changes(changes)
    whole, tiled = both(recipe, *size, side=40)
    image = picture(*size, seed=4)
    assert whole.compute_losses(image)["photorealism"] > 1
    assert_equal_evaluations(whole, tiled, image)


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


def test_box_means_are_those_of_a_loop():
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
    found = np.einsum("hwi,hwic->hwc", guide.astype(float), slopes) + offsets
    assert np.abs(found - expected).max() < 1e-12


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
        found = tracemalloc.get_traced_memory()[1] - image.nbytes
        tracemalloc.stop()
        return found

    assert peak(640) < 1.3 * peak(320)


def test_a_recolored_guide_comes_back():
    guide = np.random.default_rng(2).random((30, 40, 3), np.float32)
    recolored = (guide @ np.float32([[0.5, 0.2, 0], [0.1, 0.6, 0], [0, 0.1, 0.7]])) + 0.1
    assert np.abs(apply_guided_filter(recolored, guide, 4, 1e-7) - recolored).max() < 1e-4


def test_each_part_changes_the_picture_and_keeps_more_of_the_photo(work, monkeypatch):
    monkeypatch.chdir(work)
    table = "[photorealism]\nweight = {}\nfilter = {}\n"

    def tensor(name):
        return torch.tensor(read_picture(name).pixels).permute(2, 0, 1)[None]

    photo = tensor("photo.png")
    found = []
    for number, choice in enumerate([(0, 0), (300, 0), (0, 0.05), (300, 0.05)]):
        recipe, out = f"r{number}.toml", f"{number}.png"
        (work / recipe).write_text('base = "standard"\n' + table.format(*choice))
        job = ["photo.png", "--style", "painting.png", "--recipe", recipe, "--quiet"]
        assert main([*job, "--iterations", "8", "--size", "64", "-o", out]) == 0
        found.append(float(matting_loss(tensor(out), photo)))
    assert found[1] < 0.5 * found[0]
    assert found[2] < 0.5 * found[0]
    assert found[3] < found[1]
    assert main(["replay", "3.png", "-o", "again.png", "--quiet"]) == 0
    assert (work / "again.png").read_bytes() == (work / "3.png").read_bytes()
