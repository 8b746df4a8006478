"""``impasto video`` through the real command line: films of six frames, kills, stops, bad input."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

import forks
from clips import make_pan, write_clip, write_sound
from impasto.cli import main
from impasto.video.clip.reading import open_clip
from impasto.video.film_metrics import SteadinessMeter
from impasto.video.stabilize.flow import DisEstimator
from processes import running

pytestmark = pytest.mark.usefixtures("narrow_encoder")

QUICK = ["--style", "painting.png", "--recipe", "sketch", "--iterations", "4", "--later", "2"]
QUICK += ["--quiet"]
FRAMES = make_pan(6)


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_clip(work, monkeypatch):
    monkeypatch.chdir(work)
    write_clip(work / "clip.mp4", FRAMES, sound=True)


def frames_of(path):
    return [frame.load() for frame in open_clip(path).read_frames()]


def command(*arguments):
    return [sys.executable, "-m", "impasto", "video", *arguments]


def test_a_film_keeps_time_size_and_sound_and_leaves_nothing_behind(capsys):
    before = {each.name for each in Path().iterdir()}
    assert main(["video", "clip.mp4", *QUICK, "-o", "film.mp4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], report["width"], report["height"]) == (6, 64, 48)
    clip, film = open_clip("clip.mp4"), open_clip("film.mp4")
    assert (film.format.width, film.format.height, film.format.rate) == (64, 48, 12)
    assert [f.time for f in film.read_frames()] == [f.time for f in clip.read_frames()]
    assert film.sound is not None
    frames = frames_of("film.mp4")
    assert all(np.abs(a.astype(int) - b).mean() > 4 for a, b in zip(frames, FRAMES, strict=True))
    assert {each.name for each in Path().iterdir()} - before == {"film.mp4"}
    with av.open("film.mp4") as container:
        assert json.loads(container.metadata["comment"])["recipe"]["name"] == "sketch"


def rmse(path, count=6):
    meter = SteadinessMeter(DisEstimator())
    for source, frame in zip(FRAMES[:count], frames_of(path), strict=True):
        meter.add_frame(source.astype(np.float32) / 255, {"film": frame.astype(np.float32) / 255})
    return meter.average_results()["film"]["rmse_1"]


def test_stability_holds_frames_still():
    distances = []
    for stability in ("0", "0.9"):
        target = f"s{stability}/%d.png"
        Path(target).parent.mkdir()
        more = ["--iterations", "16", "--later", "3", "--range", "0-0.25", "-o", target]
        assert main(["video", "clip.mp4", *QUICK, "--stability", stability, *more]) == 0
        distances.append(rmse(target, 3))
    assert distances[1] < 0.6 * distances[0]


DYING = """
import os, signal, sys
from impasto.video.job import frame_store
write, calls = frame_store.write_atomically, []
def dying(target, data):
    calls.append(target)
    if len(calls) == limit:
        os.kill(os.getpid(), signal.SIGKILL)
    write(target, data)
