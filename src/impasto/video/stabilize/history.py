"""What earlier frames say about this one: their results where things are now, the closest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impasto.image.picture import Floats
from impasto.video.clip.clip import Levels, from_levels
from impasto.video.stabilize.flow import Estimator
from impasto.video.stabilize.motion import reliability, warped


@dataclass(frozen=True)
class Shown:
    """A frame that is done: what the clip showed, and what was made of it; [H, W, 3] uint8."""

    frame: Levels
    result: Levels


@dataclass(frozen=True)
class Memory:
    """Of one or more earlier results.

    Attributes:
        result: [H, W, 3] in [0, 1], brought to where things are in this frame.
        frame: likewise, what the clip showed there.
        reliability: [H, W] in [0, 1].
    """

    result: Floats
    frame: Floats
    reliability: Floats


def recalled(frame: Floats, before: Shown, estimator: Estimator) -> Memory:
    """What one earlier frame says about this one, [H, W, 3] in [0, 1].

    Args:
        frame: this one, as it is in the clip.
        before: the earlier one, and what was made of it.
        estimator: of the flow between them.
    """
    other = from_levels(before.frame)
    there, back = estimator.flow(frame, other), estimator.flow(other, frame)
    return Memory(
        warped(from_levels(before.result), there).clip(0, 1),
        warped(other, there).clip(0, 1),
        reliability(there, back, frame, other),
    )


def combined(memories: Sequence[Memory], shares: Sequence[float]) -> Memory:
    """Of several memories one: each has its share of what is reliable of it, and what that leaves
    of a pixel goes to the others, the first first (Ruder, Dosovitskiy and Brox, arXiv:1604.08610,
    have shares of 1).

    Args:
        memories: the closest in time first.
        shares: in [0, 1], one for each.
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
    known = total > 1e-6
    share_of = [np.where(known, w / np.maximum(total, 1e-6), 0)[..., None] for w in weights]
    share_of[0] = np.where(known[..., None], share_of[0], 1)  # what nobody knows: as it was last
    return Memory(
        sum((s * m.result for s, m in zip(share_of, memories, strict=True)), 0 * first.result),
        sum((s * m.frame for s, m in zip(share_of, memories, strict=True)), 0 * first.frame),
        total.astype(np.float32),
    )
