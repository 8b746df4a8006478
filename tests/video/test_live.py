"""Live films: what a browser receives, and which frames are skipped."""

from __future__ import annotations

import io
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from clips import make_pan, write_clip
from impasto.cli import main
from impasto.errors import ResourceError
from impasto.video.clip import camera
from impasto.video.clip.camera import Camera
from impasto.video.clip.frames import Format, Frame
from impasto.video.clip.selection import FrameSource, Selection
from impasto.video.live import Screen, play_live, serve_screen
from processes import running

FRAMES = make_pan(12)


class UnchangedFrames:
    """A stabilizer that changes nothing and takes a given time."""

    def __init__(self, spend):
        self.frames = []
        self._spend = spend

    def stylize_frame(self, frame):
        self.frames.append(frame)
        self._spend()
        return frame, frame


class Clip:
    format = Format(64, 48, Fraction(10), Fraction(1, 10), len(FRAMES))
    sound = None

    def read_frames(self, begin=0):
        for index, pixels in enumerate(FRAMES):
            yield Frame(Fraction(index, 10), lambda pixels=pixels: pixels)


@pytest.mark.parametrize(("seconds", "count", "rate"), [(0.0, 12, 10), (0.25, 5, 4)])
def test_frames_are_shown_in_time_or_skipped(seconds, count, rate):
    now = [100.0]

    def spend(amount):
        now[0] += amount

    screen, stabilizer = Screen(), UnchangedFrames(lambda: spend(seconds))
    source = FrameSource(Clip(), Selection(), (64, 48))
    rates = list(play_live(source, stabilizer, screen, clock=lambda: now[0], sleep=spend))
    assert abs(len(stabilizer.frames) - count) <= 1
    assert rates[-1] == pytest.approx(rate, rel=0.2)
    assert now[0] - 100 == pytest.approx(1.1, abs=0.4)


def read_part(stream):
    """Read one picture of a multipart stream, and the header of the next part."""
    data = b""
    while not data.endswith(b"\r\n--frame\r\n"):
        line = stream.readline()
        assert line, "the stream has ended"
        data += line
    assert stream.readline() == b"Content-Type: image/jpeg\r\n"
    assert stream.readline() == b"\r\n"
    return np.asarray(Image.open(io.BytesIO(data)))


def read_start(stream):
    """Read the header before the first picture."""
    head = [stream.readline() for _ in range(3)]
    assert head == [b"--frame\r\n", b"Content-Type: image/jpeg\r\n", b"\r\n"]


def encode_jpeg(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_a_browser_sees_the_newest_picture():
    screen = Screen()
    with serve_screen(screen, 0) as address:
        assert address.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(address).read()
        assert b"/stream" in page
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address + "etc/passwd")
        caught.value.close()
        foreign = urllib.request.Request(address, headers={"Host": "elsewhere.example"})
        with pytest.raises(urllib.error.HTTPError, match="421") as caught:
            urllib.request.urlopen(foreign)
        caught.value.close()
        screen.show(encode_jpeg(FRAMES[0]))
        with urllib.request.urlopen(address + "stream") as stream:
            assert "multipart/x-mixed-replace" in stream.headers["Content-Type"]
            read_start(stream)
            assert np.abs(read_part(stream).astype(int) - FRAMES[0]).mean() < 5
            screen.show(encode_jpeg(FRAMES[9]))
            assert np.abs(read_part(stream).astype(int) - FRAMES[9]).mean() < 5
        port = int(address.rsplit(":", 1)[1].strip("/"))
        with (
            pytest.raises(ResourceError, match="cannot be used"),
            serve_screen(Screen(), port),
        ):
            pass


def test_chromium_shows_each_picture_at_once():
    """Some servers delay each picture until the next one is sent."""
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    middle = """() => {
      const canvas = document.createElement("canvas"), image = document.images[0];
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      if (!canvas.width) return null;
      canvas.getContext("2d").drawImage(image, 0, 0);
      return [canvas.width, canvas.height,
              ...canvas.getContext("2d").getImageData(32, 24, 1, 1).data.slice(0, 3)];
    }"""
    screen = Screen()
    with serve_screen(screen, 0) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address, wait_until="commit")
        for color in [(200, 40, 30), (30, 60, 210)]:
            screen.show(encode_jpeg(np.full((48, 64, 3), color, np.uint8)))
            until, middle_pixel = time.monotonic() + 60, None
            while not middle_pixel or np.abs(np.subtract(middle_pixel[2:], color)).max() > 6:
                assert time.monotonic() < until, middle_pixel
                middle_pixel = page.evaluate(middle)
            assert middle_pixel[:2] == [64, 48]
        browser.close()


