"""Paint the frames of a clip into a folder, and resume wherever an earlier run stopped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from impasto.errors import InputError
from impasto.video.clip.frames import Levels
from impasto.video.clip.selection import FrameSource
from impasto.video.job.frame_store import FrameStore, StoredFrame, fingerprint_frame
from impasto.video.stabilize.frame_memory import PaintedFrame
from impasto.video.stabilize.stabilizer import Stabilizer

PACE_FRAMES = 20
"""Number of recent frames from which the remaining time is estimated."""


@dataclass(frozen=True)
class FilmProgress:
    """The state of a film after a frame.

    Attributes:
        index: index of the frame among the selected ones.
        total: number of selected frames. None: unknown.
        shot: index of the first frame of its shot.
        seconds: time that this frame took.
        eta_s: estimated seconds left. None: unknown.
    """

    index: int
    total: int | None
    shot: int
    seconds: float
    eta_s: float | None


def paint_film(
    source: FrameSource, stabilizer: Stabilizer, store: FrameStore, *, repaint: bool = False
) -> Generator[FilmProgress, None, None]:
    """Paint the frames that are missing from the store.

    A run that was stopped and resumed gives the same frames as an uninterrupted one.

    Args:
        source: the frames of the clip.
        stabilizer: a stabilizer that has not painted any frame yet.
        store: the folder that receives the frames.
        repaint: also store what :func:`repaint_backwards` needs.

    Yields:
        The progress after each frame.

    Raises:
        InputError: the stored frames are of another clip.
        ImpastoError: reading, painting or writing failed.
    """
    stored, total = store.frame_count, source.count_frames()
    state = _ResumeState(store, stored, stabilizer.memory_length)
    paces: deque[float] = deque(maxlen=PACE_FRAMES)
    for index, frame in enumerate(source.read_frames()):
        if index < stored:
            if state.needs_frame(index):
                state.add_frame(index, source.load_pixels(frame))
            continue
        if index == stored and index:
            stabilizer.resume(index, state.shot, state.opening, state.history)
        start = time.monotonic()
        pixels = source.load_pixels(frame)
        result, film_frame = stabilizer.stylize_frame(pixels)
        entry = StoredFrame(frame.time, stabilizer.shot, result, fingerprint_frame(pixels))
        store.save(index, entry, film_frame, pixels if repaint else None)
        seconds = time.monotonic() - start
        if stabilizer.shot != index or total == 1:  # the first frame of a shot takes much longer
            paces.append(seconds)
        left = None
        if total is not None:
            left = max(0, total - index - 1) * (sum(paces) / len(paces) if paces else seconds)
        yield FilmProgress(index, total, stabilizer.shot, seconds, left)


def repaint_backwards(
    stabilizer: Stabilizer, store: FrameStore
) -> Generator[FilmProgress, None, None]:
    """Paint all frames again from the last to the first, resuming wherever an earlier run stopped.

    In this second pass, parts of the scene that are uncovered late are already known earlier.

    Args:
        stabilizer: the stabilizer of the first pass, or an equal one.
        store: the painted frames, with the clip's frames.

    Yields:
        The progress after each frame.

    Raises:
        ImpastoError: reading, painting or writing failed.
    """
    total = store.frame_count
    shot = -1
    paces: list[float] = []
    for index in reversed(range(total)):
        if store.is_repainted(index):
            continue
        start, stored = time.monotonic(), store.read(index)
        if stored.shot != shot:
            shot = stored.shot
            stabilizer.open_shot(store.read_source(shot))
        following = []
        for distance in stabilizer.distances:
            other = index + distance
            if other < total and store.read(other).shot == shot:
                result = store.read(other, repainted=True).result
                following.append((distance, PaintedFrame(store.read_source(other), result)))
        own = PaintedFrame(store.read_source(index), stored.result)
        result, film_frame = stabilizer.repaint_frame(own, following)
        store.save(index, replace(stored, result=result), film_frame, repainted=True)
        paces.append(time.monotonic() - start)
        left = index * sum(paces) / len(paces)
        yield FilmProgress(index, total, shot, paces[-1], left)


class _ResumeState:
    """Collects what the stabilizer has to know of stored frames before it can continue."""

    def __init__(self, store: FrameStore, stored: int, memory_length: int) -> None:
        """Find out which frames of the clip are needed.

        Args:
            store: the painted frames.
            stored: how many there are.
            memory_length: number of preceding frames that the next one may depend on.
        """
        self._store = store
        self.shot = store.read(stored - 1).shot if stored else 0
        self._first = max(self.shot, stored - memory_length)
        self.opening: Levels = np.zeros((0, 0, 3), np.uint8)
        self.history: list[PaintedFrame] = []

    def needs_frame(self, index: int) -> bool:
        """Tell whether a frame of the clip has to be decoded again."""
        return index == self.shot or index >= self._first

    def add_frame(self, index: int, frame: Levels) -> None:
        """Add a frame of the clip.

        Raises:
            InputError: it differs from the frame from which the stored one was painted.
        """
        stored = self._store.read(index)
        if fingerprint_frame(frame) != stored.fingerprint:
            raise InputError(
                f"holds the frames of another clip (frame {index} differs); "
                "`restart` deletes them, or choose another folder",
                where=self._store.folder,
                field="restart",
            )
        if index == self.shot:
            self.opening = frame
        if index >= self._first:
            self.history.append(PaintedFrame(frame, stored.result))
