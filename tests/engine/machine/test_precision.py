"""Convolutions in bfloat16, which ``auto`` comes to where a processor multiplies it natively."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.engine.cache import EngineCache
from impasto.engine.factory import make_engine
from impasto.engine.machine import hardware
from impasto.engine.machine.hardware import Hardware
from impasto.network.codes import Atelier
from impasto.network.painter.runtime import Runtime

PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
STANDARD = impasto.load_recipe("standard").with_changes(
    {"size": 64, "schedule.total": 10, "schedule.coarsest": 32}
)


@cache
def paint(precision, *, tile="auto", **how):
    recipe = STANDARD.with_changes({"precision": precision, "tile": tile})
    return list(impasto.Stylizer(recipe, device="cpu").run(PHOTO, PAINTING, **how))[-1]


def test_the_optimizer_comes_as_far():
    exact, rounded = paint("float32"), paint("bfloat16")
    assert exact.losses == pytest.approx(rounded.losses, rel=0.1)
    assert not np.array_equal(exact.picture().pixels, rounded.picture().pixels)


@pytest.mark.slow
def test_it_comes_as_far_in_tiles():
    whole, tiled = paint("bfloat16"), paint("bfloat16", tile=32)
    assert (whole.tile, tiled.tile) == (0, 32)
    assert whole.losses == pytest.approx(tiled.losses, rel=0.1)


def test_a_run_that_was_stopped_goes_on_to_the_bit(tmp_path):
    checkpoint = tmp_path / "kept.ckpt"
    recipe = STANDARD.with_changes({"precision": "bfloat16"})
    run = impasto.Stylizer(recipe, device="cpu").run(PHOTO, PAINTING, checkpoint=checkpoint)
    for _ in range(6):
        step = next(run)
    assert not step.last
    run.close()
    both = (paint("bfloat16", **how).picture().pixels for how in ({}, {"resume": checkpoint}))
    assert np.array_equal(*both)


@pytest.mark.parametrize("native", [True, False])
def test_a_network_takes_the_precision_that_is_native(native, network_file, monkeypatch):
    monkeypatch.setattr(hardware, "has_native_bfloat16", lambda _: native)
    recipe = impasto.load_recipe(str(network_file))
    engine = impasto.Stylizer(recipe, device="cpu")
    expected = "bfloat16" if native else "float32"
    assert engine.precision == engine.plan(PHOTO, [PAINTING]).precision == expected
    exact = recipe.with_changes({"precision": "float32"})
    other = impasto.Stylizer(exact, device="cpu", like=engine)
    assert other.precision == "float32"
    cast = Atelier(network_file, device="cpu")._runtime.painter.autocast
    assert cast == (torch.bfloat16 if native else None)


def test_a_network_paints_the_same_but_for_rounding():
    recipe = impasto.load_recipe("draft")
    exact, rounded = (
        next(impasto.Stylizer(recipe.with_changes({"precision": each})).run(PHOTO, [PAINTING]))
        for each in ("float32", "bfloat16")
    )
    difference = exact.picture().pixels - rounded.picture().pixels
    assert 0 < np.abs(difference).mean() < 0.003


def test_a_draft_to_start_from_is_of_its_recipes_precision(monkeypatch):
    precisions, load = [], Runtime.load
    monkeypatch.setattr(
        Runtime, "load", lambda *arguments: precisions.append(arguments[3]) or load(*arguments)
    )
    recipe, cache = STANDARD.with_changes({"start.base": "draft"}), EngineCache()
    engines = [
        make_engine(recipe.with_changes({"precision": each}), Hardware.resolve("cpu"), cache)
        for each in ("bfloat16", "float32", "bfloat16")
    ]
    assert engines[0].draft.network is engines[2].draft.network
    assert precisions == [torch.bfloat16, None]
