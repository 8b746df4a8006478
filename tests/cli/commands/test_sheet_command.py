"""``impasto sheet``: what is on it, and that each cell is what the main job would have made."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import synthetic_painting
from impasto import stylize
from impasto.cli import main
from impasto.cli.commands.sheet_command import build_parser
from impasto.cli.jobs.sheet_axes import SheetAxes
from impasto.errors import InputError, ResourceError
from impasto.optimize import optimizer_engine
from impasto.recipe.recipe import list_recipes
from impasto.record.contact_sheet import GAP, LABEL, ContactSheet

pytestmark = pytest.mark.usefixtures("narrow_encoder")

TINY = ["--size", "32", "--iterations", "2"]
CELL = (32, 24)


@pytest.fixture(autouse=True)
def in_work(work, monkeypatch):
    monkeypatch.chdir(work)
    Image.fromarray(synthetic_painting()[::-1, :, ::-1]).save(work / "second.png")


def cells(name: str, columns: int, above: int = 1) -> list[list[np.ndarray]]:
    """The pictures below the references, by row and column."""
    with Image.open(name) as image:
        sheet = np.asarray(image.convert("RGB"))
    width, height = CELL[0] + GAP, CELL[1] + LABEL + 6 + GAP
    rows = (sheet.shape[0] - GAP) // height
    assert (sheet.shape[1] - GAP) // width == columns

    def cell(row, column):
        top, left = GAP + row * height, GAP + column * width
        return sheet[top : top + CELL[1], left : left + CELL[0]]

    return [[cell(row, column) for column in range(columns)] for row in range(above, rows)]


def axes(*flags: str) -> SheetAxes:
    return SheetAxes.from_options(
        build_parser().parse_args(["photo.png", "--style", "a.png", *flags])
    )


def labels(*flags: str) -> list[str]:
    return [choice.label for choice in axes(*flags).choices]


# --- what varies -------------------------------------------------------------------------------


def test_without_a_list_it_is_one_painting_a_cell():
    assert labels("--style", "x/b.png") == ["a", "b"]
    assert [c.painting for c in axes("--style", "b.png").choices] == [0, 1]


def test_lists_and_their_products():
    assert labels("--seeds", "0,7") == ["seed 0", "seed 7"]
    assert labels("--style-scales", ".5,1") == ["scale .5", "scale 1"]
    result = axes("--strengths", "0,0.5,1", "--vary", "style.distance=gram,bures")
    assert (len(result.choices), result.columns) == (6, 2)
    assert result.choices[1].label == "strength 0, distance bures"
    assert result.choices[1].changes == {"strength": 0, "style.distance": "bures"}
    assert axes("--vary", "style.weights=[1, 0], [0, 1]").choices[1].changes == {
        "style.weights": [0, 1]
    }
    assert labels("--recipes", "sketch,best", "--seeds", "1") == ["sketch, seed 1", "best, seed 1"]
    assert len(axes("--recipes").choices) == len({*list_recipes()} - {"magenta-fast"})
    assert axes("--recipes").columns == 4
    both = axes("--styles", "--style", "b.png", "--seeds", "1,2")
    assert [c.label for c in both.choices] == ["a, seed 1", "a, seed 2", "b, seed 1", "b, seed 2"]


@pytest.mark.parametrize("paintings", [2, 3, 4])
def test_a_grid_has_the_paintings_at_its_corners(paintings):
    more = [flag for name in "bcd"[: paintings - 1] for flag in ("--style", f"{name}.png")]
    result = axes("--styles-grid", "3", *more)
    weights_of = np.array([choice.changes["style.weights"] for choice in result.choices])
    assert weights_of.shape == (3 if paintings == 2 else 9, paintings)
    assert np.allclose(weights_of.sum(1), 1)
    corners = [0, 2] if paintings == 2 else [0, 2, 6, 8]
    expected = [np.eye(paintings)[min(corner, paintings - 1)] for corner in range(len(corners))]
    assert np.allclose(weights_of[corners], expected)
    assert result.columns == 3
    if paintings == 4:
        assert np.allclose(weights_of[4], 0.25)
        assert result.choices[1].label == "A 50%  B 50%"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--vary", "seed"], "expected KEY=VALUE,VALUE"),
        (["--style-scale", "2", "--style-scales", "1,2"], "--style-scales cannot be combined"),
        (["--seeds", "1,2", "--vary", "seed=3"], "seed is varied or set twice"),
        (["--seeds", "1,2", "--set", "seed=3"], "seed is varied or set twice"),
        (["--styles-grid"], "takes 2 to 4 paintings"),
        (["--recipes", "--recipe", "sketch"], "cannot be combined"),
        (
            ["--style", "b.png", "--style-weight", "1", "--style-weight", "2"],
            "each cell has a single",
        ),
        (["--style", "b.png", "--strength", "1", "--strength", ".2"], "give one --strength"),
    ],
)
def test_contradictions_are_told(flags, says):
    with pytest.raises(InputError, match=says):
        axes(*flags)


# --- the picture -------------------------------------------------------------------------------


def test_a_sheet_places_cuts_and_keeps_apart():
    red, blue = Image.new("RGB", (80, 60), "red"), Image.new("RGBA", (40, 30), (0, 0, 255, 0))
    sheet = ContactSheet((40, 30), 2, 3, [("photo", red)])
    empty = np.asarray(sheet.image).copy()
    sheet.place(2, "a label much longer than its cell is wide", red)
    sheet.place(1, "", blue)
    changed = (np.asarray(sheet.image) != empty).any(-1)
    bottom = GAP + 2 * (30 + LABEL + 6 + GAP)
    assert (np.asarray(sheet.image)[bottom : bottom + 30, GAP : GAP + 40] == (255, 0, 0)).all()
    assert not changed[:, : GAP + 40][: bottom - 1].any()
    assert changed[bottom + 30 : bottom + 30 + LABEL + 6, GAP : GAP + 40].any()  # the label
    assert not changed[bottom:, GAP + 40 :].any()  # cut within its cell
    one = GAP + 30 + LABEL + 6 + GAP
    assert (np.asarray(sheet.image)[one : one + 30, GAP + 48 : GAP + 88] == 255).all()


# --- through the command line ------------------------------------------------------------------


def test_cells_are_what_the_main_job_makes_and_the_network_is_loaded_once(monkeypatch, capsys):
    loads = []
    load = optimizer_engine.load_encoder
    monkeypatch.setattr(
        optimizer_engine, "load_encoder", lambda *a, **k: loads.append(a) or load(*a, **k)
    )
    job = ["sheet", "photo.png", "--style", "painting.png", "--style", "second.png", *TINY]
    assert main([*job, "--styles", "--vary", "style.scale=0.5,1", "--colors", "match"]) == 0
    assert len(loads) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "impasto: 1/4 painting, scale 0.5",
        "impasto: 2/4 painting, scale 1",
        "impasto: 3/4 second, scale 0.5",
        "impasto: 4/4 second, scale 1",
        "impasto: photo-sheet.png (4 of 4 cells)",
    ]
    rows = cells("photo-sheet.png", 2, above=2)
    common = {"recipe": "sketch", "size": 32, "iterations": 2, "colors": "match"}
    for row, name in enumerate(("painting.png", "second.png")):
        for column, scale in enumerate((0.5, 1)):
            image = stylize("photo.png", name, style_scale=scale, **common).image
            assert np.array_equal(rows[row][column], np.asarray(image))


def test_a_cell_passes_the_filter_that_the_main_job_ends_with():
    job = ["sheet", "photo.png", "--style", "painting.png", *TINY, "--recipe", "photoreal"]
    assert main([*job, "--vary", "photorealism.filter=0,0.1", "-o", "out.png", "--quiet"]) == 0
    for cell, radius in zip(cells("out.png", 2)[0], (0, 0.1), strict=True):
        result = stylize(
            "photo.png",
            "painting.png",
            recipe="photoreal",
            size=32,
            iterations=2,
            changes={"photorealism.filter": radius},
        )
        assert np.array_equal(cell, np.asarray(result.image))


def test_a_grid_of_two_paintings_and_other_recipes():
    job = ["sheet", "photo.png", "--style", "painting.png", "--style", "second.png", *TINY]
    assert main([*job, "--styles-grid", "3", "-o", "grid.png", "--quiet"]) == 0
    grid = cells("grid.png", 3)[0]
    for pixels, first in zip(grid, (1, 0.5, 0), strict=True):
        result = stylize(
            "photo.png",
            ["painting.png", "second.png"],
            style_weights=[first, 1 - first],
            recipe="sketch",
            size=32,
            iterations=2,
        )
        assert np.array_equal(pixels, np.asarray(result.image))
    assert len({cell.tobytes() for cell in grid}) == 3
    assert main([*job, "--recipes", "sketch,tf-vgg19", "-o", "recipes.png", "--quiet"]) == 0
    one, other = cells("recipes.png", 2, above=2)[0]
    assert np.abs(one.astype(int) - other).mean() > 2


def test_a_cell_that_fails_is_told_and_the_others_are_there(monkeypatch, capsys):
    run = optimizer_engine.OptimizerEngine.run

    def failing(self, *args, **kwargs):
        if self.recipe.seed == 1:
            raise ResourceError("no room")
        return run(self, *args, **kwargs)

    monkeypatch.setattr(optimizer_engine.OptimizerEngine, "run", failing)
    job = ["sheet", "photo.png", "--style", "painting.png", *TINY, "-o", "out.png"]
    assert main([*job, "--seeds", "0,1,2", "--set", "start.noise_ratio=0.5"]) == 1
    messages = capsys.readouterr().err
    assert "2/3 seed 1: failed: no room" in messages
    assert "out.png (2 of 3 cells)" in messages
    first, failed, last = cells("out.png", 3)[0]
    assert len(np.unique(failed.reshape(-1, 3), axis=0)) == 1
    assert np.abs(first.astype(int) - last).mean() > 2  # seeds matter


def test_a_sheet_of_nothing_is_not_written(monkeypatch, capsys):
    def failing(*_, **__):
        raise ResourceError("no room")

    monkeypatch.setattr(optimizer_engine.OptimizerEngine, "run", failing)
    job = ["sheet", "photo.png", "--style", "painting.png", *TINY, "-o", "out.png"]
    assert main([*job, "--seeds", "0,1"]) == 4
    assert capsys.readouterr().err.count("failed: no room") == 2
    assert not Path("out.png").exists()


def test_an_interrupted_sheet_keeps_what_is_done(monkeypatch, capsys):
    run = optimizer_engine.OptimizerEngine.run

    def interrupting(self, *args, **kwargs):
        if self.recipe.seed == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(optimizer_engine.OptimizerEngine, "run", interrupting)
    job = ["sheet", "photo.png", "--style", "painting.png", *TINY, "-o", "out.png"]
    assert main([*job, "--seeds", "0,1,2"]) == 130
    assert "the sheet contains 1 of 3 cells" in capsys.readouterr().err
    first, *rest = cells("out.png", 3)[0]
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 50
    assert all(len(np.unique(each.reshape(-1, 3), axis=0)) == 1 for each in rest)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--vary", "style.sclae=1,2"], "did you mean style.scale"),
        (["--style-scales", "1,99"], "style.scale"),
        (["--recipes", "sketch,nothing"], "no recipe 'nothing'"),
        (["--print", "9cm@9dpi"], "--print applies to one picture"),
        (["-o", "photo.png", "--force"], "inputs are never replaced"),
        (["-o", "painting.xyz"], "pictures are written as"),
    ],
)
def test_a_bad_sheet_is_one_line_before_any_work(flags, says, capsys):
    assert main(["sheet", "photo.png", "--style", "painting.png", *flags]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]
