"""Remember earlier results: warp them to the current frame, combine them, and blend them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from impasto.image.picture import Floats
from impasto.video.clip.frames import Levels, levels_to_floats
from impasto.video.stabilize.flow import FlowEstimator
from impasto.video.stabilize.motion import measure_reliability, warp_image

REACH = 9
"""Odd width in pixels of the neighborhood whose new colors limit the remembered ones."""


@dataclass(frozen=True)
class PaintedFrame:
    """A frame of the clip and its result.

    Attributes:
        frame, result: [H, W, 3] uint8.
    """

    frame: Levels
    result: Levels


@dataclass(frozen=True)
class FrameMemory:
    """What one or more earlier frames predict for the current frame.

    Attributes:
        result: [H, W, 3] in [0, 1], the earlier results warped to the current frame.
        frame: [H, W, 3] in [0, 1], the earlier frames of the clip, warped in the same way.
        reliability: [H, W] in [0, 1].
    """

    result: Floats
    frame: Floats
    reliability: Floats


def recall_frame(frame: Floats, before: PaintedFrame, estimator: FlowEstimator) -> FrameMemory:
    """Predict a frame's result from one earlier frame.

    Args:
        frame: [H, W, 3] in [0, 1], the current frame of the clip.
        before: the earlier frame.
        estimator: estimates the flow between them.
    """
    other = levels_to_floats(before.frame)
    there, back = estimator.estimate_flow(frame, other), estimator.estimate_flow(other, frame)
    return FrameMemory(
        result=warp_image(levels_to_floats(before.result), there).clip(0, 1),
        frame=warp_image(other, there).clip(0, 1),
        reliability=measure_reliability(there, back, frame, other),
    )


def combine_memories(memories: Sequence[FrameMemory], shares: Sequence[float]) -> FrameMemory:
    """Combine the memories of several frames.

    Each memory gets its share of a pixel as far as it is reliable there. What remains of the pixel
    goes to the memories in order. Ruder, Dosovitskiy and Brox (arXiv:1604.08610) do the same with
    shares of 1.

    Args:
        memories: memories, the closest in time first.
        shares: one for each memory, in [0, 1].
    """
    first = memories[0]
    left = np.ones_like(first.reliability)
    weights = []
    for memory, share in zip(memories, shares, strict=True):
        weights.append(np.minimum(memory.reliability * share, left))
        left -= weights[-1]
    for place, memory in enumerate(memories):
        more = np.minimum((memory.reliability - weights[place]).clip(0), left)
        weights[place] += more
        left -= more
    total = sum(weights, np.zeros_like(left))
    reliable = total > 1e-6
    parts = [np.where(reliable, w / np.maximum(total, 1e-6), 0)[..., None] for w in weights]
    parts[0] = np.where(reliable[..., None], parts[0], 1)  # elsewhere the closest memory stands in
    return FrameMemory(
        result=sum((p * m.result for p, m in zip(parts, memories, strict=True)), 0 * first.result),
        frame=sum((p * m.frame for p, m in zip(parts, memories, strict=True)), 0 * first.frame),
        reliability=total.astype(np.float32),
    )


def blend_with_memory(
    result: Floats, memory: FrameMemory, stability: float, exponent: float = 1.0
) -> Floats:
    """Blend a new result with the remembered one, by (stability x reliability) ^ exponent.

    The remembered colors are first clipped to the range of colors that the new result has around
    each pixel, so that neither ghosts of vanished objects nor a drift of brightness can accumulate.

    Args:
        result: [H, W, 3] in [0, 1], painted by the engine.
        memory: memory of the same size.
        stability: in [0, 1].
        exponent: in (0, 1]. Smaller values keep more where the memory is half reliable. They suit
            engines that paint something different when a frame changes only a little.
    """
    around = np.ones((REACH, REACH), np.uint8)
    lowest, highest = (np.asarray(f(result, around), np.float32) for f in (cv2.erode, cv2.dilate))
    share = (stability * memory.reliability[..., None]) ** exponent
    mixed = result + share * (memory.result.clip(lowest, highest) - result)
    return np.asarray(mixed, np.float32)
