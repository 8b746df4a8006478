"""What the process that decodes does with clips: one at a time, frame after frame."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from impasto.errors import ClipError
from impasto.image.files.limits import Limits
from impasto.image.picture import Picture
from impasto.studio.decoding.browser_view import show
from impasto.video.clip.container import ContainerClip
from impasto.video.clip.file_kinds import HEAD_BYTES, choose_film_suffix, detect_clip_kind
from impasto.video.clip.frames import Frame, levels_to_floats
from impasto.video.clip.selection import FrameSource, Selection
from impasto.video.job.film_output import write_painted_film
from impasto.video.job.frame_store import FrameStore


class ClipReader:
    """Answers questions about clips, and remembers the one that is being read."""

    def __init__(self) -> None:
        """None is."""
        self._clip: ContainerClip | None = None
        self._frames: Iterator[Frame] = iter(())
        self._frame: Frame | None = None

    def answers(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """By the name of the question."""
        return {
            "check_clip": self.check,
            "open_clip": self.open,
            "begin_clip": self.begin,
            "next_frame": self.next,
            "load_frame": self.load,
            "film": self.film,
        }

    def check(self, path: Path, name: str, limits: Limits, view: str) -> dict[str, Any]:
        """What is known of a clip; its first frame, for a browser, goes into ``view``."""
        clip = _opened(path, name, limits)
        first = next(clip.read_frames())
        show(Picture(levels_to_floats(first.load())), Path(view))
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        return _facts(clip) | {"suffix": choose_film_suffix(head, detect_clip_kind(head, name))}

    def open(self, path: Path, name: str, limits: Limits) -> dict[str, Any]:
        """Take up a clip."""
        self._clip = _opened(path, name, limits)
        return _facts(self._clip) | {"time_base": str(self._clip.format.time_base)}

    def begin(self, path: Path, name: str, limits: Limits, begin: str) -> dict[str, Any]:  # noqa: ARG002
        """Go to where it is read from, in seconds, or some frames before."""
        if self._clip is None:
            raise ClipError(f"{name}: the process that decoded it is gone")
        self._frames = self._clip.read_frames(Fraction(begin))
        return {}

    def next(self, path: Path, name: str, limits: Limits) -> dict[str, Any]:  # noqa: ARG002
        """When the next frame is seen; none: there are no more."""
        if self._clip is None:
            raise ClipError(f"{name}: the process that decoded it is gone")
        self._frame = next(self._frames, None)
        return {"time": None if self._frame is None else str(self._frame.time)}

    def load(self, path: Path, name: str, limits: Limits, target: str) -> dict[str, Any]:  # noqa: ARG002
        """The pixels of that frame, into a file."""
        if self._frame is None:
            raise ClipError(f"{name}: there is no such frame")
        with Path(target).open("wb") as file:
            np.save(file, self._frame.load(), allow_pickle=False)
        return {}

    def film(self, path: Path, name: str, limits: Limits, asked: dict[str, Any]) -> dict[str, Any]:
        """Write a film: the clip's sound and the frames that are done.

        Args:
            path: of the clip.
            name: in messages.
            limits: of its frames.
            asked: ``target`` and ``work``, a file and a folder; ``facts`` of the latter; ``size``;
                ``end`` of what is selected, or none; ``record``, or none; and whether to
                ``keep_metadata`` of the clip.
        """
        clip = _opened(path, name, limits)
        end = None if asked["end"] is None else Fraction(asked["end"])
        write_painted_film(
            Path(asked["target"]),
            FrameStore(Path(asked["work"]), asked["facts"]),
            FrameSource(clip, Selection(end=end), tuple(asked["size"])),
            record=asked["record"],
            metadata=clip.metadata if asked["keep_metadata"] else {},
        )
        return {}


def _opened(path: Path, name: str, limits: Limits) -> ContainerClip:
    limits.check_bytes(path.stat().st_size, name)
    with path.open("rb") as file:
        kind = detect_clip_kind(file.read(HEAD_BYTES), name)
    clip = ContainerClip(path, lambda _: None, kind=kind, limits=limits, name=name)
    # Its own word for how many frames it has is not taken.
    clip.format = replace(clip.format, frames=max(1, _counted(path, kind)))
    return clip


def _counted(path: Path, kind: str) -> int:
    """Frames, as far as the file is whole."""
    count = 0
    with av.open(str(path), format=kind) as container, contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(container.streams.video[0]):
            count += packet.size > 0
    return count


def _facts(clip: ContainerClip) -> dict[str, Any]:
    form = clip.format
    return {
        "width": form.width,
        "height": form.height,
        "frames": form.frames,
        "rate": str(form.rate),
    }
