"""Paint films without flicker: the result is steady wherever the clip is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from impasto.image.picture import Floats, to_levels
from impasto.video.clip.frames import Levels, levels_to_floats
from impasto.video.stabilize.flow import FlowEstimator
from impasto.video.stabilize.frame_memory import (
    FrameMemory,
    PaintedFrame,
    combine_memories,
    recall_frame,
)
from impasto.video.stabilize.motion import is_cut

STABILIZER_VERSION = 3
"""Version of the results. Raise it with every change of results: a film that was begun with another
version is not resumed."""


class FrameEngine(Protocol):
    """Paints single frames."""

    def begin_shot(self, frame: Floats) -> None:
        """Begin a shot with its first frame, and fix what must not change within the shot."""

    def paint(self, frame: Floats, memory: FrameMemory | None) -> Floats:
        """Paint a frame.

        Args:
            frame: [H, W, 3] float32 RGB in [0, 1].
            memory: prediction from earlier frames of the shot. None: this is the first frame.

        Returns:
            [H, W, 3] in [0, 1].
        """

    def steady(self, frame: Floats, memory: FrameMemory, stability: float) -> Floats:
        """Blend a painted frame with the memory, to the extent that the engine relies on blending.

        See :func:`impasto.video.stabilize.frame_memory.blend_with_memory`.

        Args:
            frame: result of :meth:`paint` with the same memory.
            memory: prediction from earlier frames of the shot.
            stability: how close the result is to the memory, in [0, 1].
        """

    def finish(self, result: Floats, frame: Floats) -> Floats:
        """Turn a stabilized result into the frame of the film.

        Later frames remember ``result``, not what this method returns.
        """


@dataclass(frozen=True)
class FrameLinks:
    """Which earlier frames are remembered.

    Attributes:
        distances: distances in frames, ascending, beginning with 1.
        shares: weight of each in pixels where all of them are reliable.
    """

    distances: tuple[int, ...] = (1, 8)
    shares: tuple[float, ...] = (0.5, 0.5)


class Stabilizer:
    """Paints the frames of a clip one after another and keeps them steady."""

    def __init__(
        self,
        engine: FrameEngine,
        estimator: FlowEstimator,
        stability: float,
        links: FrameLinks | None = None,
    ) -> None:
        """Start with an empty memory.

        Args:
            engine: paints single frames.
            estimator: estimates optical flow.
            stability: how much of the reliable parts is kept, in [0, 1]. 0: every frame is painted
                independently.
            links: which earlier frames are remembered. None: the default.
        """
        self._engine = engine
        self._estimator = estimator
        self._stability = stability
        self._links = links or FrameLinks()
        self._history: deque[PaintedFrame] = deque(maxlen=max(self._links.distances))
        self.shot = 0
        """Index of the first frame of the current shot."""
        self.index = 0
        """Index of the next frame."""

    @property
    def memory_length(self) -> int:
        """Number of preceding frames that the next frame may depend on."""
        return self._history.maxlen or 0

    @property
    def distances(self) -> tuple[int, ...]:
        """Distances in frames to the frames that are remembered."""
        return self._links.distances

    def resume(
        self, index: int, shot: int, opening: Levels, history: Iterable[PaintedFrame]
    ) -> None:
        """Continue at a frame as if all frames before it had just been painted.

        Args:
            index: index of the next frame.
            shot: index of the first frame of its shot.
            opening: the first frame of the shot, [H, W, 3] uint8.
            history: the last :attr:`memory_length` frames of the shot before the next one.
        """
        self.index, self.shot = index, shot
        self.open_shot(opening)
        self._history.clear()
        self._history.extend(history)

    def open_shot(self, frame: Levels) -> None:
        """Prepare the engine for the shot that begins with a frame, [H, W, 3] uint8."""
        self._engine.begin_shot(levels_to_floats(frame))

    def stylize_frame(self, levels: Levels) -> tuple[Levels, Levels]:
        """Paint the next frame.

        Results are rounded to 8 bits, so that a result read back from a file is remembered exactly.

        Args:
            levels: [H, W, 3] uint8 sRGB.

        Returns:
            The result to remember, and the frame of the film.
        """
        frame = levels_to_floats(levels)
        memory = self._recall_shot(frame) if self._stability else None
        if memory is None:
            self.shot = self.index
            self._history.clear()
            self._engine.begin_shot(frame)
        result = self._engine.paint(frame, memory)
        if memory is not None:
            result = self._engine.steady(result, memory, self._stability)
        rounded = to_levels(result, 8)
        self._history.append(PaintedFrame(levels, rounded))
        self.index += 1
        return rounded, self._finish_frame(rounded, frame)

    def repaint_frame(
        self, own: PaintedFrame, following: Sequence[tuple[int, PaintedFrame]]
    ) -> tuple[Levels, Levels]:
        """Paint a frame again in a second, backward pass; call :meth:`open_shot` before.

        Args:
            own: the frame and its current result, which is remembered like that of any other frame.
            following: frames of the shot that have already been repainted, each with its distance.

        Returns:
            The result to remember, and the frame of the film.
        """
        frame, result = levels_to_floats(own.frame), levels_to_floats(own.result)
        certain = np.ones(frame.shape[:2], np.float32)
        memories, shares = [FrameMemory(result, frame, certain)], [1.0]
        share_of = dict(zip(self._links.distances, self._links.shares, strict=True))
        for distance, other in following:
            memories.append(recall_frame(frame, other, self._estimator))
            shares.append(share_of[distance] / 2)
            shares[0] -= shares[-1]
        memory = combine_memories(memories, shares)
        raw = self._engine.paint(frame, memory)
        result = self._engine.steady(raw, memory, self._stability)
        rounded = to_levels(result, 8)
        return rounded, self._finish_frame(rounded, frame)

    def _finish_frame(self, result: Levels, frame: Floats) -> Levels:
        return to_levels(self._engine.finish(levels_to_floats(result), frame), 8)

    def _recall_shot(self, frame: Floats) -> FrameMemory | None:
        """Predict a frame's result from the current shot. None: the frame begins a new shot."""
        if not self._history:
            return None
        latest = self._history[-1]
        memory = recall_frame(frame, latest, self._estimator)
        if is_cut(frame, levels_to_floats(latest.frame), memory.reliability):
            return None
        memories, shares = [memory], [self._links.shares[0]]
        for distance, share in zip(self._links.distances[1:], self._links.shares[1:], strict=True):
            if distance <= len(self._history):
                memories.append(recall_frame(frame, self._history[-distance], self._estimator))
                shares.append(share)
        return combine_memories(memories, shares)
