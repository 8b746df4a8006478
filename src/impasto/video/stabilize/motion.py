"""Measure motion between two frames from the flow in both directions, and how reliable it is.

A *flow* is [H, W, 2] float32. For every pixel of one frame it holds the displacement to the right
and downwards, in pixels, at which the same thing appears in another frame. Frames are [H, W, 3]
float32 RGB in [0, 1]. All functions are pure.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from impasto.image.masks import LUMA
from impasto.image.picture import Floats

Flow = NDArray[np.float32]

COLOR_TOLERANCE = 0.12
"""Root mean square difference of colors, in [0, 1], at which the likeness falls to e^-1/2."""
MARGIN = 3
"""Odd width in pixels of the neighborhood that an unreliable pixel makes unreliable."""
CUTS = ((0.01, 1.0), (0.025, 0.8), (0.1, 0.65), (0.3, 0.5))
"""Conditions for a cut, of which one is enough: (mean reliability below this, overlap of the luma
histograms at most this). Fast motion lowers the reliability but hardly changes the histogram; a
large object that enters the frame changes it somewhat. A cut that is missed costs little: nearly
everything is painted anew, but with the colors and style codes of the shot before."""


def locate_pixels(flow: Flow) -> tuple[Floats, Floats]:
    """Compute where the flow takes every pixel.

    Returns:
        x and y, [H, W] each, in pixels from the center of the top left pixel.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x + flow[..., 0], y + flow[..., 1]


def warp_image(image: Floats, flow: Flow, *, bicubic: bool = True) -> Floats:
    """Warp an image of another frame so that it matches this frame.

    Args:
        image: [H, W] or [H, W, C], of the other frame.
        flow: flow from this frame to the other.
        bicubic: use bicubic interpolation, which blurs little even when warps are repeated.
            False: bilinear, which never leaves the range of the neighboring values.
    """
    kind = cv2.INTER_CUBIC if bicubic else cv2.INTER_LINEAR
    result: Any = cv2.remap(image, *locate_pixels(flow), kind, borderMode=cv2.BORDER_REPLICATE)
    return result  # type: ignore[no-any-return]


def find_pixels_inside(flow: Flow) -> NDArray[np.bool_]:
    """Find the pixels, [H, W], whose position in the other frame is inside that frame."""
    height, width = flow.shape[:2]
    x, y = locate_pixels(flow)
    result: NDArray[np.bool_] = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return result


def find_consistent_flow(there: Flow, back: Flow) -> NDArray[np.bool_]:
    """Find the pixels, [H, W], that the flow there and back returns to where they were.

    Sundaram, Brox and Keutzer 2010, with the constants of Ruder, Dosovitskiy and Brox
    (arXiv:1604.08610): |w + w'|^2 <= 0.01 (|w|^2 + |w'|^2) + 0.5.

    Args:
        there: flow from this frame to the other.
        back: flow from the other frame to this one.
    """
    returned = warp_image(back, there, bicubic=False)
    distance = np.square(there + returned).sum(-1)
    length = np.square(there).sum(-1) + np.square(returned).sum(-1)
    agree: NDArray[np.bool_] = (distance <= 0.01 * length + 0.5) & find_pixels_inside(there)
    return agree


def find_smooth_motion(flow: Flow) -> NDArray[np.bool_]:
    """Find the pixels, [H, W], through which no motion boundary runs.

    From the same papers: |grad u|^2 + |grad v|^2 <= 0.01 |w|^2 + 0.002.
    """
    bend = np.zeros(flow.shape[:2], np.float32)
    for component in (0, 1):
        for slope in np.gradient(flow[..., component]):
            bend += np.square(slope)
    smooth: NDArray[np.bool_] = bend <= 0.01 * np.square(flow).sum(-1) + 0.002
    return smooth


def measure_likeness(frame: Floats, other: Floats) -> Floats:
    """Measure how similar two frames are at each pixel, [H, W] in [0, 1].

    The likeness is exp(-d^2 / 2 s^2), where d is the root mean square difference over the channels
    and s is :data:`COLOR_TOLERANCE`.
    """
    apart = np.square(frame - other).mean(-1)
    result: Floats = np.exp(-apart / (2 * COLOR_TOLERANCE**2)).astype(np.float32)
    return result


def measure_reliability(there: Flow, back: Flow, frame: Floats, other: Floats) -> Floats:
    """Measure how reliable the flow from a frame to another is at each pixel, [H, W] in [0, 1].

    Args:
        there, back: flow from the frame to the other, and from the other to the frame.
        frame, other: the two frames.
    """
    sure = (find_consistent_flow(there, back) & find_smooth_motion(there)).astype(np.float32)
    sure *= measure_likeness(frame, warp_image(other, there, bicubic=False))
    shrunk = cv2.erode(sure, np.ones((MARGIN, MARGIN), np.uint8))
    soft: Any = cv2.GaussianBlur(shrunk, (0, 0), 1.0)
    result: Floats = np.minimum(soft, sure)
    return result


def is_cut(frame: Floats, other: Floats, reliability: Floats) -> bool:
    """Tell whether a new shot begins between two neighboring frames.

    Args:
        frame, other: the two frames.
        reliability: result of :func:`measure_reliability` for them.
    """
    here, before = _count_luma(frame), _count_luma(other)
    overlap = float(np.minimum(here, before).sum())
    mean = float(reliability.mean())
    return any(mean < least and overlap <= most for least, most in CUTS)


def _count_luma(frame: Floats) -> NDArray[np.float64]:
    """Return the luma histogram as shares of all pixels."""
    counts, _ = np.histogram(frame @ LUMA, bins=32, range=(0, 1))
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares
