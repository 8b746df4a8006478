"""The choices about the frames of a film that its engine has to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FrameSettings:
    """How the frames of a film are painted.

    Attributes:
        stability: how close frames are kept to the ones before, in [0, 1].
        iterations: on all of every later frame, for an optimizer. None: what its reliability calls
            for.
        freeze_statistics: whether a network normalizes all frames of a shot by the first one's
            statistics.
    """

    stability: float
    iterations: int | None = None
    freeze_statistics: bool = False
