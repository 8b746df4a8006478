"""Any field of a recipe, from the command line and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from impasto import stylize
from impasto.cli import main
from impasto.errors import RecipeError
from impasto.image.files.decode import read_picture
from impasto.image.files.metadata import read_record
from impasto.recipe.fields import parse_setting
from impasto.recipe.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")

JOB = ["photo.png", "--style", "painting.png", "--recipe", "sketch", "--iterations", "6", "--quiet"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("style.scale=1.5", ("style.scale", 1.5)),
        ("style.distance=gram", ("style.distance", "gram")),
        ('start.image="a b.png"', ("start.image", "a b.png")),
        ("start.image=a=b.png", ("start.image", "a=b.png")),
        ("style.weights=[1, 2]", ("style.weights", [1, 2])),
        ("style.layers={ relu1_1 = 1 }", ("style.layers", {"relu1_1": 1})),
        ("schedule.carry = true", ("schedule.carry", True)),
        ("schedule.coarsest=none", ("schedule.coarsest", None)),
    ],
)
def test_a_setting_is_toml_or_a_bare_word(text, expected):
    assert parse_setting(text) == expected


@pytest.mark.parametrize("text", ["style.scale", "=1", "seed=", "style.weights=[1", "seed=1\nb=2"])
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(RecipeError):
        parse_setting(text)


def test_a_layer_is_added_changed_and_removed():
    before = load_recipe("standard")
    changes = {
        "style.layers.block5_conv1": 0.5,
        "style.layers.relu4_1": 2,
        "style.layers.relu1_1": 0,
    }
    layers = before.with_changes(changes).style.layers
    assert layers == {"relu2_1": 0.2, "relu3_1": 0.3, "relu4_1": 2, "relu5_1": 0.5}
    assert before.style.layers["relu1_1"] == 0.1


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("style.scal", "style.scal: no such field; did you mean style.scale"),
        ("tolerance", "did you mean schedule.tolerance?"),
        ("color.weight", "no such field"),
        ("size.x", "size.x: no such field"),
        ("style.layers.relu9_9", "no layer 'relu9_9'"),
    ],
)
def test_an_unknown_field_names_its_like(key, says):
    with pytest.raises(RecipeError, match=says):
        load_recipe("standard").with_changes({key: 1})


def test_every_layer_removed_is_refused():
    with pytest.raises(RecipeError, match=r"content\.layers"):
        load_recipe("sketch").with_changes(
            {"content.layers.relu4_2": 0, "content.layers.relu2_1": 0}
        )


def test_set_changes_the_picture_and_is_replayed():
    assert main([*JOB, "-o", "plain.png"]) == 0
    settings = ["--set", "style.layers.relu3_1=0", "--set", "content.weight=3"]
    assert main([*JOB, *settings, "-o", "set.png"]) == 0
    plain, changed = (read_picture(name).pixels for name in ("plain.png", "set.png"))
    assert np.abs(plain - changed).mean() > 0.002
    recipe = json.loads(read_record(Path("set.png")))["recipe"]
    assert "relu3_1" not in recipe["style"]["layers"]
    assert recipe["content"]["weight"] == 3
    assert main(["replay", "set.png", "--quiet"]) == 0
    assert np.array_equal(read_picture("set-replay.png").pixels, changed)
    changes = {"style.layers.relu3_1": 0, "content.weight": 3}
    result = stylize("photo.png", "painting.png", recipe="sketch", iterations=6, changes=changes)
    assert np.array_equal(np.asarray(result.image), np.rint(changed * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--set", "style.scale"], "expected KEY=VALUE"),
        (["--set", "style.scale=99"], "style.scale"),
        (["--set", "style.sclae=1"], "did you mean style.scale"),
        (["--size", "64", "--set", "size=96"], "cannot be combined"),
        (["--init", "noise", "--set", "start.noise_ratio=0.5"], "cannot be combined"),
    ],
)
def test_a_bad_setting_is_one_line(flags, says, capsys):
    assert main([*JOB, *flags]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]
