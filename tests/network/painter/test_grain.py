"""Grain, exactly, and where it goes."""

import numpy as np
import pytest
import torch

from impasto.api.stylizer import Stylizer
from impasto.image.files.decode import read_picture
from impasto.network.codes import Atelier
from impasto.network.network_files import read_painter, write_painter
from impasto.network.painter import runtime
from impasto.network.painter.grain import DEVIATION, PERIODS, SIDE, make_grain
from impasto.recipe.recipe import load_recipe
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.frame_engines import make_frame_engine


def test_a_tile_has_mean_zero_and_deviation_one_and_repeats_itself():
    tile = make_grain(SIDE, SIDE)
    assert tile.shape == (1, 1, SIDE, SIDE)
    assert abs(float(tile.mean())) < 1e-6
    assert float(tile.std(correction=0)) == pytest.approx(1, abs=1e-6)
    larger = make_grain(SIDE + 40, SIDE + 30)
    torch.testing.assert_close(larger[..., SIDE:, :30], tile[..., :40, :30], atol=0, rtol=0)
    torch.testing.assert_close(make_grain(20, 30, 500, 700), tile[..., 500:520, 700:730])


def test_its_waves_have_the_periods_asked_for_and_octaves_are_alike():
    power = torch.fft.fft2(make_grain(SIDE, SIDE)[0, 0].double()).abs().square() / SIDE**4
    across = torch.fft.fftfreq(SIDE, dtype=torch.float64)
    frequency = torch.hypot(across[:, None], across)
    inside = (frequency * PERIODS[0] <= 1) & (frequency * PERIODS[1] >= 1)
    assert float(power[~inside].sum()) < 1e-9
    lowest = [1 / 24, 1 / 12, 1 / 6]
    octaves = [float(power[(frequency >= f) & (frequency < 2 * f)].sum()) for f in lowest]
    assert octaves == pytest.approx([1 / 3] * 3, rel=0.05)


@pytest.fixture
def graded_only(network_file, tmp_path):
    """A network without strokes of its own: what it is given gets a painting's grade."""
    painter, about = read_painter(network_file)
    with torch.no_grad():
        painter.to_pixels.weight.zero_()
    write_painter(painter.state_dict(), tmp_path / "graded.safetensors", about)
    return tmp_path / "graded.safetensors"


@pytest.fixture
def loaded(graded_only):
    return runtime.Runtime.load(graded_only, torch.device("cpu"))


def code_and_photo(loaded):
    generator = torch.Generator().manual_seed(0)
    code = loaded.code(torch.rand(1, 3, 64, 64, generator=generator))
    return code, torch.full((1, 3, 48, 64), 0.4)


def test_a_flat_photo_gets_strokes_and_none_at_strength_zero(loaded):
    code, photo = code_and_photo(loaded)
    codes = code[None, None]

    def paint(amounts):
        return loaded.paint(photo, codes, grain=amounts)

    plain, none = paint(None), paint(torch.zeros(1, 1))
    torch.testing.assert_close(none, plain, atol=0, rtol=0)
    assert float(plain.std(dim=(2, 3)).mean()) < 1e-3
    assert float(paint(torch.ones(1, 1)).std(dim=(2, 3)).mean()) > DEVIATION


def test_each_place_has_the_grain_of_its_styles_strength(loaded, monkeypatch):
    code, photo = code_and_photo(loaded)
    grains = []
    paint = type(loaded.painter).forward

    def watch(self, small, *rest):
        grains.append(small - 0.4)
        return paint(self, small, *rest)

    monkeypatch.setattr(type(loaded.painter), "forward", watch)
    masks = torch.zeros(2, 48, 64)
    masks[0, :, :32], masks[1, :, 32:] = 1, 1
    amounts = torch.tensor([[1.0, 0.25]])
    loaded.paint(photo, torch.stack([code, code])[None], masks, grain=amounts)
    expected = DEVIATION * make_grain(48, 64).expand(1, 3, 48, 64).clone()
    expected[..., 32:] *= 0.25
    torch.testing.assert_close(grains[0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changes", "paintings", "masks", "expected"),
    [
        ({}, 1, 0, [1.0]),
        ({"strength": 0.5}, 1, 0, [0.5]),
        ({"style.weights": [1.0, 3.0], "style.strengths": [1.0, 0.2]}, 2, 0, [0.4]),
        ({"style.strengths": [1.0, 0.2]}, 2, 1, [1.0, 0.2]),
    ],
)
def test_it_is_as_strong_as_the_style(
    graded_only, monkeypatch, changes, paintings, masks, expected
):
    amounts, paint = [], runtime.Runtime.paint

    def watch(self, *arguments, grain=None, **named):
        amounts.append(grain)
        return paint(self, *arguments, grain=grain, **named)

    monkeypatch.setattr(runtime.Runtime, "paint", watch)
    rng = np.random.default_rng(0)
    left = np.zeros((48, 64), np.float32)
    left[:, :32] = 1
    styles = [rng.random((64, 64, 3), np.float32) for _ in range(paintings)]
    photo = rng.random((48, 64, 3), np.float32)
    recipe = load_recipe(str(graded_only)).with_changes(changes)
    engine = Stylizer(recipe, device="cpu")
    list(engine.run(photo, styles, masks=[left] * masks))
    torch.testing.assert_close(amounts[-1], torch.tensor([expected]))


def test_frames_of_films_have_none(graded_only, monkeypatch):
    frame = np.full((48, 64, 3), 0.4, np.float32)
    painting = read_picture(np.random.default_rng(0).random((64, 64, 3), np.float32))
    recipe = load_recipe(str(graded_only))
    engine = make_frame_engine(FrameContext(recipe, [painting], (64, 48), FrameSettings(0.8)))
    engine.begin_shot(frame)
    result = engine.paint(frame, None)
    assert result.std(axis=(0, 1)).max() < 1e-3
    (still,) = Stylizer(recipe, device="cpu").run(frame, [painting])
    assert still.picture().pixels.std(axis=(0, 1)).min() > DEVIATION


def test_pictures_have_it_and_those_of_a_series_have_not(graded_only):
    atelier = Atelier(str(graded_only), device="cpu")
    photo = np.full((48, 64, 3), 0.4, np.float32)
    painting = np.random.default_rng(0).random((64, 64, 3), np.float32)
    code = atelier.code(painting, size=64)
    alone, of_series = (atelier.paint(photo, [code], like=like).pixels for like in (None, photo))
    assert alone.std(axis=(0, 1)).mean() > 10 * of_series.std(axis=(0, 1)).mean()
