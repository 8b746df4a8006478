"""Tiles: the whole picture's losses and gradient, whatever the tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.encoders.vgg import VggEncoder
from impasto.engine.machine.storage import Storage
from impasto.objective.tiles import plan_tiles
from impasto.recipe.recipe import Recipe, load_recipe
from objectives import assert_equal_evaluations, both, picture

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "standard": ("standard", {}),
    "gatys-2015": ("gatys-2015", {}),
    "tf2-epochs": ("tf2-epochs", {}),
    "torch-lbfgs": ("torch-lbfgs", {"smoothness.weight": 0.1}),
    "noise-blend": ("noise-blend", {"style.weights": [3.0, 1.0]}),
    "wasserstein": ("standard", {"style.distance": "wasserstein", "style.weights": [3.0, 1.0]}),
    "covariance": ("standard", {"style.distance": "covariance"}),
    "mean_std": ("standard", {"style.distance": "mean_std"}),
    "remd": ("standard", {"style.distance": "remd", "style.weights": [3.0, 1.0]}),
    "remd, euclidean": ("standard", {"style.distance": "remd", "style.cost": "euclidean"}),
    "self_similarity": ("standard", {"content.kind": "self_similarity", "content.weight": 30.0}),
    "both contents": ("standard", {"content.structure": 12.0, "content.weight": 30.0}),
    "palette": ("standard", {"palette.weight": 100.0, "smoothness.weight": 0.1}),
}


def recipe_of(name: str) -> Recipe:
    base, changes = RECIPES[name]
    return load_recipe(base).with_changes(changes)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("size", [(161, 243), (177, 96)])
def test_losses_and_gradient_are_those_of_the_whole(name: str, size: tuple[int, int]) -> None:
    whole, tiled = both(recipe_of(name), *size, side=64)
    assert_equal_evaluations(whole, tiled, picture(*size, seed=4))


def two_masks(height: int, width: int) -> list[torch.Tensor]:
    """A disc in the corner, so that most tiles see nothing of it, and a soft slope."""
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = (down**2 + across**2 < 60**2).double()
    return [disc, (1 - disc) * across / width]


@pytest.mark.parametrize("name", RECIPES)
def test_masks_too(name: str, tmp_path: Path) -> None:
    recipe, size = recipe_of(name), (161, 179)
    image, masks = picture(*size, seed=4), two_masks(*size)
    whole, tiled = both(recipe, *size, side=64, masks=masks)
    assert_equal_evaluations(whole, tiled, image)
    losses, gradient = tiled.evaluate(image)
    storage = Storage(torch.device("cpu"), tmp_path)
    on_disk = both(recipe, *size, side=64, masks=masks, storage=storage)[1].evaluate(image)
    assert on_disk[0] == losses
    assert torch.equal(on_disk[1], gradient)
    plain = both(recipe, *size, side=64)[0].compute_losses(image)
    for term in {"style", "palette"} & set(losses):
        assert plain[term] != pytest.approx(losses[term], rel=1e-3)


@settings(max_examples=12, deadline=None)
@given(height=st.integers(16, 130), width=st.integers(16, 130), side=st.integers(1, 140))
def test_any_size_and_any_tile(height: int, width: int, side: int) -> None:
    recipe = load_recipe("standard").with_changes({"style.layers": {"relu1_1": 1, "relu5_1": 1}})
    whole, tiled = both(recipe, height, width, side)
    assert_equal_evaluations(whole, tiled, picture(height, width, seed=4))


@settings(max_examples=6, deadline=None)
@given(height=st.integers(8, 130), width=st.integers(8, 130), side=st.integers(1, 140))
def test_samples_of_any_size_and_any_tile(height: int, width: int, side: int) -> None:
    changes = {"content.kind": "self_similarity", "palette.weight": 1.0, "style.distance": "remd"}
    recipe = load_recipe("standard").with_changes(changes)
    whole, tiled = both(recipe, height, width, side)
    assert_equal_evaluations(whole, tiled, picture(height, width, seed=4))


def test_both_contents_are_the_sum_of_the_two() -> None:
    """Structure counts in multiples of the features' weight."""
    image = picture(97, 130, seed=4)

    def content(**changes: Any) -> float:
        dotted = {f"content.{key}": value for key, value in changes.items()}
        whole, _ = both(load_recipe("standard").with_changes(dotted), 97, 130, side=64)
        return whole.compute_losses(image)["content"]

    alone = content(weight=3.0), content(weight=6.0, kind="self_similarity")
    assert content(weight=3.0, structure=2.0) == pytest.approx(sum(alone), rel=1e-12)
    assert min(alone) > 1e-3


def test_a_halo_one_cell_short_is_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("gatys-2015")
    monkeypatch.setattr(VggEncoder, "halo", 64)
    whole, tiled = both(recipe, 256, 96, side=64)
    image = picture(256, 96, seed=4)
    _, gradient = whole.evaluate(image)
    _, theirs = tiled.evaluate(image)
    assert (theirs - gradient).abs().max() > 1e-9 * gradient.abs().max()


@settings(max_examples=50, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    side=st.integers(1, 200),
    cell=st.sampled_from([1, 2, 8, 16]),
)
def test_every_feature_belongs_to_exactly_one_tile(
    height: int, width: int, side: int, cell: int
) -> None:
    for layer_cell in (1, cell):
        whole = torch.zeros(height // layer_cell, width // layer_cell)
        for tile in plan_tiles(height, width, side, 5, cell):
            assert tile.rows.first % cell == tile.columns.first % cell == 0
            top, left = tile.rows.first // layer_cell, tile.columns.first // layer_cell
            part = whole[top : tile.rows.last // layer_cell, left : tile.columns.last // layer_cell]
            tile.cut_from_tile(part, layer_cell).add_(1)
        assert torch.equal(whole, torch.ones_like(whole))
