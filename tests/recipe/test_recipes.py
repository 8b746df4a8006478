"""Recipes: validation, inheritance, and the tutorials' losses against NumPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.encoders.encoder_registry import canonicalize_layer
from impasto.encoders.weights import load_vgg
from impasto.errors import RecipeError
from impasto.objective.evaluation import list_taps
from impasto.recipe.recipe import Recipe, list_recipes, load_recipe, parse_recipe
from objectives import make_whole

TUTORIALS = ("gatys-2015", "tf-vgg19", "tf2-epochs", "torch-lbfgs", "keras-lbfgs", "noise-blend")


def test_all_are_there():
    assert {*TUTORIALS, "draft", "sketch", "standard", "best"} <= set(list_recipes())


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_survives_json_and_says_what_it_is(name):
    recipe = load_recipe(name)
    assert parse_recipe(recipe.to_json()) == recipe
    assert recipe.name == name
    assert recipe.description.endswith(".")


def numpy_features(recipe, image):
    """Features by the encoder, as NumPy: the network itself is proved against Keras's."""
    encoder = load_vgg(
        "vgg19", list_taps(recipe), pooling=recipe.encoder.pooling, padding=recipe.encoder.padding
    )
    with torch.no_grad():
        features = encoder(image)
    scale = recipe.encoder.activation_scale
    return {k: v[0].numpy().astype(np.float64) * scale for k, v in features.items()}


def numpy_style(name, f, s):
    """The tutorial's style loss of one layer [C, H, W], written from its text."""
    c = f.shape[0]
    f, s = f.reshape(c, -1), s.reshape(c, -1)
    gram, other = f @ f.T, s @ s.T
    m, n = f.shape[1], s.shape[1]
    if name in ("gatys-2015", "tf2-epochs", "noise-blend"):
        assert m == n  # the papers' sums are for paintings of the photo's size
        return ((gram - other) ** 2).sum() / (4 * c**2 * m**2)
    if name == "torch-lbfgs":
        return ((gram / (c * m) - other / (c * n)) ** 2).mean()
    return ((gram / m - other / n) ** 2).mean()


def numpy_content(name, f, p):
    """The tutorial's content loss of one layer [C, H, W], written from its text."""
    if name == "gatys-2015":
        return 0.5 * ((f - p) ** 2).sum()
    if name in ("tf2-epochs", "noise-blend"):
        return ((f - p) ** 2).sum() / (2 * f.shape[0] * f.shape[1] * f.shape[2])
    return ((f - p) ** 2).mean()


EXPECTED = {
    "gatys-2015": (1, 1e3, {"relu4_2": 1}, dict.fromkeys(("1_1", "2_1", "3_1", "4_1", "5_1"), 0.2)),
    "tf-vgg19": (
        1e3,
        1e-2,
        {"relu4_2": 1},
        dict.fromkeys(("1_1", "2_1", "3_1", "4_1", "5_1"), 0.2),
    ),
    "tf2-epochs": (1, 100, {"relu5_2": 1}, dict.fromkeys(("1_1", "2_1", "3_1", "4_1", "5_1"), 0.2)),
    "torch-lbfgs": (1, 1e6, {"relu4_2": 1}, dict.fromkeys(("1_1", "2_1", "3_1", "4_1", "5_1"), 1)),
    "keras-lbfgs": (
        1e3,
        1e-2,
        {"relu4_2": 1},
        dict.fromkeys(("1_1", "2_1", "3_1", "4_1", "5_1"), 0.2),
    ),
    "noise-blend": (
        5,
        100,
        {"relu4_2": 1},
        {"1_1": 0.5, "2_1": 1, "3_3": 1.5, "4_4": 3, "5_1": 4},
    ),
}


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorials_loss_is_its_formula(name):
    recipe = load_recipe(name)
    generator = torch.Generator().manual_seed(5)
    photo, painting, image = (torch.rand(1, 3, 32, 48, generator=generator) for _ in range(3))
    encoder = load_vgg("vgg19", list_taps(recipe), pooling=recipe.encoder.pooling)
    losses = make_whole(recipe, encoder, photo, [painting])(image).as_numbers()
    f, p, s = (numpy_features(recipe, x) for x in (image, photo, painting))
    alpha, beta, content_layers, style_layers = EXPECTED[name]
    content = alpha * sum(w * numpy_content(name, f[k], p[k]) for k, w in content_layers.items())
    style = beta * sum(
        w * numpy_style(name, f[canonicalize_layer(f"conv{k}")], s[canonicalize_layer(f"conv{k}")])
        for k, w in style_layers.items()
    )
    assert losses["content"] == pytest.approx(content, rel=1e-4)
    assert losses["style"] == pytest.approx(style, rel=1e-3)
    assert losses["total"] == pytest.approx(content + style, rel=1e-3)


def numpy_bures(f, s):
    """The style distance of one layer [C, H, W] of our own recipes, written from its text."""
    f, s = (x.reshape(x.shape[0], -1).astype(np.float64) for x in (f, s))
    covariance, target = np.cov(f, bias=True), np.cov(s, bias=True)
    values, axes = np.linalg.eigh(target)
    change = axes.T @ (covariance - target) @ axes
    stiffness = 0.5 / (values[:, None] + values[None] + 2 * values.mean())
    shift = ((f.mean(1) - s.mean(1)) ** 2).sum()
    return ((stiffness * change**2).sum() + shift) / values.sum()


