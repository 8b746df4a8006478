"""Give a result the chroma of the photo, and keep its own lightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from impasto.image.color.gamut import convert_rows_to_srgb
from impasto.image.color.spaces import Floats, srgb_to_oklab
from impasto.image.guided_filter import Doubles, average_boxes, fit_guided_filter
from impasto.image.picture import Picture, fit_within
from impasto.image.rows import resize_rows

LONGER_SIDE = 512
"""Longer side in pixels at which the photo's chroma is fitted; the fit is then enlarged."""
REACH = 1 / 64
"""How far an edge may have moved, as a share of the longer side."""
_RIDGE = 1e-4
"""Regularization of the fit in squared OKLab units: shades closer than 0.01 share a chroma."""
_UNCHANGED = 0.02
"""Root mean square difference in OKLab below which a place counts as unchanged."""


def copy_chroma(result: Picture, photo: Picture) -> Picture:
    """Give a result the chroma that the photo has at the same place (compare :func:`carry_chroma`).

    Gatys et al., "Preserving color in neural artistic style transfer" (2016), in OKLab.
    """

    def convert(rows: slice) -> Floats:
        lab = srgb_to_oklab(result.read_rows(rows))
        lab[..., 1:] = _compute_chroma(photo, result, rows)
        return lab

    return result.with_pixels(convert_rows_to_srgb(convert, result.height, result.width))


def carry_chroma(result: Picture, photo: Picture) -> Picture:
    """Give a result the photo's chroma, moved to where the result has its edges.

    Copied chroma makes a halo wherever the result has moved an edge. Here the chroma is fitted in
    every window as an affine function of the result's own colors, so that both have the same edges
    (the guided filter of He, Sun and Tang, 2010, fitted at a reduced size). The fit is limited to
    the range of the photo's chroma nearby; otherwise an outline that only the painting has would
    get a color of neither side. Where the result still shows the photo, its chroma is copied.

    Args:
        result: at any size.
        photo: at any size, with the same aspect.
    """
    fit = _ChromaFit.fit(result, photo)

    def convert(rows: slice) -> Floats:
        lab = srgb_to_oklab(result.read_rows(rows))
        chroma, unchanged = fit.evaluate(lab, rows, result.height)
        lab[..., 1:] = chroma + unchanged * (_compute_chroma(photo, result, rows) - chroma)
        return lab

    return result.with_pixels(convert_rows_to_srgb(convert, result.height, result.width))


def _compute_chroma(photo: Picture, result: Picture, rows: slice) -> Floats:
    return srgb_to_oklab(photo.resize_rows(result.width, result.height, rows))[..., 1:]


@dataclass(frozen=True)
class _ChromaFit:
    """Chroma as a local affine function of color, at a reduced size.

    Attributes:
        slopes: [h, w, 3, 2] slopes with respect to the result's OKLab color.
        offsets: [h, w, 2].
        lowest, highest: [h, w, 2] range of the photo's chroma nearby.
        unchanged: [h, w] in [0, 1], where the result still shows the photo.
    """

    slopes: Floats
    offsets: Floats
    lowest: Floats
    highest: Floats
    unchanged: Floats

    @classmethod
    def fit(cls, result: Picture, photo: Picture) -> _ChromaFit:
        """Fit the photo's chroma to the colors of the result."""
        size = fit_within(
            result.width, result.height, min(LONGER_SIDE, max(result.width, result.height))
        )
        guide, target = (
            srgb_to_oklab(each.resize(*size).pixels).astype(np.float64) for each in (result, photo)
        )
        reach = max(1, round(REACH * max(size)))
        difference = average_boxes(((guide - target) ** 2).sum(-1), reach)
        slopes, offsets = fit_guided_filter(target[..., 1:], guide, reach, _RIDGE)
        lowest, highest = _find_extremes(target[..., 1:], (reach + 1) // 2)
        unchanged = np.exp(-difference / (2 * _UNCHANGED**2))
        maps = (slopes, offsets, lowest, highest, unchanged)
        return cls(*(each.astype(np.float32) for each in maps))

    def evaluate(self, lab: Floats, rows: slice, height: int) -> tuple[Floats, Floats]:
        """Compute the chroma of some rows of the result.

        Args:
            lab: [rows, W, 3] OKLab pixels of the rows.
            rows: rows of the result.
            height: height of the result in pixels.

        Returns:
            Chroma [rows, W, 2], and [rows, W, 1] where the result is unchanged.
        """

        def enlarge(values: Floats) -> Floats:
            return resize_rows(values, lab.shape[1], height, rows, "bicubic")

        chroma = np.empty((*lab.shape[:2], 2), np.float32)
        for k in range(2):
            chroma[..., k] = enlarge(self.offsets[..., k])
            for channel in range(3):
                chroma[..., k] += enlarge(self.slopes[..., channel, k]) * lab[..., channel]
            bounds = enlarge(self.lowest[..., k]), enlarge(self.highest[..., k])
            np.clip(chroma[..., k], *bounds, out=chroma[..., k])
        return chroma, enlarge(self.unchanged).clip(0, 1)[..., None]


def _find_extremes(values: Doubles, reach: int) -> tuple[Doubles, Doubles]:
    """Find the lowest and highest of [h, w, m] in squares of side ``2 * reach + 1``."""
    lowest = highest = np.pad(values, [(reach, reach), (reach, reach), (0, 0)], mode="edge")
    for axis in (0, 1):
        lowest = sliding_window_view(lowest, 2 * reach + 1, axis).min(-1)
        highest = sliding_window_view(highest, 2 * reach + 1, axis).max(-1)
    return lowest, highest
