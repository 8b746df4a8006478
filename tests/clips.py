"""Makes clips whose motion is known exactly, and files of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 64, 80


def texture(x, y):
    """Sample an endless smooth picture at any position: [..., 3] in [0, 1]."""
    waves = [
        np.sin(0.31 * x + 0.11 * y) * np.cos(0.17 * y - 0.05 * x),
        np.sin(0.19 * x - 0.27 * y + 1) + 0.4 * np.sin(0.6 * x + 0.5 * y),
        np.cos(0.23 * y + 0.13 * x) * np.sin(0.09 * x + 2) + 0.3 * np.cos(0.5 * x - 0.4 * y),
    ]
    return (0.5 + 0.22 * np.stack(waves, -1)).clip(0, 1).astype(np.float32)


def grid(width=WIDTH, height=HEIGHT):
    """Return x and y of the pixels, [H, W] each."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    return x, y


def make_motion(matrix, shift, width=WIDTH, height=HEIGHT):
    """Make a frame, the one before it, and the exact flows between them.

    The picture moves so that what was at p is at ``matrix @ (p - center) + center + shift``.
    """
    center = np.array([width / 2, height / 2])
    x, y = grid(width, height)
    here = np.stack([x, y], -1)
    back = (here - center - shift) @ np.linalg.inv(matrix).T + center
    ahead = (here - center) @ np.asarray(matrix).T + center + shift
    frame = texture(back[..., 0], back[..., 1])
    return frame, texture(x, y), (back - here).astype(np.float32), (ahead - here).astype(np.float32)


def turn(degrees, zoom=1.0):
    """Return the matrix of a rotation and a zoom."""
    angle = np.deg2rad(degrees)
    return zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


class Passing:
    """A square that moves over a still background, with exact flows and occlusions."""

    SIDE, STEP, TOP = 20, 6, 22

    def left(self, time):
        return 10 + self.STEP * time

    def covers(self, time):
        """Mark the pixels of the square, [H, W] bool."""
        x, y = grid()
        left = self.left(time)
        across = (x >= left) & (x < left + self.SIDE)
        return across & (y >= self.TOP) & (y < self.TOP + self.SIDE)

    def frame(self, time):
        x, y = grid()
        square = 1 - texture(x - self.left(time) + 200, y + 300)
        return np.where(self.covers(time)[..., None], square, texture(x, y))

    def flow(self, time, other):
        """Return the flow from one frame to another, [H, W, 2]."""
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        flow[self.covers(time), 0] = self.STEP * (other - time)
        return flow

    def uncovered(self, time, other):
        """Mark the background that one frame shows and the square hides in another."""
        return self.covers(other) & ~self.covers(time)


def make_pan(count, width=64, height=48, step=2):
    """Make [H, W, 3] uint8 frames of the texture moving left by ``step`` px per frame."""
    x, y = grid(width, height)
    return [
        (texture((x + step * i) / 3, y / 3) * 255).round().astype(np.uint8) for i in range(count)
    ]


def write_clip(
    path: Path,
    frames,
    *,
    rate=12,
    times=None,
    sound=False,
    pix_fmt="yuv420p",
    rotation=None,
    codec="libx264",
    tags=None,
    options=None,
    container_options=None,
):
    """Write 8-bit frames to a video file, with a tone of the same length if it has sound."""
    height, width = frames[0].shape[:2]
    base = Fraction(1, rate * 10)
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=Fraction(rate))
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        if codec == "libx264":
            video.options = {"crf": "8", "bf": "0"}
        video.options = options or video.options
        video.codec_context.time_base = base
        for name, value in (tags or {}).items():
            setattr(video.codec_context, name, value)
        if rotation:
            video.set_display_rotation(rotation)
        heard = container.add_stream("aac", rate=44_100, layout="mono") if sound else None
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = index * 10 if times is None else times[index]
            frame.time_base = base
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if heard is not None:
            _tone(container, heard, len(frames) / rate)
    return path


def _tone(container, stream, seconds):
    samples = np.arange(int(44_100 * seconds))
    wave = (0.2 * np.sin(2 * np.pi * 440 * samples / 44_100)).astype(np.float32)[None]
    for begin in range(0, wave.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(
            wave[:, begin : begin + 1024].copy(), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 44_100, begin, Fraction(1, 44_100)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def write_sound(path: Path, seconds=0.5):
    """Write a file with a tone and no picture."""
    with av.open(str(path), "w") as container:
        _tone(container, container.add_stream("aac", rate=44_100, layout="mono"), seconds)
    return path
