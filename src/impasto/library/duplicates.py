"""Find copies of a painting: the same file again, resized, recompressed, or cropped.

Style codes and whole small versions choose the pairs to look at. Then small gray versions are
compared, without their broad lights and darks, which skies and seas share: one is laid over every
place of the other at several scales, and the largest correlation decides.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Numbers = NDArray[Any]

LIKENESS = 0.3
"""Smallest cosine of the codes, or of the small versions, of a pair that is looked at."""
CORRELATION = 0.62
"""Smallest correlation of two copies where they show the same."""
_NEAREST = 30
_BLUR = 10
"""Deviation in pixels of what is taken off the thumbnails."""
_SIDE = 20
"""Side in pixels of the version that is laid over the other one."""
_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)
"""Widths and heights of a crop, relative to the whole."""
_SKEW = 0.11
"""Largest difference of the two shares."""


class CopyPair(NamedTuple):
    """Two pictures of one painting by their places, and their correlation."""

    first: int
    second: int
    correlation: float


def find_duplicates(codes: Numbers, thumbnails: Numbers) -> list[CopyPair]:
    """Find the pairs of pictures of which one is a copy or a part of the other.

    Args:
        codes: [n, 64], of length 1.
        thumbnails: [n, s, s] gray, uint8.

    Returns:
        The pairs, each with the smaller place first, in order.
    """
    sharp = [_take_off_blur(each) for each in thumbnails]
    small = [_standardize(_shrink(each, _SIDE, _SIDE)) for each in sharp]
    wholes: dict[int, list[Numbers]] = {}
    pairs = []
    flat = np.stack(small).reshape(len(small), -1) if small else codes
    candidates = _list_candidates(codes) | _list_candidates(flat)  # crops; other copies
    for first, second in sorted(candidates):
        correlation = 0.0
        for whole, part in ((first, second), (second, first)):
            if whole not in wholes:
                wholes[whole] = _cut_windows(sharp[whole])
            products = (windows @ small[part].ravel() for windows in wholes[whole])
            correlation = max(correlation, *(float(each.max()) for each in products))
        if correlation >= CORRELATION:
            pairs.append(CopyPair(first, second, correlation))
    return pairs


def group_duplicates(pairs: list[CopyPair]) -> list[list[int]]:
    """Join pairs into groups of pictures of one painting, each in order."""
    parent: dict[int, int] = {}

    def find_root(place: int) -> int:
        while parent.setdefault(place, place) != place:
            place = parent[place]
        return place

    for first, second, _ in pairs:
        low, high = sorted((find_root(first), find_root(second)))
        parent[high] = low
    groups: dict[int, list[int]] = {}
    for place in sorted(parent):
        groups.setdefault(find_root(place), []).append(place)
    return [*groups.values()]


def _list_candidates(codes: Numbers) -> set[tuple[int, int]]:
    """List pairs with similar codes [n, m] of length 1: the nearest of each picture."""
    candidates = set()
    for place, code in enumerate(codes):
        likeness = codes @ code
        likeness[place] = -1
        near = np.argsort(-likeness)[:_NEAREST]
        candidates |= {
            (min(place, int(other)), max(place, int(other)))
            for other in near
            if likeness[other] >= LIKENESS
        }
    return candidates


def _take_off_blur(gray: Numbers) -> Numbers:
    levels = gray.astype(np.float32)
    result: Numbers = levels - ndimage.gaussian_filter(levels, _BLUR)
    return result


def _shrink(gray: Numbers, width: int, height: int) -> Numbers:
    image = Image.fromarray(gray.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _standardize(values: Numbers) -> Numbers:
    """Bring values to mean 0 and length 1 along the last two axes; flat ones become 0."""
    centered = values - values.mean((-2, -1), keepdims=True)
    length = np.sqrt(np.square(centered).sum((-2, -1), keepdims=True))
    result: Numbers = np.where(length > 8, centered / np.maximum(length, 8), 0).astype(np.float32)
    return result


def _cut_windows(gray: Numbers) -> list[Numbers]:
    """Return all parts of a picture at several scales, each list as [m, side * side]."""
    lists = []
    for wide in _SHARES:
        for tall in _SHARES:
            if abs(wide - tall) <= _SKEW:
                whole = _shrink(gray, round(_SIDE / wide), round(_SIDE / tall))
                windows = np.lib.stride_tricks.sliding_window_view(whole, (_SIDE, _SIDE))
                lists.append(_standardize(windows.reshape(-1, _SIDE, _SIDE)).reshape(-1, _SIDE**2))
    return lists
