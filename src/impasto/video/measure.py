"""How still a film holds where its clip does: warped differences, with the clip's own as floor."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from impasto.evaluate.compare import Measured, figures, painting_beside, reference_encoder
from impasto.image.picture import Floats, Picture
from impasto.video.stabilize.flow import Estimator
from impasto.video.stabilize.motion import (
    Flow,
    consistent,
    is_cut,
    moves_smoothly,
    reliability,
    warped,
)

DISTANCES = (1, 10)
"""In frames."""
SOURCE = "source"
"""The name of the clip itself among what is measured: its own difference is the floor."""


def warped_rmse(frame: Floats, other: Floats, there: Flow, sure: Floats) -> float:
    """Root of the mean square difference of a frame and another one brought to it.

    Args:
        frame, other: [H, W, 3] in [0, 1].
        there: flow from the frame to the other.
        sure: [H, W] in [0, 1], what counts; some above 0.
    """
    apart = np.square(frame.astype(np.float64) - warped(other, there)).mean(-1)
    return math.sqrt(float((sure * apart).sum() / sure.sum()))


def mask_of_consistency(there: Flow, back: Flow) -> Floats:
    """1 where flow there and back agree and no boundary of motion runs, else 0, [H, W]. What the
    frames look like has no say: a flickering film must not choose where it is looked at.
    """
    return (consistent(there, back) & moves_smoothly(there)).astype(np.float32)


class Steadiness:
    """Sees a clip and the films made of it, frame by frame, in the memory of a few frames."""

    def __init__(self, estimator: Estimator, distances: Sequence[int] = DISTANCES) -> None:
        """Nothing is seen yet.

        Args:
            estimator: of the clip's flow.
            distances: between the frames that are compared.
        """
        self._estimator = estimator
        self._distances = tuple(distances)
        self._seen: deque[Mapping[str, Floats]] = deque(maxlen=max(self._distances))
        self._found: dict[str, dict[int, list[float]]] = {}
        self._shares: dict[int, list[float]] = {each: [] for each in self._distances}

    def see(self, source: Floats, films: Mapping[str, Floats]) -> None:
        """The next frame.

        Args:
            source: [H, W, 3] in [0, 1], of the clip.
            films: of the same size, by name.
        """
        if self._seen and self._cut(source):
            self._seen.clear()
        frames = {SOURCE: source, **films}
        for distance in self._distances:
            if distance <= len(self._seen):
                self._compare(frames, self._seen[-distance], distance)
        self._seen.append(frames)

    def results(self) -> dict[str, dict[str, float]]:
        """By name, the mean over pairs of :func:`warped_rmse` at each distance, ``rmse_1`` and so
        on, without those of which there was no pair; those of the clip itself as ``source``.
        """
        return {
            name: {f"rmse_{d}": sum(found) / len(found) for d, found in each.items() if found}
            for name, each in self._found.items()
        }

    def shares(self) -> dict[str, float]:
        """``share_1`` and so on: how much of the frames was compared, on average."""
        return {f"share_{d}": sum(s) / len(s) for d, s in self._shares.items() if s}

    def _compare(
        self, frames: Mapping[str, Floats], before: Mapping[str, Floats], distance: int
    ) -> None:
        there = self._estimator.flow(frames[SOURCE], before[SOURCE])
        back = self._estimator.flow(before[SOURCE], frames[SOURCE])
        sure = mask_of_consistency(there, back)
        self._shares[distance].append(float(sure.mean()))
        if not sure.any():
            return
        for name, frame in frames.items():
            found = self._found.setdefault(name, {each: [] for each in self._distances})
            found[distance].append(warped_rmse(frame, before[name], there, sure))

    def _cut(self, source: Floats) -> bool:
        before = self._seen[-1][SOURCE]
        there, back = (
            self._estimator.flow(source, before),
            self._estimator.flow(before, source),
        )
        return is_cut(source, before, reliability(there, back, source, before))


class StyleOnFrames:
    """The metrics of :func:`impasto.evaluate.compare.figures`, averaged over some frames."""

    NAMES = ("content_ssim", "style_gram", "style_w2")

    def __init__(self, painting: Picture, every: int) -> None:
        """Load the network.

        Args:
            painting: the style.
            every: of how many frames one is measured.
        """
        self._painting = painting
        self._target: Measured | None = None
        self._every = every
        self._encoder = reference_encoder()
        self._index = 0
        self._latest: tuple[Floats, Mapping[str, Floats]] | None = None
        self._found: dict[str, list[dict[str, float]]] = {}

    def see(self, source: Floats, films: Mapping[str, Floats]) -> None:
        """The next frame, as of :meth:`Steadiness.see`."""
        self._latest = source, films
        if self._index % self._every == self._every // 2:
            self._measure(source, films)
        self._index += 1

    def _measure(self, source: Floats, films: Mapping[str, Floats]) -> None:
        photo = Measured.of(Picture(source), self._encoder)
        size = (source.shape[1], source.shape[0])
        if self._target is None:  # every frame has the same size
            beside = painting_beside(self._painting, size)
            self._target = Measured.of(beside, self._encoder)
        for name, frame in films.items():
            found = figures(photo, self._target, Measured.of(Picture(frame), self._encoder))
            self._found.setdefault(name, []).append(found)

    def results(self) -> dict[str, dict[str, float]]:
        """By film, the means; of the last frame, if the clip had fewer than it was said to have."""
        if not self._found and self._latest is not None:
            self._measure(*self._latest)
        return {
            name: {key: sum(each[key] for each in found) / len(found) for key in self.NAMES}
            for name, found in self._found.items()
        }
