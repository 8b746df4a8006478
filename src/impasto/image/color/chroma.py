"""A result in the photo's colors: its own lightness, the chroma of the photo."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from impasto.image.color.gamut import convert_rows_to_srgb
from impasto.image.color.spaces import Floats, srgb_to_oklab
from impasto.image.guided_filter import Doubles, average_boxes, fit_guided_filter
from impasto.image.picture import Picture, fit_within
from impasto.image.rows import resize_rows

LONGER_SIDE = 512
"""Pixels at which the photo's chroma is fitted to the result; the fit is then enlarged."""
REACH = 1 / 64
"""How far an edge may have moved to be found again, as a share of the longer side."""
_RIDGE = 1e-4
"""Of the fit, in squared OKLab units: shades closer than 0.01 share a chroma."""
_SAME = 0.02
"""Root mean square difference in OKLab below which a place still shows the photo."""


def copy_chroma(result: Picture, photo: Picture) -> Picture:
    """Give a result the chroma that the photo has at the same place (compare :func:`carry_chroma`).

    Gatys et al., "Preserving color in neural artistic style transfer" (2016), in OKLab.
    """

    def rows_of(rows: slice) -> Floats:
        lab = srgb_to_oklab(result.pixels[rows])
        lab[..., 1:] = _chroma(photo, result, rows)
        return lab

    return replace(result, pixels=convert_rows_to_srgb(rows_of, result.height, result.width))


def carry_chroma(result: Picture, photo: Picture) -> Picture:
    """A result with the photo's chroma, carried along to where the result has put the edges.

    Chroma that stays where it was makes a halo wherever the painting moved an edge. So it is fitted
    to the result, window by window, as an affine function of the result's own colors (the guided
    filter of He, Sun and Tang, 2013, coefficients at a reduced size), which turns where they turn,
    within the range that the photo's chroma has nearby: an outline that only the painting has
    would otherwise be given a color that neither side of it has. Where the result still shows the
    photo, the photo's chroma is kept as it is.

    Args:
        result: at any size.
        photo: likewise, of the same aspect.
    """
    fit = _Fit.of(result, photo)

    def rows_of(rows: slice) -> Floats:
        lab = srgb_to_oklab(result.pixels[rows])
        fitted, kept = fit.at(lab, rows, result.height)
        lab[..., 1:] = fitted + kept * (_chroma(photo, result, rows) - fitted)
        return lab

    return replace(result, pixels=convert_rows_to_srgb(rows_of, result.height, result.width))


def _chroma(photo: Picture, result: Picture, rows: slice) -> Floats:
    return srgb_to_oklab(photo.resize_rows(result.width, result.height, rows))[..., 1:]


@dataclass(frozen=True)
class _Fit:
    """Maps [h, w] at the reduced size.

    Attributes:
        slopes: [h, w, 3, 2], of chroma by the result's color.
        offsets: [h, w, 2].
        lowest, highest: [h, w, 2], of the photo's chroma nearby.
        kept: [h, w], share of the photo's own chroma.
    """

    slopes: Floats
    offsets: Floats
    lowest: Floats
    highest: Floats
    kept: Floats

    @classmethod
    def of(cls, result: Picture, photo: Picture) -> _Fit:
        size = fit_within(
            result.width, result.height, min(LONGER_SIDE, max(result.width, result.height))
        )
        guide, wanted = (
            srgb_to_oklab(each.resize(*size).pixels).astype(np.float64) for each in (result, photo)
        )
        reach = max(1, round(REACH * max(size)))
        difference = average_boxes(((guide - wanted) ** 2).sum(-1), reach)
        slopes, offsets = fit_guided_filter(wanted[..., 1:], guide, reach, _RIDGE)
        lowest, highest = _extremes(wanted[..., 1:], (reach + 1) // 2)
        kept = np.exp(-difference / (2 * _SAME**2))
        maps = (slopes, offsets, lowest, highest, kept)
        return cls(*(each.astype(np.float32) for each in maps))

    def at(self, lab: Floats, rows: slice, height: int) -> tuple[Floats, Floats]:
        """Chroma [rows, W, 2] for a result's pixels [rows, W, 3], and the photo's share."""

        def enlarged(values: Floats) -> Floats:
            return resize_rows(values, lab.shape[1], height, rows, "bicubic")

        fitted = np.empty((*lab.shape[:2], 2), np.float32)
        for k in range(2):
            fitted[..., k] = enlarged(self.offsets[..., k])
            for channel in range(3):
                fitted[..., k] += enlarged(self.slopes[..., channel, k]) * lab[..., channel]
            bounds = enlarged(self.lowest[..., k]), enlarged(self.highest[..., k])
            np.clip(fitted[..., k], *bounds, out=fitted[..., k])
        return fitted, enlarged(self.kept).clip(0, 1)[..., None]


def _extremes(values: Doubles, reach: int) -> tuple[Doubles, Doubles]:
    """The lowest and highest of [h, w, m] over squares of side ``2 reach + 1``."""
    lowest = highest = np.pad(values, [(reach, reach), (reach, reach), (0, 0)], mode="edge")
    for axis in (0, 1):
        lowest = sliding_window_view(lowest, 2 * reach + 1, axis).min(-1)
        highest = sliding_window_view(highest, 2 * reach + 1, axis).max(-1)
    return lowest, highest
