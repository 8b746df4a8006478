"""Estimate optical flow between two frames."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

from impasto.image.masks import LUMA
from impasto.image.picture import Floats
from impasto.video.stabilize.motion import Flow

LARGEST = 1024
"""Longer side in pixels: the flow of larger frames is estimated at this size and enlarged."""


class FlowEstimator(Protocol):
    """Estimates optical flow.

    The result depends on the two frames only, so that a resumed film equals an uninterrupted one.
    """

    def estimate_flow(self, frame: Floats, other: Floats) -> Flow:
        """Estimate the flow from a frame to another one.

        Args:
            frame, other: [H, W, 3] float32 RGB in [0, 1].

        Returns:
            [H, W, 2] float32, in pixels; see :mod:`impasto.video.stabilize.motion`.
        """


class DisEstimator:
    """Dense inverse search (Kroeger et al., arXiv:1603.03590), implemented by OpenCV."""

    def __init__(self, *, fast: bool = False) -> None:
        """Choose one of OpenCV's presets: "fast", or the more precise "medium"."""
        preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if fast else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        self._dis: Any = cv2.DISOpticalFlow.create(preset)

    def estimate_flow(self, frame: Floats, other: Floats) -> Flow:
        """Estimate the flow, see :class:`FlowEstimator`."""
        height, width = frame.shape[:2]
        ratio = min(1.0, LARGEST / max(height, width))
        size = max(1, round(width * ratio)), max(1, round(height * ratio))
        flow: Any = self._dis.calc(
            _convert_to_gray(frame, size), _convert_to_gray(other, size), None
        )
        if ratio == 1:
            return np.asarray(flow, np.float32)
        large: Any = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(large * (width / size[0], height / size[1]), np.float32)


def _convert_to_gray(frame: Floats, size: tuple[int, int]) -> Any:
    luma = np.rint((frame @ LUMA) * 255).clip(0, 255).astype(np.uint8)
    if size == (frame.shape[1], frame.shape[0]):
        return luma
    return cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
