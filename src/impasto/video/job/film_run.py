"""A clip through the stabilizer into a folder of frames, from wherever it had got to."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from impasto.errors import InputError
from impasto.image.picture import Picture, to_levels
from impasto.video.clip.clip import Clip, Frame, Levels, from_levels
from impasto.video.clip.selection import Selection
from impasto.video.job.work import Saved, Work, fingerprint
from impasto.video.stabilize.history import Shown
from impasto.video.stabilize.stabilizer import Stabilizer


@dataclass(frozen=True)
class Progress:
    """Yielded after every frame.

    Attributes:
        index: of the frame, among those selected.
        total: how many there are; none: unknown.
        shot: index of the frame that its shot began with.
        seconds: that this frame took.
        eta_s: seconds left; none: unknown.
    """

    index: int
    total: int | None
    shot: int
    seconds: float
    eta_s: float | None


def run(
    clip: Clip,
    selection: Selection,
    size: tuple[int, int],
    stabilizer: Stabilizer,
    work: Work,
    *,
    twice: bool = False,
) -> Generator[Progress, None, None]:
    """Make the frames that are not there yet, yielding after each.

    Stopped and run again, the frames are those of a run that was not stopped.

    Args:
        clip: the source.
        selection: of its frames.
        size: (width, height) that they are worked on at.
        stabilizer: with nothing done yet.
        work: where they go.
        twice: whether :func:`run_backwards` is to follow.

    Raises:
        InputError: the folder's frames are of another clip.
        ImpastoError: whatever reading, stylizing and writing raise.
    """
    done, total = work.done, selection.count(clip)
    recalled = _Recalled(work, done, stabilizer.remembers)
    paces: deque[float] = deque(maxlen=20)
    for index, source in enumerate(selection.of(clip)):
        if index < done:
            if recalled.wants(index):
                recalled.see(index, sized(source, size))
            continue
        if index == done and index:
            stabilizer.resume(index, recalled.shot, recalled.opening, recalled.shown)
        began = time.monotonic()
        pixels = sized(source, size)
        result, shown = stabilizer.stylized(pixels)
        saved = Saved(source.time, stabilizer.shot, result, fingerprint(pixels))
        work.save(index, saved, shown, pixels if twice else None)
        seconds = time.monotonic() - began
        if stabilizer.shot != index or total == 1:  # the first of a shot takes far longer
            paces.append(seconds)
        left = None
        if total is not None:
            left = max(0, total - index - 1) * (sum(paces) / len(paces) if paces else seconds)
        yield Progress(index, total, stabilizer.shot, seconds, left)


def run_backwards(stabilizer: Stabilizer, work: Work) -> Generator[Progress, None, None]:
    """The second pass over frames that are all done, from the last to the first, so that what comes
    to light late is known early; yields after each, and goes on from wherever it was stopped.

    Args:
        stabilizer: as of :func:`run`.
        work: with their sources.

    Raises:
        ImpastoError: whatever reading, stylizing and writing raise.
    """
    total = work.done
    opened = -1
    paces: list[float] = []
    for index in reversed(range(total)):
        if work.again(index):
            continue
        began, saved = time.monotonic(), work.read(index)
        if saved.shot != opened:
            opened = saved.shot
            stabilizer.opens(work.source(opened))
        following = [
            (distance, Shown(work.source(other), work.read(other, again=True).result))
            for distance in stabilizer.distances
            for other in [index + distance]
            if other < total and work.read(other).shot == saved.shot
        ]
        result, shown = stabilizer.again(Shown(work.source(index), saved.result), following)
        work.save(index, replace(saved, result=result), shown, again=True)
        paces.append(time.monotonic() - began)
        yield Progress(index, total, saved.shot, paces[-1], index * sum(paces) / len(paces))


class _Recalled:
    """What a job that goes on has to know of the frames that are done."""

    def __init__(self, work: Work, done: int, remembers: int) -> None:
        self._work = work
        self._done = done
        self.shot = work.read(done - 1).shot if done else 0
        self._first = max(self.shot, done - remembers)
        self.opening: Levels = np.zeros((0, 0, 3), np.uint8)
        self.shown: list[Shown] = []

    def wants(self, index: int) -> bool:
        """Whether a frame of the clip is needed again."""
        return index == self.shot or index >= self._first

    def see(self, index: int, frame: Levels) -> None:
        """Note it.

        Raises:
            InputError: it is not what the clip showed when the frame was made.
        """
        saved = self._work.read(index)
        if fingerprint(frame) != saved.seen:
            raise InputError(
                f"{self._work.folder}: holds the frames of another clip (frame {index} differs); "
                "`restart` discards them, or choose another folder",
                field="restart",
            )
        if index == self.shot:
            self.opening = frame
        if index >= self._first:
            self.shown.append(Shown(frame, saved.result))


def sized(frame: Frame, size: tuple[int, int]) -> Levels:
    """A frame's pixels, [H, W, 3] uint8, at another (width, height); where that is a pixel less
    than its own, the pixel is cut off.
    """
    pixels = frame.load()
    height, width = pixels.shape[:2]
    if 0 <= width - size[0] <= 1 and 0 <= height - size[1] <= 1:
        return np.ascontiguousarray(pixels[: size[1], : size[0]])
    return to_levels(Picture(from_levels(pixels)).resize(*size).pixels, 8)
