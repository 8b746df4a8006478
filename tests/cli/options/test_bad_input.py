"""The table of bad inputs, each row through the command line, with its exit code.

Rows are numbered as in the survey that the table comes from; those that are not here are in
test_cli.py and test_output_files.py, or concern no command line.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from hostile import ADAPTED, QUICK, REFUSED, data_of, holding, saved
from impasto.cli import main

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [row[1:] for row in REFUSED],
    ids=[f"row {row[0]}: {row[3]}" for row in REFUSED],
)
@pytest.mark.parametrize("place", ["photo", "painting"])
def test_a_bad_input_is_one_line_and_its_exit_code(place, make, code, says, monkeypatch, capsys):
    from impasto.optimize.optimizer_engine import OptimizerEngine

    def never(*_, **__):
        raise AssertionError("bad input was found too late")

    monkeypatch.setattr(OptimizerEngine, "__init__", never)
    bad = make()
    photo, painting = (bad, "painting.png") if place == "photo" else ("photo.png", bad)
    before = sorted(Path().iterdir())
    assert main([photo, "--style", painting, "-o", "o.png", *QUICK]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("impasto: error: ")
    assert says in line
    assert bad in line
    assert sorted(Path().iterdir()) == before


def test_a_damaged_tiff_is_one_line_of_ours_and_none_of_a_librarys():
    data = bytearray(data_of("TIFF"))
    (first,) = struct.unpack_from("<L", data, 4)
    struct.pack_into("<H", data, first + 2 + 2, 0xFFFF)  # the type of the first tag
    holding("odd.tif", bytes(data))
    command = [sys.executable, "-m", "impasto", "odd.tif", "--style", "painting.png"]
    process = subprocess.run(command, capture_output=True, check=False, text=True)
    assert process.returncode == 2
    assert len(process.stderr.splitlines()) == 1, process.stderr


@pytest.mark.parametrize(
    ("make", "size", "says"),
    [row[1:] for row in ADAPTED],
    ids=[f"row {row[0]}: {row[3]}" for row in ADAPTED],
)
def test_an_odd_input_is_painted_all_the_same(make, size, says, capsys):
    odd = make()
    before = Path(odd).read_bytes()
    assert main([odd, "--style", odd if odd == "grain.png" else "painting.png", *QUICK]) == 0
    messages = capsys.readouterr().err
    assert messages.count(says) == 1 if says else "error" not in messages
    (result,) = Path().glob(f"{Path(odd).stem}-*.png")
    with Image.open(result) as image:
        assert image.size == size
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert np.asarray(image).std() > 1
    assert b"php" not in result.read_bytes()
    assert Path(odd).read_bytes() == before


# --- row 25: names as long as the file system lets them be -------------------------------------

LONG = "🎨" * 58 + ".jpg"


def test_a_long_name_of_many_bytes_does_not_cost_the_run():
    saved(LONG)
    assert main([LONG, "--style", "painting.png", *QUICK]) == 0
    (result,) = set(Path().glob("🎨*.png"))
    with Image.open(result) as image:
        assert image.size == (32, 24)


def test_a_checkpoint_may_have_a_long_name(monkeypatch):
    from impasto.optimize import checkpoint

    monkeypatch.setattr(checkpoint, "EVERY_S", 0)
    state = "🎨" * 62 + ".state"
    assert main(["photo.png", "--style", "painting.png", "--checkpoint", state, *QUICK]) == 0
    assert Path(state).stat().st_size > 0
    assert not list(Path().glob(".impasto*"))


@pytest.mark.parametrize("extension", [".h5", ".pth", ".mat", ".safetensors"])
def test_weights_may_have_a_long_name(extension):
    from impasto.encoders.formats import read_parameters, write_parameters
    from impasto.encoders.weights import load_wheel_parameters

    path = Path("🎨" * 60 + extension)
    write_parameters(load_wheel_parameters(), path)
    assert read_parameters(path).network == "vgg19"
    assert len(list(Path().iterdir())) == 3
