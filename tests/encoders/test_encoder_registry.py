"""Encoders: what a recipe can name, and an encoder of one's own from the recipe to the record."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.cli import main
from impasto.encoders.encoder import EncoderRequest, LayerShape
from impasto.encoders.encoder_registry import (
    ENCODERS,
    canonicalize_layer,
    count_channels,
    find_encoder,
    get_cell_size,
    list_sources,
    load_encoder,
    register_encoder,
)
from impasto.engine.machine.hardware import Hardware
from impasto.engine.regions import Regions
from impasto.errors import LimitError, RecipeError
from impasto.optimize.budget.fitting import Fitting
from impasto.optimize.budget.memory import Layout
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.record.provenance import read_provenance
from toy_encoder import ENTRY

TOY = {
    "encoder.network": "toy",
    "style.layers": {"toy_full": 0.5, "toy_half": 0.5},
    "content.layers": {"toy_quarter": 1.0},
    "schedule": {"total": 8},
    "size": 32,
}


@pytest.fixture(autouse=True)
def toy():
    with mock.patch.dict(ENCODERS):
        register_encoder(ENTRY)
        yield


def make_picture(seed: int) -> impasto.Picture:
    generator = np.random.default_rng(seed)
    return impasto.Picture(generator.random((32, 32, 3), np.float32))


def make_recipe(**changes: object) -> impasto.Recipe:
    return impasto.load_recipe("standard").with_changes({**TOY, **changes})


@pytest.mark.parametrize("solver", ["adam", "bounded"])
def test_a_recipe_paints_through_an_encoder_that_was_registered(solver):
    recipe = make_recipe(**{"solver.kind": solver})
    steps = list(impasto.Stylizer(recipe).run(make_picture(1), [make_picture(2)]))
    assert len(steps) == 8
    assert steps[-1].losses["style"] < steps[0].losses["style"]


def test_the_command_line_paints_through_it_and_the_record_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in ((1, "photo.png"), (2, "painting.png")):
        levels = (make_picture(seed).pixels * 255).astype(np.uint8)
        Image.fromarray(levels).save(name)
    (tmp_path / "toy.toml").write_text(
        "[encoder]\nnetwork = 'toy'\n[style.layers]\ntoy_half = 1\n"
        "[content.layers]\ntoy_quarter = 1\n[schedule]\ntotal = 2\n"
    )
    arguments = ["--recipe", "toy.toml", "--size", "32", "-o", "out.png"]
    assert main(["photo.png", "--style", "painting.png", *arguments]) == 0
    record = read_provenance(tmp_path / "out.png")
    assert record.recipe.encoder.network == "toy"
    assert record.weights is None
    assert main(["replay", "out.png", "-o", "again.png"]) == 0
    assert np.array_equal(Image.open("out.png"), Image.open("again.png"))


def test_tiles_of_its_own_cells_and_halo_give_the_whole_pictures_losses():
    inputs = make_picture(1), [make_picture(2)]
    whole = next(iter(impasto.Stylizer(make_recipe()).run(*inputs)))
    tiled = next(iter(impasto.Stylizer(make_recipe(tile=16)).run(*inputs)))
    assert tiled.tile == 16
    assert tiled.losses == pytest.approx(whole.losses, rel=1e-5)


def test_the_plan_counts_the_bytes_that_its_entry_states():
    def plan_bytes(fixed: int) -> int:
        register_encoder(replace(ENTRY, memory=replace(ENTRY.memory, fixed=fixed)))
        fitting = Fitting(make_recipe(), Hardware.resolve(), "float32", halo=8)
        return fitting.compute_needs(Layout(0), (32, 32), [make_picture(2)], Regions()).device

    assert plan_bytes(2**28) - plan_bytes(2**20) == 2**28 - 2**20


def test_the_shortest_side_is_the_one_that_its_entry_states():
    register_encoder(replace(ENTRY, shortest=24))
    engine = impasto.Stylizer(make_recipe(size=96, schedule={"total": 8, "coarsest": 16}))
    photo = impasto.Picture(np.zeros((22, 96, 3), np.float32))
    with pytest.raises(LimitError, match="96x22 px, but the network needs 24 px"):
        engine.choose_size(photo)
    plan = engine.plan(make_picture(1), [make_picture(2)])
    assert min(min(scale.width, scale.height) for scale in plan.scales) == 24


def test_layers_are_checked_when_a_recipe_is_read_and_when_an_encoder_is_loaded():
    with pytest.raises(RecipeError, match=r"no layer 'toy_third'.*toy_full"):
        make_recipe(**{"style.layers": {"toy_third": 1.0}})
    with pytest.raises(RecipeError, match=r"toy.*relu4_2.*toy_full, toy_half"):
        OptimizerEngine(make_recipe(**{"content.layers": {"relu4_2": 1.0}}))
    with pytest.raises(RecipeError, match="'vgg19', 'vgg16' or 'toy'"):
        make_recipe(**{"encoder.network": "vgg11"})
    with pytest.raises(RecipeError, match="no encoder 'vgg11'"):
        find_encoder("vgg11")


def test_a_name_of_a_layer_means_one_shape():
    other = replace(ENTRY, name="other", layers={"toy_half": LayerShape(cell=4, channels=8)})
    with pytest.raises(ValueError, match="toy_half"):
        register_encoder(other)
    assert (get_cell_size("toy_half"), count_channels("toy_half")) == (2, 8)


def test_the_schema_lists_what_is_registered():
    schema = json.dumps(impasto.Recipe.model_json_schema())
    assert '"enum": ["vgg19", "vgg16", "toy"]' in schema


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("relu4_2", "relu4_2"), ("conv4_2", "relu4_2"), ("block4_conv2", "relu4_2")],
)
def test_spellings(spelling, name):
    assert canonicalize_layer(spelling) == name


@pytest.mark.parametrize("wrong", ["relu6_1", "relu1_3", "relu0_1", "fc1", "", "relu4_2 "])
def test_unknown_layers_are_refused(wrong):
    with pytest.raises(RecipeError, match=r"no layer.*relu1_1 to relu5_4"):
        canonicalize_layer(wrong)


def test_vgg_has_five_blocks_and_its_files_are_listed_once():
    shapes = find_encoder("vgg19").layers
    assert [shapes[f"relu{block}_1"].cell for block in range(1, 6)] == [1, 2, 4, 8, 16]
    assert [shapes[f"relu{block}_1"].channels for block in range(1, 6)] == [64, 128, 256, 512, 512]
    names = [source.name for source in list_sources()]
    assert len(names) == len(set(names)) == 7
    assert load_encoder("toy", EncoderRequest(taps=("toy_full",))).cell == 1
