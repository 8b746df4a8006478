"""Live: what a browser gets, and which frames are left out."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clips import panning, write_clip
from impasto.cli import main
from impasto.errors import ClipError, ResourceError
from impasto.video.clip import Format, Frame
from impasto.video.container import Camera
from impasto.video.live import Screen, play, served

FRAMES = panning(12)


class Same:
    """A stabiliser that changes nothing and takes as long as it is told."""

    def __init__(self, spend):
        self.seen = []
        self._spend = spend

    def stylised(self, frame):
        self.seen.append(frame)
        self._spend()
        return frame, frame


class Clip:
    format = Format(64, 48, Fraction(10), Fraction(1, 10), len(FRAMES))
    sound = None

    def frames(self, begin=0):
        for index, pixels in enumerate(FRAMES):
            yield Frame(Fraction(index, 10), lambda pixels=pixels: pixels)


@pytest.mark.parametrize(("seconds", "shown", "rate"), [(0.0, 12, 10), (0.25, 5, 4)])
def test_frames_come_at_their_time_or_not_at_all(seconds, shown, rate):
    now = [100.0]

    def spend(amount):
        now[0] += amount

    screen, stabilizer = Screen(), Same(lambda: spend(seconds))
    rates = list(play(Clip(), (64, 48), stabilizer, screen, clock=lambda: now[0], sleep=spend))
    assert abs(len(stabilizer.seen) - shown) <= 1
    assert rates[-1] == pytest.approx(rate, rel=0.2)
    assert now[0] - 100 == pytest.approx(1.1, abs=0.4)


def read_part(stream):
    """One picture of a multipart stream."""
    assert stream.readline().strip() == b"--frame"
    assert stream.readline().strip() == b"Content-Type: image/jpeg"
    length = int(stream.readline().split(b":")[1])
    assert stream.readline().strip() == b""
    data = stream.read(length)
    stream.readline()
    return np.asarray(Image.open(io.BytesIO(data)))


def jpeg(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_a_browser_sees_the_newest_picture():
    screen = Screen()
    with served(screen, 0) as address:
        assert address.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(address).read()
        assert b"/stream" in page
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(address + "etc/passwd")
        caught.value.close()
        screen.show(jpeg(FRAMES[0]))
        with urllib.request.urlopen(address + "stream") as stream:
            assert "multipart/x-mixed-replace" in stream.headers["Content-Type"]
            assert np.abs(read_part(stream).astype(int) - FRAMES[0]).mean() < 5
            screen.show(jpeg(FRAMES[9]))
            assert np.abs(read_part(stream).astype(int) - FRAMES[9]).mean() < 5
        port = int(address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(ResourceError, match="cannot be served on"), served(Screen(), port):
            pass


def test_live_shows_a_file_and_ends_with_it(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    write_clip(work / "clip.mp4", FRAMES[:3])
    arguments = ["--live", "clip.mp4", "--style", "painting.png", "--quality", "draft"]
    assert main(["video", *arguments, "--iterations", "2", "--later", "1", "--port", "0"]) == 0
    told = capsys.readouterr().err
    assert "http://127.0.0.1:" in told
    assert "frames shown" in told


def test_live_stops_when_it_is_told(work):
    write_clip(work / "clip.mp4", panning(60))
    arguments = ["--live", "clip.mp4", "--style", "painting.png", "--quality", "draft"]
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", "video", *arguments, "--port", "0"],
        cwd=work,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "shows it" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert "frames shown" in told


@pytest.mark.skipif(Path("/dev/video0").exists(), reason="there is a camera")
def test_without_a_camera():
    with pytest.raises(ClipError, match=r"camera: .* cannot be opened"):
        Camera(print)


def test_a_clip_or_live_but_not_both(capsys):
    for arguments in ([], ["clip.mp4", "--live"]):
        with pytest.raises(SystemExit):
            main(["video", *arguments, "--style", "painting.png"])
        assert "one CLIP is needed, or --live" in capsys.readouterr().err