limit, frame_store.write_atomically = int(sys.argv.pop(1)), dying
from impasto.cli import main
main(sys.argv[1:])
"""


def test_a_film_killed_twice_is_the_film_that_was_not():
    for folder in ("a", "b"):
        Path(folder).mkdir()
    arguments = ["video", "clip.mp4", *QUICK, "--colors", "content", "-o"]
    assert main([*arguments, "a/%d.png"]) == 0
    for writes in ("5", "4"):  # a frame is two files here: in the midst of one, and between two
        killed = [sys.executable, "-c", DYING, writes, *arguments, "b/%d.png"]
        assert forks.run(killed).returncode == -signal.SIGKILL
    assert len(list(Path("b/0.png.frames").glob("*[0-9].png"))) in (2, 3)
    assert main([*arguments, "b/%d.png"]) == 0
    for index in range(1, 7):
        assert Path(f"a/{index}.png").read_bytes() == Path(f"b/{index}.png").read_bytes()


def test_a_stopped_film_has_what_is_done_and_goes_on():
    arguments = ["clip.mp4", *QUICK, "-o", "film.mp4"]
    with running(command(*arguments), stderr=subprocess.PIPE, text=True) as process:
        while not Path("film.mp4.frames/00000002.png").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate()
    assert process.returncode == 130
    assert "film.mp4 contains them; the same command continues" in messages
    part = len(frames_of("film.mp4"))
    assert 3 <= part < 6
    assert main(["video", *arguments]) == 0
    assert len(frames_of("film.mp4")) == 6
    assert not Path("film.mp4.frames").exists()


def test_another_jobs_frames_are_not_mixed_in(capsys):
    folder = ["--work", "frames", "--range", "0-0.2"]
    assert main(["video", "clip.mp4", *QUICK, *folder, "-o", "a.mp4"]) == 0
    assert sorted(each.name for each in Path("frames").iterdir())[:2] == [
        "00000000.png",
        "00000001.png",
    ]
    other = ["video", "clip.mp4", *QUICK, *folder, "--stability", "0.1", "-o", "b.mp4"]
    assert main(other) == 2
    assert "another film (the stability differs); --restart" in capsys.readouterr().err
    assert main([*other, "--restart"]) == 0
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear")
    assert main(["video", "clip.mp4", *QUICK, "--work", "mine", "-o", "c.mp4"]) == 2
    assert Path("mine/letter.txt").exists()


def killed_after(frames, arguments, **more):
    """Kill a job once so many frames are done."""
    writes = str(frames + 2)  # of the job itself, one of each frame; in the midst of the next
    code = [sys.executable, "-c", DYING, writes, "video", *arguments]
    assert forks.run(code, **more).returncode == -signal.SIGKILL


def test_a_pipe_does_not_go_on_with_another_clip(monkeypatch, capsys):
    raw = ["-", "--raw", "64x48@12", *QUICK, "-o", "film.mkv"]
    clips = [b"".join(f.tobytes() for f in frames) for frames in (FRAMES[:4], make_pan(4, step=3))]
    killed_after(2, raw, input=clips[0])
    for data, code in ((clips[1], 2), (clips[0], 0)):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        assert main(["video", *raw]) == code
        messages = capsys.readouterr().err
        assert ("holds the frames of another clip (frame" in messages) == (code == 2)
    assert len(frames_of("film.mkv")) == 4


def test_another_rate_is_another_job(capsys):
    Path("in").mkdir()
    for index, frame in enumerate(FRAMES[:3]):
        Image.fromarray(frame).save(f"in/{index}.png")
    arguments = ["in/%d.png", *QUICK, "-o", "film.mp4", "--fps"]
    killed_after(1, [*arguments, "12"])
    assert main(["video", *arguments, "6"]) == 2
    assert "another film (the rate differs)" in capsys.readouterr().err


def test_films_of_another_stabilizer_are_not_gone_on_with(monkeypatch, capsys):
    arguments = ["clip.mp4", *QUICK, "--range", "0-0.3", "-o", "film.mkv"]
    killed_after(1, arguments)
    monkeypatch.setattr("impasto.cli.jobs.film_request.STABILIZER_VERSION", 1)
    assert main(["video", *arguments]) == 2
    assert "another film (the version differs)" in capsys.readouterr().err


def test_nothing_is_kept_of_a_pipe_to_a_pipe(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = b"".join(frame.tobytes() for frame in FRAMES[:3])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    counts = []

    class Sink(io.BytesIO):
        def flush(self):
            counts.append(len(list(tmp_path.glob("*/*.png"))))

    quiet = SimpleNamespace(buffer=Sink(), isatty=lambda: False, flush=lambda: None)
    monkeypatch.setattr(sys, "stdout", quiet)
    assert main(["video", "-", "--raw", "64x48@24", *QUICK, "-o", "-"]) == 0
    assert counts == [1, 1, 1]


def test_a_stopped_pipe_promises_nothing(monkeypatch, capsys):
    data = b"".join(frame.tobytes() for frame in FRAMES[:3])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    class Sink(io.BytesIO):
        def flush(self):
            signal.raise_signal(signal.SIGINT)

    quiet = SimpleNamespace(buffer=Sink(), isatty=lambda: False, flush=lambda: None)
    monkeypatch.setattr(sys, "stdout", quiet)
    arguments = [each for each in QUICK if each != "--quiet"]
    assert main(["video", "-", "--raw", "64x48@24", *arguments, "-o", "-"]) == 130
    messages = capsys.readouterr().err
    assert "stopped after 1 frame\n" in messages
    assert "continues" not in messages
    assert "kept" not in messages


def test_range_and_every(capsys):
    assert main(["video", "clip.mp4", *QUICK, "--range", "0.1-0.45", "-o", "part.mkv"]) == 0
    part = open_clip("part.mkv")
    assert [float(f.time) for f in part.read_frames()] == pytest.approx(
        [0, 1 / 12, 2 / 12, 3 / 12], abs=1e-3
    )
    assert part.sound is not None
    assert main(["video", "clip.mp4", *QUICK, "--every", "3", "-o", "few.gif"]) == 0
    assert [float(f.time) for f in open_clip("few.gif").read_frames()] == [0, 0.25]
    assert main(["video", "clip.mp4", *QUICK, "--range", "9-", "-o", "none.mp4"]) == 2
    assert "no frame at 9 s or later" in capsys.readouterr().err


def test_a_preview_is_a_sheet_and_a_short_film():
    arguments = ["--range", "0-0.25", "--preview", "-o", "film.mp4"]
    assert main(["video", "clip.mp4", *QUICK, *arguments]) == 0
    assert not Path("film.mp4").exists()
    assert len(frames_of("film-preview.mp4")) == 3
    with Image.open("film-preview.png") as sheet:
        assert sheet.width > 3 * 64


def test_a_preview_that_was_killed_goes_on_with_its_sheet(capsys):
    arguments = ["clip.mp4", *QUICK, "--range", "0-0.25", "--preview", "-o", "film.mp4"]
    killed_after(2, arguments)  # of which one is the sheet's note
    sheet = Path("film-preview.png").stat()
    assert main(["video", *arguments]) == 0
    assert Path("film-preview.png").stat().st_mtime_ns == sheet.st_mtime_ns
    assert len(frames_of("film-preview.mp4")) == 3
    assert main(["video", *arguments]) == 2
    assert "exists already" in capsys.readouterr().err


def test_odd_sides_are_cut_and_told(capsys):
    write_clip(Path("odd.mkv"), [f[:47, :63] for f in FRAMES[:2]], codec="ffv1", pix_fmt="bgr0")
    arguments = [each for each in QUICK if each != "--quiet"]
    assert main(["video", "odd.mkv", *arguments, "-o", "film.mp4"]) == 0
    assert "cropped from 63x47 to 62x46 px" in capsys.readouterr().err
    assert frames_of("film.mp4")[0].shape == (46, 62, 3)
    assert main(["video", "odd.mkv", *QUICK, "-o", "film.gif"]) == 0
    assert frames_of("film.gif")[0].shape == (47, 63, 3)


def test_raw_frames_from_pipe_to_pipe():
    data = b"".join(frame.tobytes() for frame in FRAMES[:3])
    arguments = command("-", "--raw", "64x48@24", *QUICK, "-o", "-")
    process = forks.run(arguments, input=data, capture_output=True, check=True)
    assert len(process.stdout) == len(data)
    frames = np.frombuffer(process.stdout, np.uint8).reshape(3, 48, 64, 3)
    assert np.abs(frames[0].astype(int) - FRAMES[0]).mean() > 4
    assert not process.stderr


def test_an_encoded_pipe(monkeypatch):
    data = write_clip(Path("clip.mkv"), FRAMES[:2]).read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert main(["video", "-", *QUICK, "-o", "film.mkv"]) == 0
    assert len(frames_of("film.mkv")) == 2


def test_a_second_pass_is_what_the_film_is_made_of(capsys):
    twice = [*QUICK, "--range", "0-0.15", "--passes", "2"]
    assert main(["video", "clip.mp4", *twice, "--work", "work", "-o", "film/%d.png"]) == 2
    Path("film").mkdir()
    assert main(["video", "clip.mp4", *twice, "--work", "work", "-o", "film/%d.png"]) == 0
    for index, frame in enumerate(frames_of("film/%d.png")):
        with Image.open(f"work/0000000{index}-again.png") as again:
            assert np.array_equal(np.asarray(again), frame)
        with Image.open(f"work/0000000{index}.png") as once:
            assert not np.array_equal(np.asarray(once), frame)
    assert main(["video", "clip.mp4", *QUICK, "--passes", "2", "-o", "-"]) == 2
    assert "--passes 2 requires --stability above 0" in capsys.readouterr().err


def test_a_cut_begins_a_shot_that_owes_nothing_to_the_last():
    other = [(255 - np.rot90(f, 2)[::-1] // 2).astype(np.uint8) for f in make_pan(2, step=1)]
    dark = [(f // 6).astype(np.uint8) for f in other]
    for name, frames in (("cut", [*FRAMES[:2], *dark]), ("second", dark)):
        Path(name).mkdir()
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(f"{name}/{index}.png")
        Path(f"{name}-film").mkdir()
        job = ["video", f"{name}/%d.png", *QUICK, "--work", f"{name}-work"]
        assert main([*job, "-o", f"{name}-film/%d.png"]) == 0
    with Image.open("cut-work/00000003.png") as fourth:
        assert fourth.info["shot"] == "2"
    whole, alone = frames_of("cut-film/%d.png"), frames_of("second-film/%d.png")
    assert len(alone) == 2
    assert all(np.array_equal(*each) for each in zip(whole[2:], alone, strict=True))


def test_numbered_frames_are_not_replaced_unless_they_are_a_part(capsys):
    arguments = ["video", "clip.mp4", *QUICK, "--range", "0-0.1", "-o", "out/%d.png"]
    Path("out").mkdir()
    Path("out/1.png").write_bytes(b"mine")
    assert main(arguments) == 2
    assert "out/1.png: exists already; --force" in capsys.readouterr().err
    assert Path("out/1.png").read_bytes() == b"mine"
    Path("out/1.png").rename("out/2.png")
    Path("out/3-notes.png").write_bytes(b"of another name")
    assert main(arguments) == 2
    assert "out/2.png: exists already; --force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    with Image.open("out/1.png") as image:
        assert image.size == (64, 48)


def test_pictures_that_a_kill_left_are_replaced():
    arguments = ["clip.mp4", *QUICK, "--range", "0-0.2", "-o", "out/%d.png"]
    Path("out").mkdir()
    dying = """
