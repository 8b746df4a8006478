"""An object cut out from a rectangle around it, or from a few scribbles.

Rother, Kolmogorov and Blake, "GrabCut" (2004), as OpenCV has it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.errors import InputError
from impasto.image.files.decode import read_picture
from impasto.image.masks import Mask, check_mask
from impasto.image.picture import Picture
from impasto.segment.soft_edges import resize_for_masks, soften_edges

ROUNDS = 5
OUTSIDE, INSIDE, PROBABLY_OUTSIDE, PROBABLY_INSIDE = range(4)
"""As OpenCV numbers them."""
COVERED = 0.2
"""Of a working pixel, for a scribble to count there: thin lines are not to vanish."""
NO_RECTANGLE = (0, 0, 0, 0)


def from_rectangle(photo: Picture, box: tuple[int, int, int, int], name: str) -> Mask:
    """The object inside a rectangle.

    Args:
        photo: at its own size.
        box: x and y of the left upper corner, width and height, in pixels of the photo.
        name: of the mask.

    Raises:
        InputError: the rectangle is not inside the photo or is all of it, OpenCV is missing, or
            nothing was found.
    """
    x, y, width, height = box
    right, bottom = x + width, y + height
    if min(x, y) < 0 or min(width, height) < 1 or right > photo.width or bottom > photo.height:
        raise InputError(f"{name}: is not inside the photo's {photo.width}x{photo.height} px")
    if (width, height) == (photo.width, photo.height):
        raise InputError(f"{name}: is all of the photo, leave some of what is outside around it")
    small = resize_for_masks(photo)
    across, down = small.width / photo.width, small.height / photo.height
    known = np.full((small.height, small.width), OUTSIDE, np.uint8)
    rows = slice(int(y * down), max(int(y * down) + 1, round(bottom * down)))
    columns = slice(int(x * across), max(int(x * across) + 1, round(right * across)))
    known[rows, columns] = PROBABLY_INSIDE
    return _cut(small, known, name)


def from_scribbles(photo: Picture, path: Path) -> Mask:
    """The object that some strokes mark.

    Args:
        photo: at its own size.
        path: of a picture at any size: white or green is inside, black or red outside, anything
            else and what is transparent is not known.

    Raises:
        ImageError, LimitError: it cannot be read.
        InputError: strokes of one kind only, OpenCV is missing, or nothing was found.
    """
    scribbles, small = read_picture(path), resize_for_masks(photo)
    name = f"scribble:{path.name}"
    red, green, blue = np.moveaxis(scribbles.pixels, -1, 0)
    seen = np.ones(red.shape, bool) if scribbles.alpha is None else scribbles.alpha > 0.5
    others = np.maximum(red, blue) < 0.4
    inside = seen & ((scribbles.pixels.min(-1) > 0.8) | ((green > 0.6) & others))
    others = np.maximum(green, blue) < 0.4
    outside = seen & ((scribbles.pixels.max(-1) < 0.2) | ((red > 0.6) & others))
    for marked, colors in ((inside, "white or green"), (outside, "black or red")):
        if not bool(marked.any()):
            raise InputError(f"{name}: has no {colors} stroke; both kinds are needed")
    within, without = (_shrunk(marked, small) for marked in (inside, outside))
    known = np.where(_nearer(within, without), PROBABLY_INSIDE, PROBABLY_OUTSIDE).astype(np.uint8)
    known[(within > COVERED) & (within >= without)] = INSIDE
    known[(without > COVERED) & (without > within)] = OUTSIDE
    return replace(_cut(small, known, name), path=path)


def _cut(photo: Picture, known: NDArray[np.uint8], name: str) -> Mask:
    import cv2

    levels = np.ascontiguousarray(np.asarray(photo.to_pil().convert("RGB"))[..., ::-1])
    outer, inner = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # of the clusters it begins with: a replay is to find the same
    try:
        cv2.grabCut(levels, known, NO_RECTANGLE, outer, inner, ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error as error:
        raise InputError(f"{name}: GrabCut cannot tell inside from outside ({error.err})") from None
    found = np.isin(known, (INSIDE, PROBABLY_INSIDE)).astype(np.float32)
    return check_mask(soften_edges(found, photo, name))


def _shrunk(marked: NDArray[np.bool_], photo: Picture) -> NDArray[np.float32]:
    """The share of each pixel at the working size that is marked."""
    image = Image.fromarray(marked.astype(np.float32))
    return np.asarray(image.resize((photo.width, photo.height), Image.Resampling.BOX))


def _nearer(within: NDArray[np.float32], without: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where strokes of the first kind are nearer than those of the second: a first guess."""
    from scipy.ndimage import distance_transform_edt

    to_within, to_without = (distance_transform_edt(m <= COVERED) for m in (within, without))
    nearer: NDArray[np.bool_] = to_within < to_without
    return nearer
