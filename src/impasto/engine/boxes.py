"""A part of a finished picture, cut out with what is around it and laid back without a seam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from impasto.engine.blur import blur
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
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.width)

    def lies_in(self, width: int, height: int) -> bool:
        """Whether it has pixels, all of them in a picture of that size."""
        return (
            min(self.left, self.top) >= 0
            and min(self.width, self.height) > 0
            and self.left + self.width <= width
            and self.top + self.height <= height
        )

    def grown(self, margin: int, width: int, height: int) -> Box:
        """With so many pixels more on every side, as far as a picture of that size has them."""
        left, top = max(0, self.left - margin), max(0, self.top - margin)
        right = min(width, self.left + self.width + margin)
        bottom = min(height, self.top + self.height + margin)
        return Box(left, top, right - left, bottom - top)

    def meets(self, other: Box) -> bool:
        """Whether they have pixels in common."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right = min(self.left + self.width, other.left + other.width)
        bottom = min(self.top + self.height, other.top + other.height)
        return left < right and top < bottom

    def around(self, other: Box) -> Box:
        """The smallest that holds both."""
        left, top = min(self.left, other.left), min(self.top, other.top)
        right = max(self.left + self.width, other.left + other.width)
        bottom = max(self.top + self.height, other.top + other.height)
        return Box(left, top, right - left, bottom - top)

    def of(self, picture: Picture, width: int, height: int) -> Picture:
        """What it shows of a picture brought to a size; opaque."""
        strip = picture.resize_rows(width, height, self.rows)
        return Picture(np.ascontiguousarray(strip[:, self.columns]))

    def of_mask(self, mask: Mask, width: int, height: int) -> Mask:
        """Likewise of a mask; it may be black."""
        strip = mask.resize_rows(width, height, self.rows)
        return Mask(np.ascontiguousarray(strip[:, self.columns]), mask.name, mask.path)

    def mask(self, width: int, height: int) -> Floats:
        """[height, width]: 1 inside, 0 outside."""
        mask = np.zeros((height, width), np.float32)
        mask[self.rows, self.columns] = 1
        return mask


def seen_in(
    box: Box, size: tuple[int, int], masks: Sequence[Mask], paintings: int
) -> tuple[list[Mask], list[int]]:
    """What a box shows of masks, those left out that are black there, and whose they are.

    Args:
        box: of the result.
        size: (width, height) of the result.
        masks: of the photo, one for each painting, or but the last.
        paintings: how many there are.

    Returns:
        The masks, and the indices of the paintings that are the style somewhere in the box. Without
        masks they are all of them; with masks there may be none.
    """
    parts = [box.of_mask(mask, *size) for mask in masks]
    left = [index for index, part in enumerate(parts) if bool((part.values > FAINTEST).any())]
    if len(masks) < paintings:
        total = sum((part.values for part in parts), np.zeros((box.height, box.width), np.float32))
        rest = range(len(masks), paintings) if bool((total < 1 - FAINTEST).any()) else ()
        return [parts[index] for index in left], [*left, *rest]
    return [parts[index] for index in left], left


def bounds(mask: Floats) -> Box | None:
    """The smallest box around all that is above 0 in a mask [H, W]; none if nothing is."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    left, top = int(columns[0]), int(rows[0])
    return Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def depth_of(mask: Floats) -> float:
    """Pixels from the inmost place of a mask [H, W] to what is outside; infinite if nothing is."""
    from scipy.ndimage import distance_transform_edt

    inside = mask > 0
    return math.inf if inside.all() else float(distance_transform_edt(inside).max())


def soft_edge(mask: Floats, width: float) -> Floats:
    """A mask that rises from 0 at its border to itself about ``width`` pixels inside.

    Zero wherever the mask is; where it touches the border of the picture there is no edge.

    Args:
        mask: [H, W] in [0, 1].
        width: in pixels, above 0.
    """
    whole = torch.from_numpy(mask > 0).float()[None, None]
    inside = (2 * blur(whole, width / 2)[0, 0] - 1).clamp(0, 1).numpy()
    # Half of a cosine: no crease at either end of the slope.
    return (mask * (0.5 - 0.5 * np.cos(np.pi * inside))).astype(np.float32)


def laid_over(picture: Picture, repainted: Picture, box: Box, weights: Floats) -> Picture:
    """A picture with a part of it replaced, as far as weights say.

    Args:
        picture: [H, W]; its alpha and metadata stay.
        repainted: of the size of the box.
        box: where it belongs.
        weights: in [0, 1], likewise; pixels of weight 0 stay exactly as they are.
    """
    pixels = picture.pixels.copy()
    before = pixels[box.rows, box.columns]
    pixels[box.rows, box.columns] = before + weights[..., None] * (repainted.pixels - before)
    return Picture(pixels, picture.alpha, picture.metadata)
