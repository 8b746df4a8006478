"""The network as an engine of frames: painting, restoring contrast, and whole films."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

import impasto
from clips import make_pan, write_clip
from conftest import synthetic_painting
from impasto.cli import main
from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.errors import InputError, ResourceError
from impasto.image.files.decode import read_picture
from impasto.network.network_files import write_painter
from impasto.network.painter import grain
from impasto.network.painter.model import Painter
from impasto.recipe.recipe import load_recipe
from impasto.video.clip.frames import levels_to_floats
from impasto.video.clip.reading import open_clip
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.frame_engines import make_frame_engine
from impasto.video.engines.network_frames import DOUBT
from impasto.video.film_metrics import SteadinessMeter
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.frame_memory import FrameMemory, blend_with_memory
from impasto.video.stabilize.stabilizer import Stabilizer

FRAMES = [levels_to_floats(each) for each in make_pan(3)]


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    torch.manual_seed(3)
    painter = Painter()
    with torch.no_grad():  # at first it is the identity after recoloring
        painter.to_pixels.weight.normal_(0, 0.001)
    path = tmp_path_factory.mktemp("network") / "painter.safetensors"
    write_painter(painter.state_dict(), path, {})
    return path


def make_test_engine(recipe, painting, *, frozen=False, hardware=None):
    settings = FrameSettings(0.8, freeze_statistics=frozen)
    return make_frame_engine(FrameContext(recipe, [painting], (64, 48), settings, hardware))


def load_network(network_file):
    recipe = load_recipe(str(network_file)).with_changes({"size": 64})
    return make_test_engine(recipe, read_picture(synthetic_painting()))


def test_a_frame_is_painted_like_a_photo_but_without_grain(network_file, monkeypatch):
    monkeypatch.setattr(grain, "DEVIATION", 0.0)
    engine = load_network(network_file)
    engine.begin_shot(FRAMES[0])
    dark = (FRAMES[1] * 0.5).astype(np.float32)
    for frame in (FRAMES[0], dark):  # the shot's first frame has no say in the second's statistics
        alone = impasto.stylize(
            frame, synthetic_painting(), recipe=str(network_file), size=max(frame.shape)
        )
        assert np.abs(engine.paint(frame, None) - alone.picture.pixels).max() < 2e-3


def test_frozen_statistics_are_those_of_the_shots_first_frame(network_file):
    recipe = load_recipe(str(network_file)).with_changes({"size": 64})
    painting = read_picture(synthetic_painting())
    frozen, own = (make_test_engine(recipe, painting, frozen=each) for each in (True, False))
    dark = (FRAMES[1] * 0.5).astype(np.float32)
    for engine in (frozen, own):
        engine.begin_shot(FRAMES[0])
    first, alone = frozen.paint(FRAMES[0], None), own.paint(FRAMES[0], None)
    assert np.abs(first - alone).max() < 2e-3
    alone = own.paint(dark, None)
    assert np.abs(frozen.paint(dark, None) - alone).mean() > 0.02
    frozen.begin_shot(dark)
    assert np.abs(frozen.paint(dark, None) - alone).max() < 2e-3
    with pytest.raises(InputError, match="the engine optimizer measures every frame"):
        make_test_engine(load_recipe("sketch"), painting, frozen=True)


def test_contrast_lost_by_blending_is_restored(network_file):
    engine = load_network(network_file)
    engine.begin_shot(FRAMES[0])
    result = engine.paint(FRAMES[0], None)
    blurred = cv2.GaussianBlur(result, (0, 0), 0.7)
    memory = FrameMemory(blurred, FRAMES[0], np.ones(result.shape[:2], np.float32))

    def measure_top_octave(image):
        return float((image - cv2.GaussianBlur(image, (0, 0), 1)).std())

    mixed = blend_with_memory(result, memory, 0.8, DOUBT)
    restored = engine.steady(result, memory, 0.8)
    assert measure_top_octave(mixed) < 0.8 * measure_top_octave(result)
    assert (
        1.2 * measure_top_octave(mixed)
        < measure_top_octave(restored)
        < 1.05 * measure_top_octave(result)
    )
    assert restored.mean() == pytest.approx(result.mean(), abs=2e-3)
    nothing = FrameMemory(blurred, FRAMES[0], np.zeros(result.shape[:2], np.float32))
    assert np.abs(engine.steady(result, nothing, 0.8) - result).max() < 1e-3


def test_a_film_is_steadier_than_independent_frames(network_file):
    painter = Painter()
    torch.manual_seed(1)
    with torch.no_grad():
        painter.to_pixels.weight.normal_(0, 0.02)  # strokes that jump with what is seen
    write_painter(painter.state_dict(), network_file.with_name("wild.safetensors"), {})
    recipe = load_recipe(str(network_file.with_name("wild.safetensors")))
    rng = np.random.default_rng(0)
    clip = [np.clip(f + rng.normal(0, 4, f.shape), 0, 255).astype(np.uint8) for f in make_pan(6)]
    distances = {}
    for stability in (0.0, 0.8):
        painting = read_picture(synthetic_painting())
        engine = make_test_engine(recipe.with_changes({"size": 64}), painting)
        stabilizer, meter = (
            Stabilizer(engine, DisEstimator(), stability),
            SteadinessMeter(DisEstimator()),
        )
        for frame in clip:
            meter.add_frame(
                levels_to_floats(frame),
                {"film": levels_to_floats(stabilizer.stylize_frame(frame)[1])},
            )
        distances[stability] = meter.average_results()["film"]["rmse_1"]
    assert distances[0.8] < 0.6 * distances[0.0]


def test_limits_and_strength_apply_to_films_as_to_photos(network_file):
    painting = read_picture(synthetic_painting())
    recipe = load_recipe(str(network_file))
    engine = make_test_engine(recipe.with_changes({"strength": 0}), painting)
    engine.begin_shot(FRAMES[0])
    assert np.array_equal(engine.paint(FRAMES[0], None), FRAMES[0])
    small = make_test_engine(recipe, painting, hardware=HardwareChoice(max_memory=2**20).resolve())
    with pytest.raises(ResourceError, match="memory"):
        small.begin_shot(FRAMES[0])


def test_paintings_are_encoded_once_per_shot(network_file, monkeypatch):
    recipe = load_recipe(str(network_file)).with_changes({"colors": "match"})
    engine = make_test_engine(recipe, read_picture(synthetic_painting()))
    engine.begin_shot(FRAMES[0])
    first = engine.paint(FRAMES[0], None)
    monkeypatch.setattr("impasto.engine.pixels.colors.match_colors", None)
    assert np.array_equal(engine.paint(FRAMES[0], None), first)


def test_the_network_paints_a_film(work, monkeypatch, network_file):
    monkeypatch.chdir(work)
    write_clip(work / "clip.mp4", make_pan(3))
    arguments = ["clip.mp4", "--style", "painting.png", "--recipe", str(network_file)]
    assert main(["video", *arguments, "-o", "film.mp4", "--quiet"]) == 0
    assert len(list(open_clip("film.mp4").read_frames())) == 3
