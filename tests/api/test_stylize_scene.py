"""Scenes from the first call to the file: runs, checkpoints, colors and messages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import impasto
from conftest import complaint
from impasto.cli import main
from impasto.scene import scene_choice
from impasto.scene.scene_choice import SceneChoice, make_scene_recipe
from impasto.scene.scene_engine import SceneEngine
from splat_scenes import make_shell, write_ply, write_records

pytestmark = pytest.mark.usefixtures("narrow_encoder")
SMALL = {"views": 3, "view_size": 32}
FLAGS = ["--views", "3", "--view-size", "32", "--quality", "draft"]
SHELL = make_shell(120)


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scene_choice.SCHEDULES, "draft", ((1.0, 3),))
    monkeypatch.setitem(scene_choice.SCHEDULES, "standard", ((1.0, 2), (1.0, 4)))


@pytest.fixture
def model(in_work: Path) -> Path:
    path = in_work / "shell.ply"
    path.write_bytes(write_ply(SHELL, 1))
    return path


def run_scene(*arguments: str) -> int:
    return main(["scene", "shell.ply", "--style", "painting.png", *FLAGS, *arguments])


def test_a_scene_is_painted_and_written(model):
    steps = []
    result = impasto.stylize_scene(
        model, "painting.png", quality="draft", on_step=steps.append, **SMALL
    )
    assert [step.iteration for step in steps] == [1, 2, 3]
    assert result.losses["style"] > 0
    assert result.colors.shape == (120, 3)
    assert np.abs(result.colors - SHELL.colors).mean() > 0.05
    result.save("out.ply")
    assert len(Path("out.ply").read_bytes()) == len(model.read_bytes())
    with pytest.raises(impasto.InputError, match="input"):
        result.save(model, overwrite=True)


def test_the_same_run_gives_the_same_bytes_and_so_does_a_resumed_one(model):
    def start() -> SceneEngine:
        return SceneEngine(make_scene_recipe(), SceneChoice(quality="standard", **SMALL))

    painting = [impasto.read_picture("painting.png")]
    *_, whole = start().run(SHELL, painting)
    for stop in (1, 3):
        run = start().run(SHELL, painting, checkpoint=Path("run.ckpt"), every_s=0)
        for _ in range(stop):
            next(run)
        run.close()
        *_, rest = start().run(SHELL, painting, resume=Path("run.ckpt"))
        assert rest.iteration == whole.iteration == 6
        assert np.array_equal(rest.picture().pixels, whole.picture().pixels)
    other = SceneEngine(make_scene_recipe(), SceneChoice(views=4, view_size=32))
    with pytest.raises(impasto.InputError, match="another scene"):
        other.run(SHELL, painting, resume=Path("run.ckpt"))


@pytest.mark.parametrize("colors", ["content", "luminance", "match"])
def test_colors_of_the_scene(model, colors):
    result = impasto.stylize_scene(model, "painting.png", quality="draft", colors=colors, **SMALL)
    assert np.isfinite(result.colors).all()
    assert result.colors.min() >= 0
    assert result.colors.max() <= 1


def test_strength_0_changes_no_byte(model):
    result = impasto.stylize_scene(model, "painting.png", quality="draft", strength=0, **SMALL)
    assert result.encode() == model.read_bytes()


def test_the_command_writes_a_scene_a_sheet_and_json(model, capsys):
    code = run_scene("-o", "out.ply", "--sheet", "sheet.png", "--json")
    captured = capsys.readouterr()
    assert code == 0
    assert "120 Gaussians, 3 views of 32 px in 3 iterations: about" in captured.err
    facts = json.loads(captured.out.splitlines()[-1])
    assert facts["output"] == "out.ply"
    assert facts["gaussians"] == 120
    assert facts["iterations"] == 3
    assert impasto.read_picture("sheet.png").width > 1000
    assert Path("out.ply").stat().st_size == model.stat().st_size


def test_records_stay_records(in_work):
    Path("shell.splat").write_bytes(write_records(SHELL))
    assert main(["scene", "shell.splat", "--style", "painting.png", *FLAGS, "--quiet"]) == 0
    written = Path("shell-painting.splat").read_bytes()
    assert len(written) == 32 * 120


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("-o", "shell.ply", "--force"), 2, "is an input"),
        (("-o", "painting.png"), 2, "is an input"),
        (("-o", "."), 2, "is a folder"),
        (("-o", "out.ply", "--sheet", "sheet.xyz"), 2, "sheet.xyz"),
        (("-o", "out.ply", "--turntable", "film.xyz"), 2, "film.xyz"),
        (("-o", "out.ply", "--turntable", "film-%03d.png"), 2, "numbered"),
        (("-o", "out.ply", "--resume", "none"), 2, "no such checkpoint"),
        (("-o", "out.ply", "--style", "painting.png", "--style-weight", "1"), 2, "style weight"),
    ],
)
def test_bad_usage_is_one_line(model, capsys, arguments, code, message):
    assert run_scene(*arguments, "--quiet") == code
    assert message in complaint(capsys)


def test_too_little_memory_is_told_before_the_start(model, capsys):
    assert run_scene("-o", "out.ply", "--quiet", "--max-memory", "100MB") == 4
    assert "choose fewer --views" in complaint(capsys)


@pytest.mark.parametrize(
    "changes",
    [
        {"quality": "fast"},
        {"views": 0},
        {"view_size": 5000},
        {"view_dependent": "some"},
        {"colors": "pink"},
        {"up": (0.0, 0.0, 0.0)},
    ],
)
def test_choices_out_of_range_are_refused(changes):
    with pytest.raises(impasto.InputError):
        SceneChoice(**changes)
