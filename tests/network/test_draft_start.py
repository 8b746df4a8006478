"""The optimizer begins with the one-pass network's picture."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import impasto
from conftest import REPOSITORY, complaint, synthetic_painting, synthetic_photo
from impasto.cli import main
from impasto.engine.cache import EngineCache
from impasto.engine.factory import make_engine
from impasto.engine.machine.hardware import Hardware
from impasto.image.files.metadata import read_record
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.recipe.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("in_work")

JOB = ["photo.png", "--style", "painting.png", "--size", "48", "--quiet"]
EXAMPLES = REPOSITORY / "examples"
SHORT = {"size": 48, "schedule.coarsest": 48, "schedule.total": 1}


def first_loss(photo, painting, **changes):
    """The objective of what a run begins with."""
    recipe = load_recipe("standard").with_changes({**SHORT, **changes})
    return next(impasto.Stylizer(recipe, device="cpu").run(photo, [painting])).losses["total"]


def test_the_draft_is_nearer_to_the_aim_than_the_photo():
    pair = EXAMPLES / "photo.jpg", EXAMPLES / "painting.jpg"
    assert first_loss(*pair, **{"start.base": "draft"}) < 0.5 * first_loss(*pair)


def test_it_begins_with_what_quality_draft_paints():
    assert main([*JOB, "--quality", "draft", "-o", "draft.png"]) == 0
    pair = synthetic_photo(), synthetic_painting()
    by_path = first_loss(*pair, **{"start": {"base": "image", "image": "draft.png"}})
    assert first_loss(*pair, **{"start.base": "draft"}) == pytest.approx(by_path, rel=0.02)


def test_the_command_line_records_the_network_and_replays_to_the_same_bytes(work):
    few = ["--iterations", "2"]
    assert main([*JOB, *few, "--init", "draft", "-o", "out.png"]) == 0
    assert main([*JOB, *few, "-o", "plain.png"]) == 0
    assert (work / "out.png").read_bytes() != (work / "plain.png").read_bytes()
    assert json.loads(read_record(work / "out.png"))["network"]["name"] == "painter.safetensors"
    assert main(["replay", "out.png", "-o", "again.png", "--quiet"]) == 0
    assert (work / "again.png").read_bytes() == (work / "out.png").read_bytes()


def test_where_the_photo_is_kept_the_draft_is_not_seen():
    half = np.zeros((48, 64), np.uint8)
    half[:, :32] = 255
    Image.fromarray(half).save("left.png")
    recipe = load_recipe("standard").with_changes({**SHORT, "start.base": "draft"})
    photo = impasto.read_picture(synthetic_photo())
    engine = impasto.Stylizer(recipe, device="cpu")
    (step,) = engine.run(photo, ["painting.png"], masks=["left.png"])
    small = photo.resize(48, 36).pixels
    moved = np.abs(step.picture().pixels - small).mean((0, 2))
    assert moved[:16].min() > 10 * moved[-16:].max()


def test_an_optimizer_without_a_network_refuses_to_begin_with_a_draft(capsys):
    with pytest.raises(impasto.RecipeError, match="draft"):
        OptimizerEngine(load_recipe("standard").with_changes({"start.base": "draft"}))
    assert main([*JOB, "--init", "sketchy.png", "-o", "out.png"]) == 2
    assert "sketchy.png" in complaint(capsys)


def test_engines_with_one_cache_share_their_networks():
    recipe = load_recipe("standard").with_changes({**SHORT, "start.base": "draft"})
    hardware, cache = Hardware.resolve("cpu"), EngineCache()
    first = make_engine(recipe, hardware, cache)
    second = make_engine(recipe.with_changes({"strength": 0.5}), hardware, cache)
    assert second.draft.network is first.draft.network
    assert second.extractor.encoder is first.extractor.encoder
    assert first.draft is not second.draft
