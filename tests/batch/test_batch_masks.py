"""Masks of a batch: in tables and for all photos, invalid ones, and changed ones."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import synthetic_photo
from impasto.cli import main
from impasto.record.provenance import read_provenance

pytestmark = pytest.mark.usefixtures("narrow_encoder")

SHALLOW = ["style.distance=gram", "style.layers={ relu2_1 = 1 }", "content.layers={ relu2_1 = 1 }"]
QUICK = ["--size", "32", "--iterations", "2"]
QUICK += [word for each in SHALLOW for word in ("--set", each)]
STYLE = ["--style", "painting.png"]


@pytest.fixture(autouse=True)
def in_work(work, monkeypatch):
    """Make two photos and three masks in ``t``, and the painting beside it."""
    monkeypatch.chdir(work)
    Path("t").mkdir()
    for number, name in enumerate("ab"):
        Image.fromarray(np.roll(synthetic_photo(), 9 * number, axis=1)).save(f"t/{name}.png")
    for name, part in {"left": np.s_[:, :32], "top": np.s_[:20], "none": np.s_[:0]}.items():
        save_mask(f"t/{name}-m.png", part)
    return work


def save_mask(path: str, part: object) -> None:
    values = np.zeros((48, 64), np.uint8)
    values[part] = 255
    Image.fromarray(values).save(path)


def run_batch(*arguments: str, table: str | None = None) -> int:
    """Run the command in this process."""
    if table is not None:
        Path("t/t.csv").write_text(table)
        arguments = ("t/t.csv", *STYLE, *arguments)
    return main(["batch", *arguments, "-o", "out", *QUICK, "--executor", "serial", "--json"])


def read_report(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def run_single(photo: str, target: str, *more: str, style=STYLE) -> bytes:
    assert main([f"t/{photo}.png", *style, "-o", target, *QUICK, *more, "--quiet"]) == 0
    return Path(target).read_bytes()


def test_a_table_gives_each_photo_its_masks():
    """All rows share the engine; the masks of one row must not affect the next."""
    table = "photo,mask,style_mask,output\n"
    table += "a.png,left-m.png,,one\na.png,top-m.png,,two\na.png,,top-m.png,three\na.png,,,four\n"
    table += "b.png,auto:2,,five\nb.png,left-m.png,none,six\n"
    assert run_batch(table=table) == 0
    jobs = {
        "one": ["a", "--mask", "t/left-m.png"],
        "two": ["a", "--mask", "t/top-m.png"],
        "three": ["a", "--style-mask", "t/top-m.png"],
        "four": ["a"],
        "five": ["b", "--mask", "auto:2"],
        "six": ["b", "--mask", "t/left-m.png", "--style-mask", "none"],
    }
    outputs = {name: Path(f"out/{name}.png").read_bytes() for name in jobs}
    for name, (photo, *more) in jobs.items():
        assert run_single(photo, f"{name}.png", *more) == outputs[name], name
    assert len(set(outputs.values())) == len(outputs)
    assert read_provenance(Path("out/one.png")).masks[0][0] == "left-m.png"
    record = map(json.loads, Path("out/impasto-batch.jsonl").read_text().splitlines())
    named = [each["masks"][0]["name"] for each in record if "masks" in each]
    assert named == ["t/left-m.png", "t/top-m.png", "auto:2#1", "t/left-m.png"]


def test_several_masks_in_a_cell_or_a_list_and_several_paintings():
    shutil.copyfile("t/b.png", "t/other.png")
    row = {"photo": "a.png", "style": ["../painting.png", "other.png"], "output": "one"}
    rows = [{**row, "mask": "left-m.png"}, {**row, "mask": ["left-m.png", "top-m.png"]}]
    rows[1]["output"] = "two"
    Path("t/t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run_batch("t/t.jsonl") == 0
    table = "photo,style,mask\na.png,../painting.png|other.png,left-m.png|top-m.png\n"
    assert run_batch(table=table) == 0
    output = Path("out/a-painting-other.png").read_bytes()
    assert output == Path("out/two.png").read_bytes() != Path("out/one.png").read_bytes()


def test_a_mask_for_all_photos_and_another_for_one():
    Path("t/t.csv").write_text("photo,mask\na.png,\nb.png,top-m.png\n")
    assert run_batch("t/t.csv", *STYLE, "--mask", "t/left-m.png") == 0
    assert run_single("a", "a.png", "--mask", "t/left-m.png") == Path("out/a.png").read_bytes()
    assert run_single("b", "b.png", "--mask", "t/top-m.png") == Path("out/b.png").read_bytes()


@pytest.mark.parametrize("flags", [["--mask", "t/gone.png"], ["--style-mask", "t/t.csv"]])
def test_an_unreadable_mask_for_all_photos_is_reported_before_the_start(flags, no_work, capsys):
    assert run_batch(*flags, table="photo\na.png\nb.png\n") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert flags[1] in line
    assert not Path("out").exists()


def test_bad_masks_are_listed_and_do_not_stop_other_photos(capsys):
    Path("t/words-m.png").write_text("no picture")
    masks = ["gone-m.png", "none-m.png", "words-m.png", "rect:1,2", "left-m.png"]
    rows = [f"a.png,{mask!r},{place}".replace("'", '"') for place, mask in enumerate(masks)]
    table = "\n".join(["photo,mask,output", *rows])
    assert run_batch(table=table) == 1
    failed = read_report(capsys)["failed"]
    assert len(failed) == 4
    assert {each["photo"] for each in failed} == {"t/a.png"}
    for words, each in zip(
        ["gone-m.png: no such file", "is black; white", "looks like text", "X,Y,WIDTH,HEIGHT"],
        failed,
        strict=True,
    ):
        assert words in each["error"]
    save_mask("t/gone-m.png", np.s_[:, 20:])
    assert run_batch(table=table) == 1  # what can be made now is
    assert read_report(capsys)["made"] == 1
    assert Path("out/0.png").exists()


def test_a_changed_mask_is_another_picture_and_a_copied_one_is_not(capsys):
    table = "photo,mask\na.png,left-m.png\nb.png,top-m.png\n"
    assert run_batch(table=table) == 0
    before = Path("out/a.png").read_bytes()
    os.utime("t/left-m.png", (1, 1))
    Path("t/top-m.png").rename("t/same-m.png")
    capsys.readouterr()
    assert run_batch(table=table.replace("top", "same")) == 0
    assert read_report(capsys)["done_before"] == 2
    save_mask("t/left-m.png", np.s_[:, :40])
    assert run_batch(table=table.replace("top", "same")) == 1
    assert read_report(capsys)["left"] == ["out/a.png"]
    assert Path("out/a.png").read_bytes() == before
    assert run_batch("--force", table=table.replace("top", "same")) == 0
    assert read_report(capsys)["made"] == 1
    assert Path("out/a.png").read_bytes() != before


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("left-m.png|top-m.png|left-m.png,", "t.csv line 2: 3 masks but 1 painting"),
        (",top-m.png|none", "t.csv line 2: 1 painting but 2 style masks"),
        ("auto:9,", "t.csv line 2: auto:9: expected 2 to 8 regions (--mask)"),
        ("auto,top-m.png", "t.csv line 2: auto: finds all regions"),
    ],
)
def test_an_invalid_row_is_reported_with_its_line_before_the_start(cells, words, capsys, no_work):
    assert run_batch(table=f"photo,mask,style_mask\na.png,{cells}\n") == 2
    assert words in capsys.readouterr().err
    Path("t/t.jsonl").write_text(json.dumps({"photo": "a.png", "mask": {"left": 1}}))
    assert run_batch("t/t.jsonl", *STYLE) == 2
    assert "t.jsonl line 1: mask must be a path or a list of paths" in capsys.readouterr().err


def test_a_mask_counts_as_an_input(capsys):
    arguments = ["t/t.csv", *STYLE, "-o", "t", *QUICK, "--force", "--executor", "serial"]
    Path("t/t.csv").write_text("photo,mask,output\na.png,left-m.png,left-m.png\n")
    before = Path("t/left-m.png").read_bytes()
    assert main(["batch", *arguments]) == 2
    assert "left-m.png: is an input; inputs are never overwritten" in capsys.readouterr().err
    assert Path("t/left-m.png").read_bytes() == before


def test_a_mask_can_be_read_from_an_object_store(capsys):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/masks/left.png", Path("t/left-m.png").read_bytes())
    table = "photo,mask,output\na.png,memory://masks/left.png,one\na.png,memory://masks/no.png,two"
    assert run_batch(table=table) == 1
    assert "memory://masks/no.png: no such file" in read_report(capsys)["failed"][0]["error"]
    with Image.open("out/one.png") as one:
        pixels = np.asarray(one)
    run_single("a", "one.png", "--mask", "t/left-m.png")
    with Image.open("one.png") as alone:
        assert np.array_equal(pixels, np.asarray(alone))


def test_a_network_paints_photos_with_masks_one_by_one(network_file):
    weights = ["--recipe", str(network_file)]
    Path("t/t.csv").write_text("photo,mask\na.png,left-m.png\nb.png,\n")
    common = ["--size", "64", "--quiet"]
    arguments = [*STYLE, "-o", "out", *weights, *common, "--executor", "serial"]
    assert main(["batch", "t/t.csv", *arguments]) == 0
    for name, more in {"a": ["--mask", "t/left-m.png"], "b": []}.items():
        assert (
            main([f"t/{name}.png", *STYLE, "-o", "x.png", "--force", *weights, *common, *more]) == 0
        )
        alone, of_batch = (
            np.asarray(Image.open(p)).astype(int) for p in ("x.png", f"out/{name}.png")
        )
        assert np.abs(alone - of_batch).max() <= 1  # a batch's threads may add up otherwise
