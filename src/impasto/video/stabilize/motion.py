"""Motion between two frames, given the flow both ways: what moved where, and what is sure of it.

A *flow* is [H, W, 2] float32: for every pixel of one frame, how far right and down in pixels the
same thing is in another frame. Frames are [H, W, 3] float32 RGB in [0, 1]. All functions are pure.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from impasto.image.masks import LUMA
from impasto.image.picture import Floats

Flow = NDArray[np.float32]

ALIKE = 0.12
"""Difference of colors, in [0, 1], at which two views of a thing count e^-1/2 of a sure one."""
MARGIN = 3
"""Pixels, odd: what is unsure makes its neighbors so, within half of this."""
CUTS = ((0.01, 1.0), (0.025, 0.8), (0.1, 0.65), (0.3, 0.5))
"""A new shot, any of: mean reliability below the first, overlap of luma histograms not above the
second. Fast motion alone leaves the histogram nearly as it was; something large that comes into
view does not quite. After a cut that is missed nearly all is painted anew too, but in colors
matched, and codes measured, for the shot before."""


def places(flow: Flow) -> tuple[Floats, Floats]:
    """Where every pixel goes: x and y, [H, W] each, in pixels from the center of the first."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x + flow[..., 0], y + flow[..., 1]


def warped(image: Floats, flow: Flow, *, sharply: bool = True) -> Floats:
    """What another frame shows where each pixel of this one was.

    Args:
        image: [H, W] or [H, W, C] of the other frame.
        flow: from this frame to it.
        sharply: bicubic, in which many warps in a row blur little; else bilinear, which never
            leaves the range of its neighbors.
    """
    kind = cv2.INTER_CUBIC if sharply else cv2.INTER_LINEAR
    result: Any = cv2.remap(image, *places(flow), kind, borderMode=cv2.BORDER_REPLICATE)
    return result  # type: ignore[no-any-return]


def inside(flow: Flow) -> NDArray[np.bool_]:
    """Whether each pixel's place in the other frame is inside it."""
    height, width = flow.shape[:2]
    x, y = places(flow)
    result: NDArray[np.bool_] = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return result


def consistent(there: Flow, back: Flow) -> NDArray[np.bool_]:
    """Whether going there and back ends where it began.

    Sundaram, Brox and Keutzer 2010, with the constants of Ruder, Dosovitskiy and Brox
    (arXiv:1604.08610): |w + w'|^2 <= 0.01 (|w|^2 + |w'|^2) + 0.5.

    Args:
        there: from this frame to the other.
        back: from the other to this one.
    """
    returned = warped(back, there, sharply=False)
    apart = np.square(there + returned).sum(-1)
    far = np.square(there).sum(-1) + np.square(returned).sum(-1)
    agree: NDArray[np.bool_] = (apart <= 0.01 * far + 0.5) & inside(there)
    return agree


def moves_smoothly(flow: Flow) -> NDArray[np.bool_]:
    """Whether no boundary of motion runs through a pixel.

    Likewise: |grad u|^2 + |grad v|^2 <= 0.01 |w|^2 + 0.002.
    """
    bend = np.zeros(flow.shape[:2], np.float32)
    for component in (0, 1):
        for slope in np.gradient(flow[..., component]):
            bend += np.square(slope)
    smooth: NDArray[np.bool_] = bend <= 0.01 * np.square(flow).sum(-1) + 0.002
    return smooth


def likeness(frame: Floats, other: Floats) -> Floats:
    """exp(-d^2 / 2 s^2) for colors that differ by d, the root of the mean square over channels, s
    being :data:`ALIKE`; [H, W].
    """
    apart = np.square(frame - other).mean(-1)
    result: Floats = np.exp(-apart / (2 * ALIKE**2)).astype(np.float32)
    return result


def reliability(there: Flow, back: Flow, frame: Floats, other: Floats) -> Floats:
    """How sure it is that each pixel of a frame is where a flow says in another, [H, W] in [0, 1].

    Args:
        there, back: flows from the frame to the other, and from the other to the frame.
        frame, other: what both show.
    """
    sure = (consistent(there, back) & moves_smoothly(there)).astype(np.float32)
    sure *= likeness(frame, warped(other, there, sharply=False))
    shrunk = cv2.erode(sure, np.ones((MARGIN, MARGIN), np.uint8))
    soft: Any = cv2.GaussianBlur(shrunk, (0, 0), 1.0)
    result: Floats = np.minimum(soft, sure)
    return result


def is_cut(frame: Floats, other: Floats, sure: Floats) -> bool:
    """Whether a frame begins a shot after another, by what is alike and what is reliable.

    Args:
        frame, other: neighbors in time.
        sure: of :func:`reliability`.
    """
    here, before = _luma_histogram(frame), _luma_histogram(other)
    overlap = float(np.minimum(here, before).sum())
    return any(float(sure.mean()) < least and overlap <= alike for least, alike in CUTS)


def _luma_histogram(frame: Floats) -> NDArray[np.float64]:
    counts, _ = np.histogram(frame @ LUMA, bins=32, range=(0, 1))
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares
