"""A replay is the same picture, or says why it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from conftest import complaint
from impasto.cli import main
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.files.metadata import read_record
from runs import replayed

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")

JOB = ["photo.png", "--style", "painting.png", "--iterations", "2", "--size", "32", "--quiet"]


def move(name: str, to: str) -> str:
    Path(to).parent.mkdir(exist_ok=True)
    return str(Path(name).rename(to))


def test_inputs_that_moved_and_were_renamed_give_the_same_bytes():
    assert main([*JOB, "-o", "out.png"]) == 0
    photo, style = move("photo.png", "far/p.png"), move("painting.png", "far/q.png")
    assert replayed("out.png", "--photo", photo, "--style", style)


def test_a_start_of_the_users_is_embedded_by_name_and_checked(work, capsys):
    (work / "mine").mkdir()
    start = Path("mine/start.png")
    start.write_bytes(Path("painting.png").read_bytes())
    assert main([*JOB, "-o", "out.png", "--init", str(start.absolute())]) == 0
    record = read_record(Path("out.png"))
    assert str(work) not in record
    assert json.loads(record)["start"]["name"] == "start.png"
    assert main(["replay", "out.png", "--quiet"]) == 2
    assert "--init" in complaint(capsys)
    assert replayed("out.png", "--init", str(start))
    start.write_bytes(Path("photo.png").read_bytes())
    assert main(["replay", "out.png", "--quiet", "--init", str(start)]) == 2
    assert "is not the picture that was used" in complaint(capsys)


@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
def test_metadata_kept_or_not_is_kept_or_not_again(extension):
    exif = Image.Exif()
    exif[33432] = "(c) somebody"
    with Image.open("photo.png") as image:
        image.save("rights.jpg", exif=exif)
    job = ["rights.jpg", *JOB[1:]]
    assert main([*job, "-o", f"with.{extension}"]) == 0
    assert main([*job, "-o", f"without.{extension}", "--no-metadata"]) == 0
    assert b"somebody" in Path(f"with.{extension}").read_bytes()
    assert b"somebody" not in Path(f"without.{extension}").read_bytes()
    assert replayed(f"with.{extension}")
    assert replayed(f"without.{extension}")


def test_sixteen_bits_are_sixteen_bits_again(capsys):
    assert main([*JOB, "-o", "deep.png", "--depth", "16"]) == 0
    assert replayed("deep.png")
    assert main(["replay", "deep.png", "-o", "flat.jpg", "--quiet"]) == 2
    assert "16 bits are written as PNG or TIFF" in complaint(capsys)


def test_a_photo_from_standard_input_can_be_named_later(monkeypatch, capsys):
    import io
    import sys

    data = Path("photo.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["-", *JOB[1:], "-o", "out.png"]) == 0
    assert json.loads(read_record(Path("out.png")))["photo"]["name"] == ""
    assert main(["replay", "out.png", "--quiet"]) == 2
    assert "an input without a file name" in complaint(capsys)
    assert replayed("out.png", "--photo", "photo.png")


def test_other_weights_are_noticed(capsys):
    assert main(["weights", "convert", "wheel", "own.safetensors"]) == 0
    capsys.readouterr()
    assert main([*JOB, "-o", "out.png", "--weights", "own.safetensors"]) == 0
    assert json.loads(read_record(Path("out.png")))["weights"]["name"] == "own.safetensors"
    assert main(["replay", "out.png", "--quiet"]) == 2
    assert "--weights" in complaint(capsys)
    assert replayed("out.png", "--weights", "own.safetensors")


def test_other_weights_are_noticed_in_a_picture_saved_from_python(capsys):
    import impasto

    assert main(["weights", "convert", "wheel", "own.safetensors"]) == 0
    capsys.readouterr()
    recipe = impasto.load_recipe("sketch").with_changes({"schedule.total": 2, "size": 32})
    result = impasto.stylize("photo.png", "painting.png", recipe=recipe, weights="own.safetensors")
    result.save("out.png")
    assert main(["replay", "out.png", "--quiet"]) == 2
    assert "the weights used were own.safetensors" in complaint(capsys)
    assert replayed("out.png", "--weights", "own.safetensors")


def test_the_precision_is_recorded_as_what_it_came_to():
    assert main([*JOB, "-o", "out.png"]) == 0
    recipe = json.loads(read_record(Path("out.png")))["recipe"]
    assert recipe["precision"] in ("float32", "bfloat16")


def test_changed_inputs_are_accepted_only_in_so_many_words_and_recorded_as_what_they_are(capsys):
    assert main([*JOB, "-o", "out.png"]) == 0
    Path("photo.png").write_bytes(Path("painting.png").read_bytes())
    again = ["replay", "out.png", "-o", "new.png", "--quiet"]
    assert main([*again, "--force"]) == 2  # is about the output only
    assert "--accept-changed" in complaint(capsys)
    assert main([*again, "--accept-changed"]) == 0
    assert "is not the picture that was used" in complaint(capsys)
    assert main([*again, "--accept-changed"]) == 2  # is about the inputs only
    assert "new.png: exists already" in capsys.readouterr().err
    old, new = (json.loads(read_record(Path(n))) for n in ("out.png", "new.png"))
    assert new["photo"]["sha256"] == read_picture(Path("photo.png")).compute_sha256()
    assert new["photo"]["sha256"] != old["photo"]["sha256"]


@pytest.mark.parametrize("target", ["photo.png", "painting.png", "out.png"])
def test_a_replay_never_replaces_what_it_reads(target, capsys):
    assert main([*JOB, "-o", "out.png"]) == 0
    before = Path(target).read_bytes()
    assert main(["replay", "out.png", "-o", target, "--force", "--quiet"]) == 2
    assert "inputs are never replaced" in complaint(capsys)
    assert Path(target).read_bytes() == before


def test_several_paintings_are_found_by_name_or_given_together(capsys):
    Path("second.png").write_bytes(Path("photo.png").read_bytes())
    weights = ["--style-weight", "1", "--style-weight", "3"]
    assert main([*JOB, "--style", "second.png", *weights, "-o", "out.png"]) == 0
    assert replayed("out.png")
    assert main(["replay", "out.png", "--style", "painting.png", "--quiet"]) == 2
    assert "2 paintings" in complaint(capsys)
    assert replayed("out.png", "--style", "painting.png", "--style", "second.png")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("", "damaged"),
        ("not json", "damaged"),
        ("[]", "damaged"),
        ("[" * 60_000, "damaged"),
        ('{"impasto": "1"}', "damaged"),
        ('{"impasto":"1","recipe":{},"photo":"x","paintings":[],"device":"cpu"}', "damaged"),
        ('{"impasto":"9","recipe":{"version":2},"photo":PIC,"paintings":[],"device":"cpu"}', "new"),
        (
            '{"impasto":"1","recipe":{"color":1},"photo":PIC,"paintings":[],"device":"cpu"}',
            "such",
        ),
        ('{"impasto":"1","recipe":{},"photo":PIC,"paintings":[],"device":"cpu"}', "next to"),
    ],
)
def test_a_hostile_record_is_one_line(record, says, capsys):
    named = json.dumps({"name": "../../\x1b[31m/etc/x.png", "sha256": "0"})
    text = record.replace("PIC", named)
    write_picture(read_picture(Path("photo.png")), Path("bad.png"), record=text)
    assert main(["replay", "bad.png", "--quiet"]) == 2
    line = complaint(capsys)
    assert says in line
    assert "\x1b" not in line
    assert ".." not in line


def test_a_record_cannot_point_outside_the_folder(work, capsys):
    assert main([*JOB, "-o", "out.png"]) == 0
    (work / "inner").mkdir()
    record = json.loads(read_record(Path("out.png")))
    record["photo"]["name"] = str(work / "photo.png")
    record["paintings"][0]["name"] = "../painting.png"
    write_picture(read_picture(Path("out.png")), Path("inner/out.png"), record=json.dumps(record))
    (work / "inner" / "cwd").mkdir()
    import os

    os.chdir("inner/cwd")
    assert main(["replay", "../out.png", "--quiet"]) == 2
    assert "photo.png is neither next to" in complaint(capsys)


def test_a_picture_of_a_device_that_is_not_there_is_made_on_what_is(capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert main([*JOB, "-o", "out.png"]) == 0
    record = read_record(Path("out.png")).replace('"device": "cpu"', '"device": "cuda"')
    write_picture(read_picture(Path("out.png")), Path("gpu.png"), record=record)
    assert main(["replay", "gpu.png", "--quiet", "-o", "again.png"]) == 0
    assert "made on cuda, this machine uses cpu" in complaint(capsys)
    assert json.loads(read_record(Path("again.png")))["device"] == "cpu"


def test_the_record_holds_no_time_and_no_place(work):
    for name in ("a", "b"):
        (work / name).mkdir()
        assert main([*JOB, "-o", f"{name}/out.png"]) == 0
    assert Path("a/out.png").read_bytes() == Path("b/out.png").read_bytes()
