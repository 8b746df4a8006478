"""Read clips in the decoder process: one at a time, frame after frame."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from impasto.errors import ClipError
from impasto.image.files.limits import Limits
from impasto.image.picture import Picture
from impasto.studio.decoding.browser_view import write_view
from impasto.video.clip.container import ContainerClip
from impasto.video.clip.file_kinds import HEAD_BYTES, choose_film_suffix, detect_clip_kind
from impasto.video.clip.frames import MAX_FRAMES, Frame, levels_to_floats
from impasto.video.clip.selection import FrameSource, Selection
from impasto.video.job.film_output import RECORD_KEY, write_painted_film
from impasto.video.job.frame_store import FrameStore

COUNTED_PACKETS = 20_000
"""Packets that are read at most to count frames: at 30 frames a second, eleven minutes."""


class ClipReader:
    """Answers questions about clips, and remembers the clip that is being read."""

    def __init__(self) -> None:
        self._clip: ContainerClip | None = None
        self._frames: Iterator[Frame] = iter(())
        self._frame: Frame | None = None

    def list_answers(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return the methods that answer a question, by the name of the question."""
        return {
            "check_clip": self.check,
            "open_clip": self.open,
            "begin_clip": self.begin,
            "next_frame": self.read_next,
            "load_frame": self.load,
            "write_film": self.write_film,
        }

    def check(self, path: Path, name: str, limits: Limits, view: str) -> dict[str, Any]:
        """Describe a clip, and write its first frame to ``view`` for browsers."""
        clip = _open(path, name, limits)
        first = next(clip.read_frames())
        write_view(Picture(levels_to_floats(first.load())), Path(view))
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        return _describe(clip) | {"suffix": choose_film_suffix(head, detect_clip_kind(head, name))}

    def open(self, path: Path, name: str, limits: Limits) -> dict[str, Any]:
        """Open a clip to read its frames."""
        self._clip = _open(path, name, limits)
        return _describe(self._clip) | {"time_base": str(self._clip.format.time_base)}

    def begin(self, path: Path, name: str, limits: Limits, begin: str) -> dict[str, Any]:  # noqa: ARG002
        """Go to a time in seconds, or to a few frames before it."""
        if self._clip is None:
            raise ClipError("the process that decoded it has ended", where=name)
        self._frames = self._clip.read_frames(Fraction(begin))
        return {}

    def read_next(self, path: Path, name: str, limits: Limits) -> dict[str, Any]:  # noqa: ARG002
        """Go to the next frame and return its time. None: there are no more frames."""
        if self._clip is None:
            raise ClipError("the process that decoded it has ended", where=name)
        self._frame = next(self._frames, None)
        return {"time": None if self._frame is None else str(self._frame.time)}

    def load(self, path: Path, name: str, limits: Limits, target: str) -> dict[str, Any]:  # noqa: ARG002
        """Write the pixels of the frame to a file."""
        if self._frame is None:
            raise ClipError("there is no such frame", where=name)
        with Path(target).open("wb") as file:
            np.ascontiguousarray(self._frame.load(), dtype=np.uint8).tofile(file)
        return {}

    def write_film(
        self, path: Path, name: str, limits: Limits, order: dict[str, Any]
    ) -> dict[str, Any]:
        """Write a film from the clip's sound and the painted frames.

        Args:
            path: file of the clip.
            name: name of the clip in messages.
            limits: limits of its frames.
            order: fields of :class:`impasto.studio.decoding.decoder.FilmOrder`.
        """
        clip = _open(path, name, limits)
        end = None if order["end"] is None else Fraction(order["end"])
        texts = dict(clip.metadata) if order["keep_metadata"] else {}
        if order["record"] is not None:
            texts[RECORD_KEY] = order["record"]
        write_painted_film(
            Path(order["target"]),
            FrameStore(Path(order["store"]), order["facts"]),
            FrameSource(clip, Selection(end=end), tuple(order["size"])),
            texts=texts,
        )
        return {}


def _open(path: Path, name: str, limits: Limits) -> ContainerClip:
    limits.check_bytes(path.stat().st_size, name)
    with path.open("rb") as file:
        kind = detect_clip_kind(file.read(HEAD_BYTES), name)
    clip = ContainerClip(path, lambda _: None, kind=kind, limits=limits, name=name)
    # What the file says may be wrong: the worker checks the limit again while it paints.
    frames = clip.format.frames or _count_frames(path, kind)
    clip.format = replace(clip.format, frames=min(max(1, frames), MAX_FRAMES))
    return clip


def _count_frames(path: Path, kind: str) -> int:
    """Count the first frames of a file that does not say how many it has, as recorders leave it."""
    count = 0
    with av.open(str(path), format=kind) as container, contextlib.suppress(av.error.FFmpegError):
        for packet in islice(container.demux(container.streams.video[0]), COUNTED_PACKETS):
            count += packet.size > 0
    return count


def _describe(clip: ContainerClip) -> dict[str, Any]:
    form = clip.format
    return {
        "width": form.width,
        "height": form.height,
        "frames": form.frames,
        "rate": str(form.rate),
    }
