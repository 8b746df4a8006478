"""Every color mode through the command line and Python."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from conftest import synthetic_painting, synthetic_photo
from impasto import stylize
from impasto.cli import main
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.files.decode import read_picture

pytestmark = pytest.mark.usefixtures("narrow_encoder")

JOB = ["photo.png", "--style", "painting.png", "--recipe", "sketch", "--iterations", "4"]


def paint(name: str, *flags: str) -> np.ndarray:
    assert main([*JOB, *flags, "-o", name, "--force", "--quiet"]) == 0
    return srgb_to_oklab(read_picture(name).pixels)


@pytest.mark.usefixtures("in_work")
def test_each_mode_has_the_colors_it_promises():
    photo = srgb_to_oklab(np.float32(synthetic_photo() / 255))
    red = (synthetic_painting() * (1.0, 0.4, 0.3)).astype(np.uint8)
    Image.fromarray(red).save("painting.png")
    modes = ("style", "content", "luminance", "match")
    job = ["--iterations", "8", "--set", "content.weight=0.01"]
    results = {mode: paint(f"{mode}.png", "--colors", mode, *job) for mode in modes}

    def off(mode):
        return np.abs(results[mode] - photo)[..., 1:].mean()

    def mean_off(mode):
        return np.abs((results[mode] - photo).mean((0, 1)))[1:].max()

    assert off("content") < 0.1 * off("style")
    assert off("luminance") < 0.02 * off("style")
    assert mean_off("match") < 0.3 * mean_off("style")
    # Lightness is painted all the same, and the modes are not each other.
    assert np.abs(results["content"] - photo)[..., 0].mean() > 0.02
    assert np.abs(results["content"] - results["style"])[..., 0].mean() < 0.01
    assert np.abs(results["luminance"] - results["style"])[..., 0].mean() > 0.004


@pytest.mark.usefixtures("in_work")
@pytest.mark.parametrize("mode", ["luminance", "match"])
def test_colors_in_tiles_snapshots_replay_and_python(mode):
    second = synthetic_painting()[::-1, :, ::-1]
    Image.fromarray(second).save("second.png")
    flags = ["--colors", mode, "--style", "second.png", "--snapshots", f"steps-{mode}"]
    whole = paint("whole.png", *flags)
    assert np.array_equal(srgb_to_oklab(read_picture(f"steps-{mode}/step-00004.png").pixels), whole)
    assert main(["replay", "whole.png", "--quiet"]) == 0
    assert np.array_equal(srgb_to_oklab(read_picture("whole-replay.png").pixels), whole)
    tiled = paint("tiled.png", *flags[:4], "--set", "tile=32")
    assert np.abs(tiled - whole).mean() < 2e-3
    paintings = ["painting.png", second]
    result = stylize("photo.png", paintings, recipe="sketch", iterations=4, colors=mode)
    assert np.array_equal(srgb_to_oklab(np.asarray(result.image) / np.float32(255)), whole)


@pytest.mark.usefixtures("in_work")
def test_colors_with_transparency_and_16_bits():
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, :20] = 0
    Image.fromarray(np.dstack([synthetic_photo(), alpha])).save("photo.png")
    for mode in ("content", "match"):
        paint("deep.png", "--colors", mode, "--depth", "16")
        result = read_picture("deep.png")
        assert result.metadata.depth == 16
        assert np.array_equal(result.alpha > 0.5, alpha > 127)
        levels = result.pixels * 65_535
        assert np.abs(levels - np.rint(levels / 257) * 257).mean() > 10  # more than 8 bits
