"""The run as a film: a GIF or an H.264 MP4 of the picture taking shape."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from impasto.errors import InputError
from impasto.image.files.atomic import write_atomically

if TYPE_CHECKING:
    from impasto.engine.step import Step

FRAMES = 60
"""About how many; early steps change most, so they are not thinned more than late ones."""
FRAMES_PER_SECOND = 12
LONGEST_SIDE = 1280
"""Pixels; 60 frames of this size fit in a fifth of a gigabyte, whatever the result's size."""
HOLD = 12
"""Extra copies of the last frame: one second to look at it."""
EXTENSIONS = (".gif", ".mp4")


class Timelapse:
    """Collects frames while the run goes on; ``write`` makes the film of them."""

    def __init__(self, target: Path) -> None:
        """Choose the format by extension.

        Raises:
            InputError: neither .gif nor .mp4.
        """
        if target.suffix.lower() not in EXTENSIONS:
            raise InputError(f"{target}: a timelapse is written as .gif or .mp4, by extension")
        self._target = target
        self._frames: list[Image.Image] = []
        self._unseen: Step | None = None

    def see(self, step: Step) -> None:
        """Keep the step's picture if it is one of about :data:`FRAMES` evenly spaced ones."""
        spacing = max(1, round(step.total / FRAMES))
        due = step.iteration % spacing == 0 or (step.iteration == 1 or step.last)
        self._unseen = None if due else step
        if due:
            self._keep(step)

    def _keep(self, step: Step) -> None:
        frame = step.preview().convert("RGB")
        frame.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        self._frames.append(frame)

    def write(self) -> None:
        """Write the film atomically; nothing if no frame was seen.

        Raises:
            ResourceError: the disk is full or the folder not writable.
        """
        if not self._frames:
            return
        if self._unseen is not None:  # stopped early: the film ends with what was saved
            self._keep(self._unseen)
        width, height = (side + side % 2 for side in self._frames[-1].size)
        frames = [f.resize((width, height), Image.Resampling.BICUBIC) for f in self._frames]
        frames += [frames[-1]] * HOLD
        encode = _gif if self._target.suffix.lower() == ".gif" else _mp4
        write_atomically(self._target, encode(frames))


def _gif(frames: list[Image.Image]) -> bytes:
    stream = io.BytesIO()
    frames[0].save(
        stream,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / FRAMES_PER_SECOND),
        loop=0,
    )
    return stream.getvalue()


def _mp4(frames: list[Image.Image]) -> bytes:
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=Fraction(FRAMES_PER_SECOND))
        video.width, video.height = frames[0].size
        video.pix_fmt = "yuv420p"
        video.options = {"crf": "18"}
        for image in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.asarray(image), "rgb24")))
        container.mux(video.encode())
    return stream.getvalue()
