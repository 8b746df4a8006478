"""One stabilizer for every engine: frames in, frames out that hold still where the clip does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from impasto.image.picture import Floats, to_levels
from impasto.video.clip.clip import Levels, from_levels
from impasto.video.stabilize.flow import Estimator
from impasto.video.stabilize.history import Memory, Shown, combined, recalled
from impasto.video.stabilize.motion import is_cut

STABILIZER = 3
"""To be raised with every change of what is remembered, how, and what engines make of it: films of
another number are not gone on with."""


class Engine(Protocol):
    """What stylizes a frame."""

    def begin(self, frame: Floats) -> None:
        """A shot begins with this frame: freeze whatever is to stay the same throughout."""

    def painted(self, frame: Floats, memory: Memory | None) -> Floats:
        """A frame stylized, [H, W, 3] in [0, 1].

        Args:
            frame: [H, W, 3] float32 RGB in [0, 1].
            memory: what earlier frames of the shot say about it; none: it is the first.
        """

    def steadied(self, painted: Floats, memory: Memory, stability: float) -> Floats:
        """What it painted, mixed with what is remembered as far as the engine leaves that to
        mixing; see :func:`impasto.video.stabilize.blending.blended`.

        Args:
            painted: of :meth:`painted`, with the same memory.
            memory: what earlier frames of the shot say about it.
            stability: in [0, 1].
        """

    def finished(self, result: Floats, frame: Floats) -> Floats:
        """What the user gets of a stabilized result; later frames remember the result itself."""


@dataclass(frozen=True)
class Links:
    """Which earlier frames are remembered.

    Attributes:
        distances: in frames, rising, 1 the first.
        shares: of each, in what both know.
    """

    distances: tuple[int, ...] = (1, 8)
    shares: tuple[float, ...] = (0.5, 0.5)


class Stabilizer:
    """A clip on its way through an engine."""

    def __init__(
        self, engine: Engine, estimator: Estimator, stability: float, links: Links | None = None
    ) -> None:
        """Nothing is remembered yet.

        Args:
            engine: of single frames.
            estimator: of flow.
            stability: in [0, 1], how much of what is reliable is kept; 0: every frame is painted
                by itself.
            links: to earlier frames.
        """
        self._engine = engine
        self._estimator = estimator
        self._stability = stability
        self._links = links or Links()
        self._done: deque[Shown] = deque(maxlen=max(self._links.distances))
        self.shot = 0
        """Index of the frame that the present shot began with."""
        self.index = 0
        """Of the next frame."""

    @property
    def remembers(self) -> int:
        """How many frames before the next it may need."""
        return self._done.maxlen or 0

    def resume(self, index: int, shot: int, opening: Levels, done: Iterable[Shown]) -> None:
        """Go on at a frame as if all before it had just been done.

        Args:
            index: of the next frame.
            shot: index of the frame that its shot began with.
            opening: that frame.
            done: those of the shot before the next, the last :attr:`remembers` of them.
        """
        self.index, self.shot = index, shot
        self.opens(opening)
        self._done.clear()
        self._done.extend(done)

    def stylized(self, levels: Levels) -> tuple[Levels, Levels]:
        """The next frame's result, and what the user gets of it; in 8 bits, so that what is read
        back from a file is what was remembered.

        Args:
            levels: [H, W, 3] uint8 sRGB.
        """
        frame = from_levels(levels)
        memory = self._memory(frame) if self._stability else None
        if memory is None:
            self.shot = self.index
            self._done.clear()
            self._engine.begin(frame)
        result = self._engine.painted(frame, memory)
        if memory is not None:
            result = self._engine.steadied(result, memory, self._stability)
        rounded = to_levels(result, 8)
        self._done.append(Shown(levels, rounded))
        self.index += 1
        return rounded, self._finished(rounded, frame)

    def again(self, own: Shown, following: Sequence[tuple[int, Shown]]) -> tuple[Levels, Levels]:
        """A frame of a second pass, backwards, as :meth:`stylized`.

        Args:
            own: the frame and its result so far, which is remembered like any other.
            following: those of the shot that are done again, by their distance in frames.
        """
        frame, result = from_levels(own.frame), from_levels(own.result)
        sure = np.ones(frame.shape[:2], np.float32)
        memories, shares = [Memory(result, frame, sure)], [1.0]
        share_of = dict(zip(self._links.distances, self._links.shares, strict=True))
        for distance, shown in following:
            memories.append(recalled(frame, shown, self._estimator))
            shares.append(share_of[distance] / 2)
            shares[0] -= shares[-1]
        memory = combined(memories, shares)
        painted = self._engine.painted(frame, memory)
        result = self._engine.steadied(painted, memory, self._stability)
        rounded = to_levels(result, 8)
        return rounded, self._finished(rounded, frame)

    def opens(self, frame: Levels) -> None:
        """For :meth:`again`: what comes is of the shot that this frame begins."""
        self._engine.begin(from_levels(frame))

    @property
    def distances(self) -> tuple[int, ...]:
        """To the frames that are remembered."""
        return self._links.distances

    def _finished(self, result: Levels, frame: Floats) -> Levels:
        return to_levels(self._engine.finished(from_levels(result), frame), 8)

    def _memory(self, frame: Floats) -> Memory | None:
        """What is remembered of the shot; none: a shot begins."""
        if not self._done:
            return None
        latest = recalled(frame, self._done[-1], self._estimator)
        if is_cut(frame, from_levels(self._done[-1].frame), latest.reliability):
            return None
        memories, shares = [latest], [self._links.shares[0]]
        for distance, share in list(zip(self._links.distances, self._links.shares, strict=True))[
            1:
        ]:
            if distance <= len(self._done):
                memories.append(recalled(frame, self._done[-distance], self._estimator))
                shares.append(share)
        return combined(memories, shares)
