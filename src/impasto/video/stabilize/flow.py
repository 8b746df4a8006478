"""Optical flow: who estimates it."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

from impasto.image.masks import LUMA
from impasto.image.picture import Floats
from impasto.video.stabilize.motion import Flow

LARGEST = 1024
"""Pixels, longer side: flow of larger frames is estimated on reduced ones."""


class Estimator(Protocol):
    """Of flow; a function of two frames, without memory, so that a resumed job finds the same."""

    def flow(self, frame: Floats, other: Floats) -> Flow:
        """[H, W, 2] from a frame to another, both [H, W, 3] float32 RGB in [0, 1]."""


class Dis:
    """Dense inverse search (Kroeger et al., arXiv:1603.03590), as OpenCV has it."""

    def __init__(self, *, fast: bool = False) -> None:
        """Choose between OpenCV's presets: fast, or medium, which is finer."""
        preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if fast else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        self._dis: Any = cv2.DISOpticalFlow.create(preset)

    def flow(self, frame: Floats, other: Floats) -> Flow:
        """See :class:`Estimator`."""
        height, width = frame.shape[:2]
        ratio = min(1.0, LARGEST / max(height, width))
        size = max(1, round(width * ratio)), max(1, round(height * ratio))
        found: Any = self._dis.calc(_gray(frame, size), _gray(other, size), None)
        if ratio == 1:
            return np.asarray(found, np.float32)
        large: Any = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(large * (width / size[0], height / size[1]), np.float32)


def _gray(frame: Floats, size: tuple[int, int]) -> Any:
    luma = np.rint((frame @ LUMA) * 255).clip(0, 255).astype(np.uint8)
    if size == (frame.shape[1], frame.shape[0]):
        return luma
    return cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
