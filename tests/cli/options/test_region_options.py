"""Strength and masks through the real command line, replays and resumed runs included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import complaint, synthetic_painting
from impasto.cli import main
from impasto.encoders.vgg_entries import VGG_MEMORY
from impasto.engine.regions import Regions
from impasto.image.files import reading_cost
from impasto.image.files.decode import read_picture
from impasto.image.files.metadata import read_record
from impasto.optimize.budget import fitting
from impasto.optimize.budget.memory import MATTING_BYTES, Demand, Layout
from runs import killed_at, replayed

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")

JOB = ["photo.png", "--style", "painting.png", "--iterations", "3", "--size", "32", "--quiet"]
JOB += ["--recipe", "sketch"]


def mask(name: str, left: int = 0, right: int = 32) -> str:
    """A file, white between two columns of 64."""
    values = np.zeros((48, 64), np.uint8)
    values[:, left:right] = 255
    Image.fromarray(values).save(name)
    return name


def second_painting() -> str:
    Image.fromarray(255 - synthetic_painting()).save("second.png")
    return "second.png"


def pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(name).convert("RGB")).astype(int)


def test_strength_0_is_the_photo_and_half_is_between():
    assert main([*JOB, "-o", "0.png", "--strength", "0", "--init", "noise"]) == 0
    assert main([*JOB, "-o", "5.png", "--strength", "0.5"]) == 0
    assert main([*JOB, "-o", "1.png"]) == 0
    photo = np.asarray(read_picture("photo.png").resize(32, 24).to_pil())
    half, full = (np.abs(pixels(f"{x}.png") - pixels("0.png")).mean() for x in (5, 1))
    assert np.array_equal(pixels("0.png"), photo)
    assert 0 < half < full
    assert replayed("5.png")


def test_masks_with_strengths_are_kept_recorded_and_replayed(work, capsys):
    job = [*JOB, "--style", second_painting(), "--strength", "1", "--strength", "0.4"]
    job += ["--mask", mask("m.png"), "--style-mask", mask("p.png", 20, 60), "--style-mask", "none"]
    assert main([*job, "-o", "out.png"]) == 0
    record = json.loads(read_record(Path("out.png")))
    assert [each["name"] for each in record["masks"]] == ["m.png"]
    assert [each and each["name"] for each in record["style_masks"]] == ["p.png", None]
    assert record["recipe"]["style"]["strengths"] == [1, 0.4]
    assert replayed("out.png")
    Path("far").mkdir()
    Path("m.png").rename("far/m.png")
    assert main(["replay", "out.png", "--quiet"]) == 2
    assert "give its path with --mask" in complaint(capsys)
    assert replayed("out.png", "--mask", "far/m.png")
    assert main(["replay", "out.png", "--quiet", "--mask", mask("other.png", 0, 40)]) == 2
    assert "is not the mask that was used" in complaint(capsys)
    assert main(["replay", "out.png", "--quiet", "--mask", "far/m.png", "--mask", "p.png"]) == 2
    assert "the picture has 1 mask; give --mask for each" in complaint(capsys)


def test_a_mask_and_a_part_of_the_painting_change_the_picture_as_they_should():
    assert main([*JOB, "-o", "plain.png"]) == 0
    assert main([*JOB, "-o", "masked.png", "--mask", mask("m.png")]) == 0
    assert main([*JOB, "-o", "part.png", "--style-mask", mask("p.png", 0, 10)]) == 0
    assert main([*JOB, "-o", "photo32.png", "--strength", "0"]) == 0
    assert (pixels("masked.png") == pixels("photo32.png"))[:, 20:].all()
    assert (pixels("masked.png") != pixels("photo32.png"))[:, :12].any()
    assert (pixels("part.png") != pixels("plain.png")).any()


@pytest.mark.parametrize("step", [1, 4])
def test_a_killed_run_with_masks_goes_on_to_the_same_bytes(step, capsys):
    job = [*JOB, "--iterations", "6", "--size", "64", "--mask", mask("m.png"), "--init", "noise"]
    assert main([*job, "-o", "whole.png"]) == 0
    killed_at(step, [*job, "-o", "cut.png", "--checkpoint", "state"])
    other = [*job, "-o", "cut.png", "--resume", "state"]
    other[other.index("m.png")] = mask("other.png", 5, 40)
    assert main(other) == 2
    assert "another photo, painting or mask" in complaint(capsys)
    assert main([*job, "-o", "cut.png", "--resume", "state"]) == 0
    assert Path("cut.png").read_bytes() == Path("whole.png").read_bytes()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--mask", "black.png"], "black.png: is black; white"),
        (["--mask", "nowhere.png"], "nowhere.png: no such file"),
        (["--mask", "m.png", "--mask", "m.png"], "2 masks but 1 painting"),
        (["--style-mask", "m.png", "--style-mask", "m.png"], "1 painting but 2 style masks"),
        (["--strength", "1", "--strength", "0.5"], "1 painting but 2 style strengths"),
        (["--mask", "-"], "only the photo can come from standard input"),
        (["--mask", "m.png", "--force", "-o", "m.png"], "inputs are never replaced"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(flags, words, capsys):
    mask("m.png")
    mask("black.png", 0, 0)
    assert main([*JOB, "-o", "out.png", *flags]) == 2
    assert words in complaint(capsys)
    assert not Path("out.png").exists()


def test_a_plan_counts_masks():
    demand = Demand((640, 480), ((600, 500),), 80, "float32", 10, 1.5, VGG_MEMORY)
    masked = Demand((640, 480), ((600, 500),), 80, "float32", 10, 1.5, VGG_MEMORY, regions=3)
    for layout in (Layout(0), Layout(256), Layout(256, "disk")):
        assert masked.compute_needs(layout).device > demand.compute_needs(layout).device
    assert Regions().image_count == 0


def test_the_plan_command_counts_masks_and_what_else_a_run_looks_at(capsys, monkeypatch):
    monkeypatch.setattr(fitting, "measure_taken_memory", lambda _: 0)
    monkeypatch.setattr(reading_cost, "measure_resident", lambda: 0)

    def needed(*flags: str) -> int:
        assert main(["plan", *JOB, "--json", *flags]) == 0
        return json.loads(capsys.readouterr().out)["bytes_needed"]

    plain = needed()
    assert needed("--mask", mask("m.png")) > plain
    assert needed("--style-mask", "m.png") > plain
    assert needed("--colors", "luminance") > needed("--colors", "match") > plain
    assert needed("--set", "photorealism.weight=10") > plain + MATTING_BYTES * 32 * 24
    assert main(["plan", *JOB, "--json", "--mask", mask("black.png", 0, 0)]) == 2


def test_sheets_know_strengths_and_masks(capsys):
    job = ["sheet", "photo.png", "--style", "painting.png", "--iterations", "3", "--size", "32"]
    job += ["--quiet", "--strengths", "0,1"]
    assert main([*job, "-o", "plain.png"]) == 0
    assert main([*job, "-o", "masked.png", "--mask", mask("m.png")]) == 0
    assert (pixels("plain.png") != pixels("masked.png")).any()
    assert main([*job, "-o", "m.png", "--force", "--mask", "m.png"]) == 2
    assert "inputs are never replaced" in complaint(capsys)
