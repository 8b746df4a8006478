"""The network as an engine of frames: what is frozen, and that it makes films."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clips import panning, write_clip
from conftest import synthetic_painting
from impasto.cli import main
from impasto.fast.engine import OnePass
from impasto.fast.files import write_painter
from impasto.fast.network import Painter
from impasto.media.decode import read_picture
from impasto.recipe import load_recipe
from impasto.video.clip import from_levels, open_clip
from impasto.video.network import Network

FRAMES = [from_levels(each) for each in panning(3)]


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    torch.manual_seed(3)
    painter = Painter()
    with torch.no_grad():  # at first it is the identity after recolouring
        painter.to_pixels.weight.normal_(0, 0.001)
    path = tmp_path_factory.mktemp("network") / "painter.safetensors"
    write_painter(painter.state_dict(), path, {})
    return path


def test_a_shot_is_painted_by_the_statistics_of_its_first_frame(network_file):
    recipe = load_recipe(str(network_file)).with_changes({"size": 64})
    painting = read_picture(synthetic_painting())
    engine = Network(recipe, [painting])
    engine.begin(FRAMES[0])
    made = [engine.painted(frame, None) for frame in FRAMES]
    for step in OnePass(recipe).run(FRAMES[0], painting):
        alone = step.picture().pixels
    assert np.abs(made[0] - alone).max() < 2e-3
    dark = (FRAMES[1] * 0.5).astype(np.float32)
    kept = engine.painted(dark, None)
    engine.begin(dark)
    # Its own statistics would lift it to the brightness of the painting.
    assert engine.painted(dark, None).mean() > kept.mean() + 0.05
    assert np.array_equal(engine.painted(dark, None), engine.painted(dark, None))


def test_a_film_by_the_network(work, monkeypatch, network_file):
    monkeypatch.chdir(work)
    write_clip(work / "clip.mp4", panning(3))
    arguments = ["clip.mp4", "--style", "painting.png", "--recipe", str(network_file)]
    assert main(["video", *arguments, "-o", "film.mp4", "--quiet"]) == 0
    assert len(list(open_clip("film.mp4").frames())) == 3
