"""Crop a part of a finished picture with its surroundings, and paste it back without a seam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from impasto.engine.pixels.blur import blur
from impasto.image.masks import FAINTEST, Mask
from impasto.image.picture import Floats, Picture


@dataclass(frozen=True)
class Box:
    """Pixels of a picture: from ``left`` and ``top`` on, ``width`` by ``height``."""

    left: int
    top: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        """The rows of the picture that it covers."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """The columns of the picture that it covers."""
        return slice(self.left, self.left + self.width)

    def is_inside(self, width: int, height: int) -> bool:
        """Return whether the box is not empty and is inside a picture of a size in pixels."""
        return (
            min(self.left, self.top) >= 0
            and min(self.width, self.height) > 0
            and self.left + self.width <= width
            and self.top + self.height <= height
        )

    def expand(self, margin: int, width: int, height: int) -> Box:
        """Return the box with a margin in pixels on every side, within a picture of that size."""
        left, top = max(0, self.left - margin), max(0, self.top - margin)
        right = min(width, self.left + self.width + margin)
        bottom = min(height, self.top + self.height + margin)
        return Box(left, top, right - left, bottom - top)

    def crop(self, picture: Picture, width: int, height: int) -> Picture:
        """Crop a picture that is resized to (width, height) first; the result is opaque."""
        strip = picture.resize_rows(width, height, self.rows)
        return Picture(np.ascontiguousarray(strip[:, self.columns]))

    def crop_mask(self, mask: Mask, width: int, height: int) -> Mask:
        """Crop a mask that is resized to (width, height) first; the result may be black."""
        strip = mask.resize_rows(width, height, self.rows)
        return Mask(np.ascontiguousarray(strip[:, self.columns]), mask.name, mask.path)

    def make_mask(self, width: int, height: int) -> Floats:
        """Return a mask [height, width] that is 1 inside and 0 outside."""
        mask = np.zeros((height, width), np.float32)
        mask[self.rows, self.columns] = 1
        return mask


def select_masks(
    box: Box, size: tuple[int, int], masks: Sequence[Mask], paintings: int
) -> tuple[list[Mask], list[int]]:
    """Crop the masks that are not black in a box, and list the paintings of the box.

    Args:
        box: part of the result.
        size: (width, height) of the result.
        masks: masks of the photo, one for each painting or for each but the last.
        paintings: number of paintings.

    Returns:
        The masks, and the indices of the paintings that are the style somewhere in the box. Without
        masks these are all paintings; with masks there may be none.
    """
    parts = [box.crop_mask(mask, *size) for mask in masks]
    places = [index for index, part in enumerate(parts) if bool((part.values > FAINTEST).any())]
    if len(masks) < paintings:
        total = sum((part.values for part in parts), np.zeros((box.height, box.width), np.float32))
        rest = range(len(masks), paintings) if bool((total < 1 - FAINTEST).any()) else ()
        return [parts[index] for index in places], [*places, *rest]
    return [parts[index] for index in places], places


def find_bounds(mask: Floats) -> Box | None:
    """Return the smallest box around what is above 0 in a mask [H, W]. None: the mask is black."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    left, top = int(columns[0]), int(rows[0])
    return Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def measure_depth(mask: Floats) -> float:
    """Return the pixels from the innermost place of a mask [H, W] to its outside, or infinity."""
    from scipy.ndimage import distance_transform_edt

    inside = mask > 0
    return math.inf if inside.all() else float(distance_transform_edt(inside).max())


def soften_edge(mask: Floats, width: float) -> Floats:
    """Return a mask that rises from 0 at its border to its own values about ``width`` px inside.

    It stays 0 wherever the mask is. It has no edge where it touches the border of the picture.

    Args:
        mask: [H, W] in [0, 1].
        width: width of the slope in pixels, above 0.
    """
    whole = torch.from_numpy(mask > 0).float()[None, None]
    inside = (2 * blur(whole, width / 2)[0, 0] - 1).clamp(0, 1).numpy()
    # Half of a cosine is smooth at both ends of the slope.
    return (mask * (0.5 - 0.5 * np.cos(np.pi * inside))).astype(np.float32)


def paste_box(picture: Picture, repainted: Picture, box: Box, weights: Floats) -> Picture:
    """Return a picture with a part of it replaced.

    Args:
        picture: the whole picture, whose alpha and metadata are kept.
        repainted: the new part, of the size of the box.
        box: place of the part in the picture.
        weights: [H, W] in [0, 1], how much of the new part counts. Pixels of weight 0 stay exactly
            as they are.
    """
    pixels = picture.pixels.copy()
    before = pixels[box.rows, box.columns]
    pixels[box.rows, box.columns] = before + weights[..., None] * (repainted.pixels - before)
    return Picture(pixels, picture.alpha, picture.metadata)
