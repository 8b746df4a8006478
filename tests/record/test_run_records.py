"""Snapshots, timelapse and loss plot of made-up steps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from conftest import TESTS
from impasto.errors import InputError, ResourceError
from impasto.record.loss_plot import LossPlot
from impasto.record.snapshots import Snapshots
from impasto.record.timelapse import HOLD, LONGEST_SIDE, Timelapse
from steps import SIZES, step, two_scales


def shades(path) -> list[int]:
    """Mean gray of each frame of a GIF, repeats as often as they are shown."""
    means = []
    with Image.open(path) as film:
        for index in range(film.n_frames):
            film.seek(index)
            means += [round(np.asarray(film.convert("L")).mean())]
    return means


# --- snapshots ---------------------------------------------------------------------------------


def test_snapshots_are_a_tenth_of_the_run_apart_unless_told(tmp_path):
    for name, every, expected in (
        ("tenth", None, [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 41]),
        ("own", 20, [20, 40, 41]),
    ):
        snapshots = Snapshots(tmp_path / name, every)
        for each in two_scales(41):
            snapshots.record(each)
        names = sorted(p.name for p in (tmp_path / name).iterdir())
        assert names == [f"step-{i:05d}.png" for i in expected]
    with Image.open(tmp_path / "own" / "step-00020.png") as early:
        assert early.size == SIZES[0]
        assert early.getpixel((0, 0)) == (round(255 * 20 / 41),) * 3


def test_snapshot_names_sort_in_order_however_long_the_run(tmp_path):
    snapshots = Snapshots(tmp_path, 1)
    for iteration in (9, 999_999, 1_000_000):
        snapshots.record(step(iteration, 1_000_000, size=(16, 16), gray=0))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-0000009.png",
        "step-0999999.png",
        "step-1000000.png",
    ]


def test_a_snapshot_folder_that_cannot_be_made_is_a_resource_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot be created"):
        Snapshots(tmp_path / "file" / "folder")


# --- timelapse ---------------------------------------------------------------------------------


def test_a_gif_has_every_scale_at_the_final_size_in_order(tmp_path):
    film = Timelapse(tmp_path / "run.gif")
    for each in two_scales(10):
        film.record(each)
    film.write()
    means = shades(tmp_path / "run.gif")
    # Pillow shows equal frames as one, longer: the held last frame is one frame.
    assert means == pytest.approx([255 * i / 10 for i in range(1, 11)], abs=2)
    with Image.open(tmp_path / "run.gif") as opened:
        assert opened.size == SIZES[1]
        opened.seek(9)
        assert opened.info["duration"] >= 900


def test_an_mp4_is_h264_with_even_sides_and_a_held_last_frame(tmp_path):
    import av

    film = Timelapse(tmp_path / "run.mp4")
    for each in (step(1, 2, size=(33, 17), gray=0.2), step(2, 2, size=(65, 33), gray=0.8)):
        film.record(each)
    film.write()
    with av.open(str(tmp_path / "run.mp4")) as opened:
        video = opened.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == (66, 34)
        gray = [frame.to_ndarray(format="gray").mean() for frame in opened.decode(video=0)]
    assert len(gray) == 2 + HOLD
    assert gray[0] < 80
    assert gray[1:] == pytest.approx([0.8 * 255] * (1 + HOLD), abs=4)


def test_long_runs_are_thinned_evenly_and_end_with_the_last_step(tmp_path):
    film = Timelapse(tmp_path / "run.gif")
    for iteration in range(1, 1001):
        film.record(step(iteration, 1000, size=(16, 16), gray=iteration / 1000))
    film.write()
    means = shades(tmp_path / "run.gif")
    assert 50 <= len(means) <= 70
    assert means == sorted(means)
    assert means[-1] == 255
    assert max(np.diff(means)) <= 6


def test_a_stopped_run_ends_its_film_with_the_picture_it_left(tmp_path):
    film = Timelapse(tmp_path / "run.gif")
    for iteration in range(1, 36):  # every 17th is a frame; 35 is not
        film.record(step(iteration, 1000, size=(16, 16), gray=iteration / 40))
    film.write()
    assert shades(tmp_path / "run.gif")[-1] == pytest.approx(255 * 35 / 40, abs=2)


def test_large_pictures_are_filmed_smaller(tmp_path):
    film = Timelapse(tmp_path / "run.gif")
    film.record(step(1, 1, size=(2 * LONGEST_SIDE, 32)))
    film.write()
    with Image.open(tmp_path / "run.gif") as opened:
        assert opened.size == (LONGEST_SIDE, 16)


@pytest.mark.parametrize("name", ["run.avi", "run", "run.gif.txt"])
def test_other_films_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"\.gif or \.mp4"):
        Timelapse(tmp_path / name)


@pytest.mark.parametrize("recorder", [Timelapse, LossPlot])
def test_nothing_is_written_of_nothing(tmp_path, recorder):
    recorder(tmp_path / ("run.gif" if recorder is Timelapse else "loss.png")).write()
    assert list(tmp_path.iterdir()) == []


# --- loss plot ---------------------------------------------------------------------------------


def test_a_loss_plot_has_a_logarithmic_axis_scale_marks_and_the_terms_in_use(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda s, *a, **k: (figures.append(s), save(s, *a, **k)))
    plot = LossPlot(tmp_path / "loss.png")
    for each in two_scales(20):
        plot.record(each)
    plot.write()
    (axes,) = figures[0].axes
    assert axes.get_yscale() == "log"
    curves = {line.get_label(): line for line in axes.lines if len(line.get_xdata()) == 20}
    assert set(curves) == {"total", "content", "style"}  # smoothness is 0 all along
    assert list(curves["style"].get_ydata()) == [2.0] * 20
    assert [note.get_text() for note in axes.texts] == ["32x24", "64x48"]
    assert [note.xy[0] for note in axes.texts] == [1, 11]
    with Image.open(tmp_path / "loss.png") as image:
        assert image.width > 500


def test_a_loss_plot_leaves_no_global_state(tmp_path):
    import subprocess
    import sys

    script = (
        "import sys; sys.path[:0] = sys.argv[1:2]\n"
        "from pathlib import Path; from impasto.record.loss_plot import LossPlot\n"
        "from steps import step\n"
        "plot = LossPlot(Path(sys.argv[2])); plot.record(step(1, 1)); plot.write()\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    target = tmp_path / "loss.svg"
    command = [sys.executable, "-c", script, str(TESTS), str(target)]
    subprocess.run(command, check=True)
    assert "<svg" in target.read_text()


def test_losses_of_zero_are_drawn_without_complaint(tmp_path):
    plot = LossPlot(tmp_path / "loss.png")
    for iteration in (1, 2, 3):
        plot.record(step(iteration, 3, total=0.0, content=0.0, style=0.0))
    plot.write()
    assert (tmp_path / "loss.png").stat().st_size > 1000


@pytest.mark.parametrize(("kind", "name"), [(Timelapse, "run.gif"), (LossPlot, "loss.svg")])
def test_a_file_that_appeared_during_the_run_is_kept(kind, name, tmp_path):
    target, notices = tmp_path / name, []
    recorder = kind(target, overwrite=False, notice=notices.append)
    recorder.record(step(1, 1))
    target.write_bytes(b"somebody's")
    recorder.write()
    assert target.read_bytes() == b"somebody's"
    other = target.with_stem("run-2" if kind is Timelapse else "loss-2")
    assert other.stat().st_size > 100
    assert notices[0].endswith(f" is in {other}")


def test_a_snapshot_replaces_none_that_appeared_during_the_run(tmp_path):
    notices = []
    snapshots = Snapshots(tmp_path, 1, overwrite=False, notice=notices.append)
    (tmp_path / "step-00001.png").write_bytes(b"somebody's")
    for _ in range(2):  # the same step again, as after a fall back to tiles
        snapshots.record(step(1, 1))
    assert (tmp_path / "step-00001.png").read_bytes() == b"somebody's"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "step-00001-2.png",
        "step-00001.png",
    ]
    assert len(notices) == 1
