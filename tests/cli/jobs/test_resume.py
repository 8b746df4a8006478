"""Runs that are cut, at every kind of place, and gone on with: the same bytes as the unbroken run.

The pictures are too small for the shipped recipes' coarsest scale, so that most tests bring a
recipe whose scales begin lower.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from pathlib import Path

import pytest
from PIL import Image

from conftest import complaint
from impasto.cli import main
from impasto.image.files.metadata import read_record
from impasto.optimize import checkpoint
from runs import ITERATIONS, SCALES, killed_at, three_scales

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")


def job(*options: str) -> list[str]:
    return ["photo.png", "--style", "painting.png", "--quiet", *options]


def interrupt_at(step: int, monkeypatch) -> None:
    """Ctrl-C while a step is being made, the first time it is."""
    received = []

    def offer(self, state):
        if state.iteration == step and not received:
            received.append(step)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(checkpoint.Keeper, "offer", offer)


def test_the_recipe_of_these_tests_has_the_scales_it_claims():
    from impasto.engine.sizes import plan_scales
    from impasto.recipe.recipe import load_recipe

    three_scales()
    schedule = load_recipe("mine.toml").with_changes({"schedule.total": ITERATIONS}).schedule
    assert [(s.width, s.iterations) for s in plan_scales(schedule, 64, 48)] == SCALES


@pytest.mark.parametrize(
    ("recipe", "step"),
    [
        ("three scales", 5),  # the coarsest is done, the next not begun
        ("three scales", 9),  # done, but for the picture
        ("tf-vgg19", 4),
        ("torch-lbfgs", 4),
        ("keras-lbfgs", 9),
    ],
)
def test_resume_after_kill_9_ends_like_the_unbroken_run(recipe, step):
    flags = three_scales() if recipe == "three scales" else ["--recipe", recipe, "--size", "32"]
    run = job(*flags, "--iterations", str(ITERATIONS))
    killed_at(step, [*run, "-o", "out.png", "--checkpoint", "state"])
    assert not Path("out.png").exists()
    assert main([*run, "-o", "out.png", "--resume", "state"]) == 0
    assert main([*run, "-o", "whole.png"]) == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def test_a_run_that_ends_early_resumes_too(capsys):
    step = 20
    Path("mine.toml").write_text('base = "standard"\n[schedule]\ncoarsest = 32\ntolerance = 0.4\n')
    limit = 80
    flags = ["--recipe", "mine.toml", "--size", "64", "--iterations", str(limit)]
    run = [*job(*flags), "--until", "converged", "--json"]
    assert main([*run, "-o", "whole.png"]) == 0
    iterations = json.loads(capsys.readouterr().out)["iterations"]
    assert step < iterations < limit
    killed_at(step, [*run, "-o", "out.png", "--checkpoint", "state"])
    assert main([*run, "-o", "out.png", "--resume", "state"]) == 0
    assert json.loads(capsys.readouterr().out)["iterations"] == iterations
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


@pytest.mark.parametrize("step", [5, 6])
def test_the_advice_printed_on_ctrl_c_ends_like_the_unbroken_run(step, monkeypatch, capsys):
    run = job(*three_scales())
    assert main([*run, "-o", "whole.png"]) == 0
    command = [*run, "-o", "out.png", "--checkpoint", "state", "--loss-plot", "loss.png"]
    interrupt_at(step, monkeypatch)
    assert main(command) == 130
    message = complaint(capsys)
    assert f"stopped after {step} of {ITERATIONS} iterations" in message
    assert "the best picture so far is in out.png" in message
    with Image.open("out.png") as partial:
        assert partial.size == (64, 48)
    assert read_record(Path("out.png")) is None
    advice = re.search(r"; to continue, add (.*) to the command$", message)[1]
    assert main([*command, *shlex.split(advice)]) == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def test_without_a_checkpoint_nothing_is_said_of_going_on(monkeypatch, capsys):
    interrupt_at(2, monkeypatch)
    assert main(job(*three_scales(), "-o", "out.png")) == 130
    assert complaint(capsys).endswith("is in out.png, without its recipe")


def test_a_finished_checkpoint_gives_its_picture_again(monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    run = job(*three_scales())
    assert main([*run, "-o", "whole.png", "--checkpoint", "state"]) == 0
    assert main([*run, "-o", "again.png", "--resume", "state", "--checkpoint", "state"]) == 0
    assert Path("again.png").read_bytes() == Path("whole.png").read_bytes()


def test_a_checkpoint_of_another_run_is_refused(work, monkeypatch, capsys):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    short = ["--recipe", "sketch", "--iterations", "2", "-o", "o.png", "--force"]
    arguments = job(*short)
    assert main([*arguments, "--checkpoint", "state"]) == 0
    assert main([*arguments, "--resume", "state", "--size", "40"]) == 2
    assert "another recipe or size" in complaint(capsys)
    other = ["painting.png", "--style", "photo.png", "--quiet", *short]
    assert main([*other, "--resume", "state"]) == 2
    assert "another photo, painting or mask" in complaint(capsys)
    (work / "junk").write_bytes(b"junk" * 100)
    assert main([*arguments, "--resume", "junk"]) == 2
    assert "not an impasto checkpoint" in complaint(capsys)
    assert main([*arguments, "--resume", "none"]) == 2
    assert "none: no such checkpoint" in complaint(capsys)
