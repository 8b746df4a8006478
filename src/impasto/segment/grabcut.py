"""Cut an object out, given a rectangle around it or a few scribbles.

Rother, Kolmogorov and Blake, "GrabCut: interactive foreground extraction using iterated graph cuts"
(2004), in OpenCV's implementation.
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
"""OpenCV's labels."""
COVERED = 0.2
"""Share of a reduced pixel from which a scribble counts there; low, so that thin lines stay."""
NO_RECTANGLE = (0, 0, 0, 0)


def cut_rectangle(photo: Picture, box: tuple[int, int, int, int], name: str) -> Mask:
    """Find the mask of the object inside a rectangle.

    Args:
        photo: the photo at its own size.
        box: x and y of the upper left corner, width and height, in pixels of the photo.
        name: name of the mask.

    Raises:
        InputError: the rectangle is not inside the photo, covers all of it, or holds no object.
    """
    x, y, width, height = box
    right, bottom = x + width, y + height
    if min(x, y) < 0 or min(width, height) < 1 or right > photo.width or bottom > photo.height:
        raise InputError(
            f"the rectangle is not inside the photo of {photo.width}x{photo.height} px", where=name
        )
    if (width, height) == (photo.width, photo.height):
        raise InputError(
            "the rectangle covers the whole photo; leave a margin around the object", where=name
        )
    small = resize_for_masks(photo)
    across, down = small.width / photo.width, small.height / photo.height
    labels = np.full((small.height, small.width), OUTSIDE, np.uint8)
    rows = slice(int(y * down), max(int(y * down) + 1, round(bottom * down)))
    columns = slice(int(x * across), max(int(x * across) + 1, round(right * across)))
    labels[rows, columns] = PROBABLY_INSIDE
    return _cut(small, labels, name)


def cut_scribbles(photo: Picture, path: Path) -> Mask:
    """Find the mask of the object that strokes mark.

    Args:
        photo: the photo at its own size.
        path: picture of the strokes at any size: white or green is inside, black or red is outside,
            other colors and transparent pixels are unknown.

    Raises:
        ImageError, LimitError: the file cannot be read.
        InputError: there are strokes of one kind only, or no object was found.
    """
    scribbles, small = read_picture(path), resize_for_masks(photo)
    name = f"scribble:{path.name}"
    red, green, blue = np.moveaxis(scribbles.pixels, -1, 0)
    opaque = np.ones(red.shape, bool) if scribbles.alpha is None else scribbles.alpha > 0.5
    others = np.maximum(red, blue) < 0.4
    inside = opaque & ((scribbles.pixels.min(-1) > 0.8) | ((green > 0.6) & others))
    others = np.maximum(green, blue) < 0.4
    outside = opaque & ((scribbles.pixels.max(-1) < 0.2) | ((red > 0.6) & others))
    for strokes, colors in ((inside, "white or green"), (outside, "black or red")):
        if not bool(strokes.any()):
            raise InputError(f"no {colors} stroke; strokes of both kinds are required", where=name)
    within, without = (_reduce(strokes, small) for strokes in (inside, outside))
    labels = np.where(
        _compare_distances(within, without), PROBABLY_INSIDE, PROBABLY_OUTSIDE
    ).astype(np.uint8)
    labels[(within > COVERED) & (within >= without)] = INSIDE
    labels[(without > COVERED) & (without > within)] = OUTSIDE
    return replace(_cut(small, labels, name), path=path)


def _cut(photo: Picture, labels: NDArray[np.uint8], name: str) -> Mask:
    """Run GrabCut from initial labels [H, W], which it overwrites."""
    import cv2

    levels = np.ascontiguousarray(np.asarray(photo.to_pil().convert("RGB"))[..., ::-1])
    outer, inner = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut clusters colors at random; a replay must find the same mask
    try:
        cv2.grabCut(levels, labels, NO_RECTANGLE, outer, inner, ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error as error:
        raise InputError(
            f"GrabCut cannot separate inside from outside ({error.err})", where=name
        ) from None
    values = np.isin(labels, (INSIDE, PROBABLY_INSIDE)).astype(np.float32)
    return check_mask(soften_edges(values, photo, name))


def _reduce(strokes: NDArray[np.bool_], photo: Picture) -> NDArray[np.float32]:
    """Compute the share of each pixel of the reduced photo that strokes cover."""
    image = Image.fromarray(strokes.astype(np.float32))
    return np.asarray(image.resize((photo.width, photo.height), Image.Resampling.BOX))


def _compare_distances(
    within: NDArray[np.float32], without: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Return where strokes of the first kind are nearer than those of the second."""
    from scipy.ndimage import distance_transform_edt

    to_within, to_without = (distance_transform_edt(m <= COVERED) for m in (within, without))
    nearer: NDArray[np.bool_] = to_within < to_without
    return nearer
