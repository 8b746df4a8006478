"""Measure films: how steady they are where the clip is, and how well they keep the style."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from impasto.evaluate.compare import (
    PictureMeasurement,
    compute_metrics,
    load_reference_encoder,
    resize_painting,
)
from impasto.image.picture import Floats, Picture
from impasto.video.stabilize.flow import FlowEstimator
from impasto.video.stabilize.motion import (
    Flow,
    find_consistent_flow,
    find_smooth_motion,
    is_cut,
    measure_reliability,
    warp_image,
)

DISTANCES = (1, 10)
"""Distances in frames at which frames are compared."""
SOURCE = "source"
"""Name of the clip among the films: its own difference is the lower bound."""


def measure_warped_rmse(frame: Floats, other: Floats, there: Flow, weight: Floats) -> float:
    """Compute the weighted root mean square difference between a frame and a warped one.

    Args:
        frame, other: [H, W, 3] in [0, 1]; ``other`` is warped to ``frame``.
        there: flow from ``frame`` to ``other``.
        weight: [H, W] in [0, 1], not all 0.
    """
    apart = np.square(frame.astype(np.float64) - warp_image(other, there)).mean(-1)
    return math.sqrt(float((weight * apart).sum() / weight.sum()))


def mask_consistent_motion(there: Flow, back: Flow) -> Floats:
    """Mark the pixels whose flow is consistent and smooth: [H, W], 1 there and 0 elsewhere.

    The colors of the frames are ignored: a flickering film must not choose where it is measured.
    """
    return (find_consistent_flow(there, back) & find_smooth_motion(there)).astype(np.float32)


class SteadinessMeter:
    """Measures the warped difference of a clip and of films made from it, frame by frame."""

    def __init__(self, estimator: FlowEstimator, distances: Sequence[int] = DISTANCES) -> None:
        """Start without frames.

        Args:
            estimator: estimates the flow of the clip.
            distances: distances in frames at which frames are compared.
        """
        self._estimator = estimator
        self._distances = tuple(distances)
        self._history: deque[Mapping[str, Floats]] = deque(maxlen=max(self._distances))
        self._rmse: dict[str, dict[int, list[float]]] = {}
        self._shares: dict[int, list[float]] = {each: [] for each in self._distances}

    def add_frame(self, source: Floats, films: Mapping[str, Floats]) -> None:
        """Add the next frame.

        Args:
            source: the clip's frame, [H, W, 3] in [0, 1].
            films: the frames of the films by name, of the same size.
        """
        if self._history and self._begins_shot(source):
            self._history.clear()
        frames = {SOURCE: source, **films}
        for distance in self._distances:
            if distance <= len(self._history):
                self._compare(frames, self._history[-distance], distance)
        self._history.append(frames)

    def average_results(self) -> dict[str, dict[str, float]]:
        """Average :func:`measure_warped_rmse` over all pairs of frames.

        Returns:
            By film, ``rmse_1`` and so on for each distance at which there was a pair. The clip
            itself is named ``source``.
        """
        return {
            name: {f"rmse_{d}": sum(values) / len(values) for d, values in each.items() if values}
            for name, each in self._rmse.items()
        }

    def average_shares(self) -> dict[str, float]:
        """Average the share of pixels that were compared: ``share_1`` and so on, in [0, 1]."""
        return {f"share_{d}": sum(s) / len(s) for d, s in self._shares.items() if s}

    def _compare(
        self, frames: Mapping[str, Floats], before: Mapping[str, Floats], distance: int
    ) -> None:
        there = self._estimator.estimate_flow(frames[SOURCE], before[SOURCE])
        back = self._estimator.estimate_flow(before[SOURCE], frames[SOURCE])
        mask = mask_consistent_motion(there, back)
        self._shares[distance].append(float(mask.mean()))
        if not mask.any():
            return
        for name, frame in frames.items():
            values = self._rmse.setdefault(name, {each: [] for each in self._distances})
            values[distance].append(measure_warped_rmse(frame, before[name], there, mask))

    def _begins_shot(self, source: Floats) -> bool:
        before = self._history[-1][SOURCE]
        there = self._estimator.estimate_flow(source, before)
        back = self._estimator.estimate_flow(before, source)
        return is_cut(source, before, measure_reliability(there, back, source, before))


class FilmStyleMeter:
    """Averages the metrics of :mod:`impasto.evaluate.compare` over some frames."""

    NAMES = ("content_ssim", "style_gram", "style_w2")

    def __init__(self, painting: Picture, every: int) -> None:
        """Load the network.

        Args:
            painting: the style.
            every: measure every n-th frame.
        """
        self._painting = painting
        self._target: PictureMeasurement | None = None
        self._every = every
        self._encoder = load_reference_encoder()
        self._index = 0
        self._latest: tuple[Floats, Mapping[str, Floats]] | None = None
        self._figures: dict[str, list[dict[str, float]]] = {}

    def add_frame(self, source: Floats, films: Mapping[str, Floats]) -> None:
        """Add the next frame, as for :meth:`SteadinessMeter.add_frame`."""
        self._latest = source, films
        if self._index % self._every == self._every // 2:
            self._measure(source, films)
        self._index += 1

    def average_results(self) -> dict[str, dict[str, float]]:
        """Average the metrics over the measured frames, by film.

        If the clip was shorter than expected and no frame was measured, the last one is.
        """
        if not self._figures and self._latest is not None:
            self._measure(*self._latest)
        return {
            name: {key: sum(each[key] for each in values) / len(values) for key in self.NAMES}
            for name, values in self._figures.items()
        }

    def _measure(self, source: Floats, films: Mapping[str, Floats]) -> None:
        photo = PictureMeasurement.measure(Picture(source), self._encoder)
        if self._target is None:  # all frames have the same size
            size = (source.shape[1], source.shape[0])
            fitted = resize_painting(self._painting, size)
            self._target = PictureMeasurement.measure(fitted, self._encoder)
        for name, frame in films.items():
            values = compute_metrics(
                photo, self._target, PictureMeasurement.measure(Picture(frame), self._encoder)
            )
            self._figures.setdefault(name, []).append(values)
