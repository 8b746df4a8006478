"""Write a timelapse of a run as a GIF or an H.264 MP4."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from impasto.errors import InputError
from impasto.image.files.result_file import ResultFile

if TYPE_CHECKING:
    from impasto.engine.step import Step

FRAMES = 60
"""Approximate number of frames, evenly spaced over the iterations."""
FRAMES_PER_SECOND = 12
LONGEST_SIDE = 1280
"""Largest side in pixels; 60 frames of this size take about 0.2 GB of memory."""
HOLD = 12
"""Extra copies of the last frame, one second."""
EXTENSIONS = (".gif", ".mp4")


class Timelapse:
    """Collects frames during a run and writes them as a film."""

    def __init__(
        self,
        target: Path,
        *,
        overwrite: bool = True,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """Check the extension.

        Args:
            target: file to write, .gif or .mp4.
            overwrite: replace a file that exists when this one is written.
            notice: called with one line if such a file is kept, and this one has another name.

        Raises:
            InputError: another extension.
        """
        if target.suffix.lower() not in EXTENSIONS:
            raise InputError(
                "unknown extension; a timelapse is written as .gif or .mp4", where=target
            )
        self._target = target
        self._file = ResultFile(target, overwrite=overwrite, notice=notice, what="the timelapse")
        self._frames: list[Image.Image] = []
        self._skipped: Step | None = None

    def record(self, step: Step) -> None:
        """Add the picture of a step if it is one of about :data:`FRAMES` evenly spaced ones."""
        spacing = max(1, round(step.total / FRAMES))
        is_due = step.iteration % spacing == 0 or (step.iteration == 1 or step.last)
        self._skipped = None if is_due else step
        if is_due:
            self._add_frame(step)

    def _add_frame(self, step: Step) -> None:
        frame = step.preview().convert("RGB")
        frame.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        self._frames.append(frame)

    def write(self) -> None:
        """Write the film atomically. Without any steps, nothing is written.

        Raises:
            ResourceError: the disk is full or the folder is not writable.
        """
        if not self._frames:
            return
        if self._skipped is not None:  # stopped early: end with the saved picture
            self._add_frame(self._skipped)
        width, height = (side + side % 2 for side in self._frames[-1].size)
        frames = [f.resize((width, height), Image.Resampling.BICUBIC) for f in self._frames]
        frames += [frames[-1]] * HOLD
        encode = _encode_gif if self._target.suffix.lower() == ".gif" else _encode_mp4
        self._file.write_bytes(encode(frames))


def _encode_gif(frames: list[Image.Image]) -> bytes:
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


def _encode_mp4(frames: list[Image.Image]) -> bytes:
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
