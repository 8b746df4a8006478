"""A new result and what is remembered, mixed so that nothing builds up."""

from __future__ import annotations

import cv2
import numpy as np

from impasto.image.picture import Floats
from impasto.video.stabilize.history import Memory

REACH = 9
"""Pixels, odd: a remembered color may be any that the new result has within half of this."""


def blended(result: Floats, memory: Memory, stability: float, doubt: float = 1.0) -> Floats:
    """A result with as much of what is remembered as is reliable, times the stability, to a power.

    What is remembered is first brought into the range of colors that the result has around each
    pixel, so that neither ghosts of what has gone nor a drift of brightness can build up.

    Args:
        result: [H, W, 3] in [0, 1], the engine's.
        memory: of the same size.
        stability: in [0, 1].
        doubt: in (0, 1], the power: 1 for half of what is half sure; less for an engine that
            paints another thing wherever a frame looks only a little different.
    """
    around = np.ones((REACH, REACH), np.uint8)
    lowest, highest = (np.asarray(f(result, around), np.float32) for f in (cv2.erode, cv2.dilate))
    share = (stability * memory.reliability[..., None]) ** doubt
    mixed = result + share * (memory.result.clip(lowest, highest) - result)
    return np.asarray(mixed, np.float32)
