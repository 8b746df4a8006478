"""Film metrics: known flicker on known motion, lower bounds, cuts, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clips import make_pan, write_clip
from impasto.cli import main
from impasto.image.files.decode import read_picture
from impasto.video.clip.frames import levels_to_floats
from impasto.video.film_metrics import (
    FilmStyleMeter,
    SteadinessMeter,
    mask_consistent_motion,
    measure_warped_rmse,
)
from impasto.video.stabilize.flow import DisEstimator

CLIP = [levels_to_floats(each) for each in make_pan(12)]


class PanFlow:
    """Gives the flow of ``make_pan``, 2 px to the left per frame."""

    def estimate_flow(self, frame, other):
        index, before = (self._index(each) for each in (frame, other))
        flow = np.zeros((*frame.shape[:2], 2), np.float32)
        flow[..., 0] = 2 * (index - before)
        return flow

    def _index(self, frame):
        return next(i for i, each in enumerate(CLIP) if np.array_equal(each, frame))


def measure_films(films):
    steady = SteadinessMeter(PanFlow())
    for index, source in enumerate(CLIP):
        steady.add_frame(source, {name: film[index] for name, film in films.items()})
    return steady


def test_noise_is_measured_at_its_true_size():
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 0.05, f.shape).astype(np.float32) for f in CLIP]
    noisy = [f + n for f, n in zip(CLIP, noise, strict=True)]
    gray = [np.full_like(f, 0.5) for f in CLIP]
    results = measure_films({"noisy": noisy, "same": CLIP, "gray": gray}).average_results()
    for distance in ("rmse_1", "rmse_10"):
        # Noise of two frames, independent; whole pixels blur nothing.
        assert results["noisy"][distance] == pytest.approx(0.05 * 2**0.5, rel=0.05)
        assert results["same"][distance] == results["source"][distance] < 0.003  # 8 bits
        assert results["gray"][distance] == 0


def test_slow_changes_of_brightness_show_at_large_distances():
    slow = [f + np.float32(0.02 * i) for i, f in enumerate(CLIP)]
    results = measure_films({"slow": slow}).average_results()["slow"]
    assert results["rmse_1"] == pytest.approx(0.02, rel=0.05)
    assert results["rmse_10"] == pytest.approx(0.2, rel=0.05)


def test_pixels_that_leave_the_frame_are_ignored():
    there = PanFlow().estimate_flow(CLIP[10], CLIP[0])
    sure = mask_consistent_motion(there, -there)
    assert sure.mean() == pytest.approx((64 - 20) / 64, abs=0.02)
    assert measure_films({}).average_shares()["share_10"] == pytest.approx(sure.mean(), abs=0.01)
    other = CLIP[0].copy()
    other[:, :20] = 0  # comes from there, but is not in the frame any more
    assert measure_warped_rmse(CLIP[10], other, there, sure) < 0.003


def test_nothing_is_compared_across_a_cut():
    dark = [(f[::-1, ::-1] * 0.2).astype(np.float32) for f in CLIP[:2]]
    steady = SteadinessMeter(DisEstimator(), (1,))
    for source in (*CLIP[:2], *dark):
        steady.add_frame(source, {"film": source})
    assert steady.average_results()["film"]["rmse_1"] < 0.02


@pytest.fixture
def films(work, monkeypatch):
    monkeypatch.chdir(work)
    frames = make_pan(12)
    write_clip(Path("clip.mp4"), frames)
    rng = np.random.default_rng(1)
    noisy = [np.clip(f + rng.normal(0, 20, f.shape), 0, 255).astype(np.uint8) for f in frames]
    write_clip(Path("noisy.mp4"), noisy)
    write_clip(Path("gray.mp4"), [np.full_like(f, 120) for f in frames])


@pytest.mark.slow
def test_the_command_ranks_films_and_plots_them(films, capsys):
    command = ["compare", "--video", "clip.mp4", "painting.png", "noisy.mp4", "gray.mp4"]
    assert main([*command, "--json", "--plot", "plot.png"]) == 0
    report = json.loads(capsys.readouterr().out)
    still = {name: values["rmse_1"] for name, values in report["films"].items()}
    assert still["gray.mp4"] < report["source"]["rmse_1"] < still["noisy.mp4"] / 10
    assert set(report["films"]["noisy.mp4"]) >= {"rmse_10", "style_gram", "content_ssim"}
    assert 0.5 < report["compared"]["share_1"] <= 1
    with Image.open("plot.png") as plot:
        assert plot.width > 500
    assert main(command[:-2] + command[-1:]) == 0
    table = capsys.readouterr().out
    assert "rmse_1" in table
    assert "source: rmse_1" in table


def test_a_clip_shorter_than_its_header_says_is_still_measured(work):
    meter = FilmStyleMeter(read_picture(work / "painting.png"), 16)
    frame = make_pan(1)[0].astype(np.float32) / 255
    meter.add_frame(frame, {"film": frame})
    results = meter.average_results()["film"]
    assert results["content_ssim"] == pytest.approx(1)
    assert results["style_gram"] > 0


def test_films_that_cannot_be_compared_are_reported_in_one_line(films, capsys):
    write_clip(Path("short.mp4"), make_pan(3))
    write_clip(Path("small.mp4"), [f[:32] for f in make_pan(12)])
    for arguments, words in (
        (["short.mp4"], "short.mp4: has fewer frames than the clip clip.mp4"),
        (["clip.mp4", "small.mp4"], "has 64x32 px and the first film 64x48"),
        (["clip.mp4", "--plot", "plot.gif"], "a plot is written as .png or .svg"),
    ):
        assert main(["compare", "--video", "clip.mp4", "painting.png", *arguments]) == 2
        assert words in capsys.readouterr().err
    assert main(["compare", "--video", "painting.png", "painting.png", "clip.mp4"]) == 2
    assert "has more frames than the clip painting.png" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", "clip.mp4", "painting.png", "clip.mp4", "--plot", "plot.png"])