def test_our_own_loss_is_its_formula():
    recipe = load_recipe("standard").with_changes({"encoder.padding": "zeros"})
    generator = torch.Generator().manual_seed(5)
    photo, painting, image = (torch.rand(1, 3, 48, 64, generator=generator) for _ in range(3))
    encoder = load_vgg("vgg19", list_taps(recipe))
    losses = make_whole(recipe, encoder, photo, [painting]).compute_losses(image)
    f, p, s = (numpy_features(recipe, x) for x in (image, photo, painting))
    content = 0.05 * sum(
        0.5 * ((f[k] - p[k]) ** 2).sum() / (p[k] ** 2).sum() for k in ("relu4_2", "relu2_1")
    )
    weights = {"relu1_1": 0.1, "relu2_1": 0.2, "relu3_1": 0.3, "relu4_1": 0.4}
    style = sum(w * numpy_bures(f[k], s[k]) for k, w in weights.items())
    assert losses["content"] == pytest.approx(content, rel=1e-3)
    assert losses["style"] == pytest.approx(style, rel=1e-3)
    for other in ("sketch", "best"):
        assert load_recipe(other).style == recipe.style


def test_the_tutorials_solvers_and_starts_are_the_described_ones():
    gatys, tf, tf2, torch_, keras, blend = (load_recipe(name) for name in TUTORIALS)
    assert gatys.encoder.pooling == "average"
    assert gatys.start.noise_ratio == 1
    assert gatys.solver.kind == "lbfgs"
    assert (tf.solver.kind, tf.solver.learning_rate) == ("adam", 5)
    assert tf.solver.decay < 1
    assert 2000 <= tf.schedule.iterations <= 4000
    assert tf.snapshot_every == 100
    assert (tf2.schedule.iterations, tf2.snapshot_every) == (2000, 100)
    assert (tf2.start.noise_ratio, tf2.start.noise_amplitude) == (0.5, 0.2)
    assert (torch_.solver.kind, torch_.solver.learning_rate) == ("lbfgs", 1)
    assert torch_.style.gram == "chw"
    assert (keras.solver.kind, keras.schedule.iterations) == ("lbfgsb", 1000)
    assert (keras.solver.decay, keras.solver.decay_every) == (0.9, 200)
    assert (blend.start.noise_ratio, blend.solver.learning_rate) == (0.7, 2)
    assert all(recipe.size == 512 for recipe in (gatys, tf, tf2, torch_, keras, blend))


def test_changes_reach_into_tables_and_are_checked():
    recipe = Recipe().with_changes({"style.scale": 2, "seed": 4})
    assert (recipe.style.scale, recipe.seed) == (2, 4)
    for key, value in (("style.scael", 1), ("nothing.here", 1), ("seed", -1), ("style.scale", "x")):
        with pytest.raises(RecipeError):
            Recipe().with_changes({key: value})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"version": 2}, "newer impasto"),
        ({"style": {"weight": -1}}, "style.weight"),
        ({"style": {"layers": {"relu9_9": 1}}}, "no layer 'relu9_9'"),
        ({"style": {"layers": {}}}, "style.layers"),
        ({"solver": {"kind": "magic"}}, "solver.kind"),
        ({"start": {"base": "image"}}, "start.image"),
        ({"size": 1e9}, "size"),
        ({"unknown": 1}, "unknown: no such field"),
    ],
)
def test_bad_recipes_name_the_field(data, says):
    with pytest.raises(RecipeError, match=says):
        parse_recipe(json.dumps(data))


def test_numbers_that_are_none_are_refused():
    for text in ('{"style": {"weight": NaN}}', '{"style": {"weight": 1e999}}', "[" * 5000, "{"):
        with pytest.raises(RecipeError):
            parse_recipe(text)


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_anything_else_is_a_recipe_error(value):
    with pytest.raises(RecipeError):
        parse_recipe(json.dumps({"style": value}) if value != {} else "[]")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('base = "mine.toml"', "is unknown; expected one of best, draft,"),
        ('base = "other.toml"', "is unknown; expected one of best, draft,"),
        ("base = 3", "is unknown; expected one of best, draft,"),
        ("x = " + "[" * 5000, "not valid TOML"),
        ("x = " + "[" * 400 + "]" * 400, "recipe 'mine'"),
        ("seed = " + "9" * 5000, "not valid TOML"),
        ("seed = " + "9" * 4000, "seed"),
        ("x = " + "{x=" * 5000, "not valid TOML"),
        ("seed = 1979-05-27", "expected numbers, text and tables"),
        ("[style.layers]\nrelu1_1 = 1\nconv1_1 = 5", "relu1_1 has two weights"),
    ],
    ids=lambda text: text[:24],
)
def test_a_bad_recipe_file_is_one_recipe_error(text, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.toml").write_text('base = "sketch"')
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RecipeError, match=says):
        load_recipe("mine.toml")


def test_numbers_too_long_to_print_are_refused_in_json():
    with pytest.raises(RecipeError, match="seed"):
        parse_recipe('{"seed": ' + "9" * 5000 + "}")
