"""The matting energy against Levin's explicit matrix, the guided filter against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import lil_matrix

from impasto.cli import main
from impasto.image.files.decode import read_picture
from impasto.objective.losses.matting import matting_energy
from impasto.recipe.recipe import load_recipe
from objectives import assert_equal_evaluations, both, picture


def matting_loss(image, photo):
    return matting_energy(image, photo) / (image.shape[2] * image.shape[3])


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


@pytest.mark.slow
@pytest.mark.usefixtures("narrow_encoder")
def test_each_part_changes_the_picture_and_keeps_more_of_the_photo(work, monkeypatch):
    monkeypatch.chdir(work)
    table = "[photorealism]\nweight = {}\nfilter = {}\n"

    def tensor(name):
        return torch.tensor(read_picture(name).pixels).permute(2, 0, 1)[None]

    photo = tensor("photo.png")
    losses = []
    for number, choice in enumerate([(0, 0), (300, 0), (0, 0.05), (300, 0.05)]):
        recipe, out = f"r{number}.toml", f"{number}.png"
        (work / recipe).write_text('base = "standard"\n' + table.format(*choice))
        job = ["photo.png", "--style", "painting.png", "--recipe", recipe, "--quiet"]
        assert main([*job, "--iterations", "8", "--size", "64", "-o", out]) == 0
        losses.append(float(matting_loss(tensor(out), photo)))
    assert losses[1] < 0.5 * losses[0]
    assert losses[2] < 0.5 * losses[0]
    assert losses[3] < losses[1]
    assert main(["replay", "3.png", "-o", "again.png", "--quiet"]) == 0
    assert (work / "again.png").read_bytes() == (work / "3.png").read_bytes()