import os, signal, sys
from impasto.video.clip import film_writer
write = film_writer.write_picture
def once(picture, path, **more):
    write(picture, path, **more)
    os.kill(os.getpid(), signal.SIGKILL)
film_writer.write_picture = once
from impasto.cli import main
main(sys.argv[1:])
"""
    code = [sys.executable, "-c", dying, "video", *arguments]
    assert forks.run(code).returncode == -signal.SIGKILL
    assert [each.name for each in Path("out").glob("*.png")] == ["1.png"]
    assert main(["video", *arguments]) == 0
    assert len(list(Path("out").glob("*.png"))) == 3


@pytest.mark.parametrize("target", ["film.gif", "out/%d.png"])
def test_sound_without_a_place_is_left_out_and_told(target, capsys):
    Path("out").mkdir()
    loud = [each for each in QUICK if each != "--quiet"]
    assert main(["video", "clip.mp4", *loud, "--range", "0-0.1", "-o", target]) == 0
    assert "sound: omitted, because" in capsys.readouterr().err


BAD = [
    (["clip.mp4", "-o", "film.avi"], "expected one of"),
    (["clip.mp4", "-o", "gone/film.mp4"], "no such folder gone"),
    (["clip.mp4", "-o", "clip.mp4", "--force"], "inputs are never replaced"),
    (["clip.mp4", "-o", "old.mp4"], "old.mp4: exists already"),
    (["clip.mp4", "-o", "."], "expected one of"),
    (["gone.mp4"], "gone.mp4: no such file"),
    (["tone.mp4"], "only sound"),
    (["painting.png", "--raw", "64x48@1"], "give - as CLIP"),
    (["frames/%d.png", "-o", "f.mp4"], "no such folder"),
    (["frames/%d.png"], "requires -o OUT"),
    (["-", "--preview", "-o", "f.mp4"], "reads the clip twice"),
    (["clip.mp4", "--size", "60000"], "over the limit"),
    (["clip.mp4", "--range", "5-2"], "ends before it starts"),
    (["clip.mp4", "--print", "10x10cm@300dpi"], "not to a film"),
    (["clip.mp4", "--stability", "2"], "not a number from 0 to 1"),
    (["-", "--raw", "64@2", "-o", "f.mp4"], "not WIDTHxHEIGHT@RATE"),
    (["clip.mp4", "--fps", "0"], "not a frame rate"),
    (["clip.mp4", "-o", "-", "--json"], "cannot be combined with --json"),
    (["clip.mp4", "--work", "clip.mp4"], "is a file; choose a folder for --work"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=lambda each: str(each)[:40])
def test_bad_input_is_one_line(arguments, words, capsys):
    write_sound(Path("tone.mp4"))
    Path("old.mp4").write_bytes(b"old")
    before = {p: p.read_bytes() for p in Path().iterdir() if p.is_file()}
    try:
        code = main(["video", *arguments, *QUICK])
    except SystemExit as left:
        code = left.code
    message = capsys.readouterr().err.strip()
    assert code == (3 if "limit" in words else 2)
    assert words in message
    assert "\n" not in message
    assert {p: p.read_bytes() for p in Path().iterdir() if p.is_file()} == before


def test_a_full_disk_loses_nothing_that_is_done(monkeypatch, capsys):
    from impasto.errors import ResourceError
    from impasto.video.job import frame_store

    save = frame_store.write_atomically

    def full(target, data):
        if target.name == "00000002.png":
            raise ResourceError(f"{target}: cannot be written (the disk is full)")
        save(target, data)

    monkeypatch.setattr(frame_store, "write_atomically", full)
    arguments = ["video", "clip.mp4", *QUICK, "-o", "film.mp4"]
    assert main(arguments) == 4
    assert "the disk is full" in capsys.readouterr().err
    assert Path("film.mp4.frames/00000001.png").exists()
    monkeypatch.setattr(frame_store, "write_atomically", save)
    assert main(arguments) == 0
    assert len(frames_of("film.mp4")) == 6


def test_numbered_pictures_have_the_rate_they_are_given():
    Path("in").mkdir()
    for index, frame in enumerate(FRAMES[:2]):
        Image.fromarray(frame).save(f"in/{index:04d}.png")
    assert main(["video", "in/%04d.png", "--fps", "8", *QUICK, "-o", "film.mp4"]) == 0
    assert [f.time for f in open_clip("film.mp4").read_frames()] == [0, Fraction(1, 8)]
