"""``--print``: size, resolution and color profile, read back from the files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

import impasto
from conftest import synthetic_photo
from impasto.cli import main
from impasto.errors import InputError, LimitError
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.picture import Metadata, Picture
from impasto.image.print_size import PrintSize

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")

JOB = ["photo.png", "--style", "painting.png", "--recipe", "sketch", "--iterations", "1"]


@pytest.mark.parametrize(
    ("text", "size", "side"),
    [
        ("60x40cm@300dpi", (3000, 2000), 7087),
        ("60x40cm@300dpi", (2000, 3000), 7087),  # the sheet is turned
        ("40x60cm@300dpi", (3000, 2000), 7087),
        ("60x40cm@300dpi", (1000, 1000), 4724),  # the shorter side of the sheet bounds it
        ("60x40cm@300dpi", (4000, 1000), 7087),
        ("60cm@300dpi", (1000, 1000), 7087),
        ("600 mm @ 300 dpi", (1000, 900), 7087),
        ("24x36IN@150dpi", (2, 3), 5400),
        ("8.5in@72.5dpi", (10, 9), 616),
    ],
)
def test_sizes_on_paper_in_pixels(text, size, side):
    assert PrintSize.parse(text).compute_longer_side(*size) == side


@pytest.mark.parametrize(
    "text", ["", "60x40cm", "60x40@300dpi", "60x40x2cm@1dpi", "-6cm@9dpi", "0cm@9dpi", "6x0cm@9dpi"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="invalid print size"):
        PrintSize.parse(text)


@pytest.mark.parametrize(
    "text", ["60x40cm@30000dpi", "60x40cm@1200dpi", "1mm@10dpi", "9" * 400 + "cm@1dpi"]
)
def test_the_limit_is_told(text):
    with pytest.raises(LimitError, match="the print size"):
        PrintSize.parse(text).compute_longer_side(1000, 750)


def resolution(path: str) -> tuple[float, float]:
    with Image.open(path) as image:
        exif = image.getexif()
        density = image.info.get("dpi", (exif.get(282), exif.get(283)))
        assert {round(float(exif.get(tag, 200))) for tag in (282, 283)} == {200}
        return tuple(float(each) for each in density)


@pytest.mark.parametrize(
    ("extension", "depth"),
    [(each, 8) for each in ("png", "jpg", "tif", "webp", "avif")] + [("png", 16), ("tif", 16)],
)
def test_the_file_says_resolution_and_profile(extension, depth):
    exif = Image.Exif()
    exif[282] = exif[283] = 72.0
    exif[315] = "A. Painter"
    metadata = Metadata(exif.tobytes())
    name = f"out.{extension}"
    pixels = synthetic_photo() / np.float32(255)
    write_picture(Picture(pixels, None, metadata), Path(name), dpi=200, depth=depth)
    with Image.open(name) as image:
        assert image.size == (64, 48)
        assert image.getexif()[315] == "A. Painter"
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert resolution(name) == pytest.approx((200, 200), abs=0.02)
    notices = []
    picture = read_picture(name, notice=notices.append)
    assert picture.metadata.depth == depth
    assert notices == []
    if name == "out.tif":
        with tifffile.TiffFile(name) as file:
            tags = file.pages.first.tags
            assert tags["XResolution"].value[0] / tags["XResolution"].value[1] == 200
            assert tags["ResolutionUnit"].value == 2


def test_the_command_line_its_replay_and_python_write_it():
    job = [*JOB, "--print", "12.19x9.9mm@100dpi", "--depth", "16", "-o", "out.png"]
    assert main([*job, "--quiet"]) == 0
    assert read_picture("out.png").metadata.depth == 16
    assert main(["replay", "out.png", "--quiet"]) == 0
    with Image.open("out.png") as image, Image.open("out-replay.png") as again:
        assert image.size == again.size == (48, 36)
        assert image.info["dpi"] == again.info["dpi"] == pytest.approx((100, 100), abs=0.02)
        assert np.array_equal(image, again)
    changes = {"dpi": 100, "size": 48}
    result = impasto.stylize(
        "photo.png", "painting.png", recipe="sketch", iterations=1, changes=changes
    )
    result.save("python.png")
    with Image.open("python.png") as image:
        assert image.info["dpi"] == pytest.approx((100, 100), abs=0.02)


def test_without_print_no_resolution_is_made_up():
    write_picture(Picture(synthetic_photo() / np.float32(255)), Path("out.jpg"))
    with Image.open("out.jpg") as image:
        assert image.info.get("jfif_unit", 0) == 0
        assert "dpi" not in image.info


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--print", "60x40cm@300dpi", "--size", "64"], 2, "--size and --print both"),
        (["--print", "60x40cm@300dpi", "--set", "size=64"], 2, "--set size and --print cannot"),
        (["--print", "90cm@2000dpi"], 3, "over the limit of 65535 px"),
        (["--print", "60x40cm@1500dpi"], 3, "over the limit of 100 megapixels"),
        (["--print", "A4"], 2, "invalid print size 'A4'"),
    ],
)
def test_a_bad_print_is_one_line(flags, code, says, capsys):
    assert main([*JOB, *flags]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]


def test_python_takes_a_size_of_paper():
    job = {"recipe": "sketch", "iterations": 2}
    result = impasto.stylize("photo.png", "painting.png", print_size="2x2cm@72dpi", **job)
    assert (result.picture.width, result.picture.height) == (57, 43)
    result.save("out.tif")
    with Image.open("out.tif") as image:
        assert image.info["dpi"] == (72, 72)
    for other in ({"size": 64}, {"changes": {"size": 64}}):
        with pytest.raises(impasto.InputError, match="`print_size` chooses size and dpi"):
            impasto.stylize("photo.png", "painting.png", print_size="2x2cm@72dpi", **other)