ARGUMENTS = ["--style", "painting.png", "--recipe", "sketch", "--iterations", "2", "--later", "1"]
ARGUMENTS += ["--port", "0"]


def start_live(folder, *arguments):
    command = [sys.executable, "-m", "impasto", "video", "--live", "clip.mp4", "--no-open"]
    return running([*command, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True)


def find_address(line: str) -> str:
    match = re.search(r"http://[^;\s]+", line)
    assert match, line
    return match.group()


def test_live_serves_a_painted_file_and_ends_with_it(work):
    write_clip(work / "clip.mp4", make_pan(24))
    with start_live(work, *ARGUMENTS) as process:
        address = find_address(process.stderr.readline())
        with urllib.request.urlopen(address + "stream") as stream:
            read_start(stream)
            frame = read_part(stream).astype(int)
            stream.read()  # the rest, to its end
        _, messages = process.communicate()
    assert (process.returncode, "frames shown" in messages) == (0, True), messages
    assert frame.shape == (48, 64, 3)
    assert min(np.abs(frame - each).mean() for each in make_pan(24)) > 4


def test_live_opens_a_browser_unless_told_not_to(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    write_clip(work / "clip.mp4", FRAMES[:2])
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    for more in ([], ["--no-open"]):
        assert main(["video", "--live", "clip.mp4", *ARGUMENTS, *more]) == 0
    assert len(opened) == 1
    assert f"impasto: showing the result at {opened[0]};" in capsys.readouterr().err


def test_live_stops_on_an_interrupt(work):
    write_clip(work / "clip.mp4", make_pan(60))
    with start_live(
        work, "--style", "painting.png", "--recipe", "sketch", "--port", "0"
    ) as process:
        assert find_address(process.stderr.readline())
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate()
    assert process.returncode == 130
    assert "frames shown" in messages


@pytest.mark.skipif("lavfi" not in av.formats_available, reason="FFmpeg without lavfi")
def test_a_camera_is_an_ffmpeg_device(work, monkeypatch, capsys):
    """A test pattern replaces the camera: it is a device without a file or a length."""
    pattern = ("lavfi", "testsrc=size=64x48:rate=12:duration=0.5")
    monkeypatch.setitem(camera.CAMERAS, sys.platform, pattern)
    monkeypatch.chdir(work)
    frames = [frame.load() for frame in Camera(print).read_frames()]
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 6
    assert main(["video", "--live", "--no-open", *ARGUMENTS]) == 0
    assert "frames shown" in capsys.readouterr().err


@pytest.mark.skipif(Path("/dev/video0").exists(), reason="there is a camera")
@pytest.mark.parametrize(
    ("source", "words"),
    [("camera", "camera /dev/video0: cannot be opened"), ("gone.mp4", "gone.mp4: no such file")],
)
def test_sources_that_cannot_be_shown_are_reported_in_one_line(
    source, words, work, monkeypatch, capsys
):
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "platform", "linux")
    assert main(["video", "--live", source, *ARGUMENTS]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_live_uses_the_network_unless_another_recipe_is_given(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    write_clip(work / "clip.mp4", FRAMES[:1])
    names = []
    monkeypatch.setattr(
        "impasto.cli.jobs.video_live.run_live", lambda _, recipe: names.append(recipe.name) or 0
    )
    live = ["video", "--live", "clip.mp4", "--style", "painting.png"]
    for more in ([], ["--quality", "standard"], ["--recipe", "sketch"]):
        assert main([*live, *more]) == 0
    assert names == ["draft", "standard", "sketch"]
    assert main([*live, "-o", "film.mp4", "--passes", "2"]) == 2
    assert "--output, --passes 2 cannot be combined with --live" in capsys.readouterr().err
    assert main([*live, "--json", "--no-sound"]) == 2
    assert "--json, --no-sound cannot be combined with --live" in capsys.readouterr().err


def test_a_clip_and_live_exclude_each_other(capsys):
    for arguments in ([], ["clip.mp4", "--live"]):
        with pytest.raises(SystemExit):
            main(["video", *arguments, "--style", "painting.png"])
        assert "give either CLIP or --live" in capsys.readouterr().err
