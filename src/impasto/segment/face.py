"""Faces: MediaPipe's short-range detector, BlazeFace (Bazarevsky et al. 2019).

The network is read as data from MediaPipe's wheel, and computed here.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import InputError
from impasto.image.masks import Mask, check_mask
from impasto.image.picture import Picture, fit_within
from impasto.segment.flatbuffer import read_tflite
from impasto.segment.networks import BLAZE
from impasto.segment.soft_edges import resize_for_masks, soften_edges
from impasto.segment.tflite import run_tflite
from impasto.segment.wheels import read_member

SIDE = 128
"""Pixels of the square that the network was trained on."""
GRIDS = ((16, 2), (8, 6))
"""Places a side, and boxes at each place."""
SURE = 0.65
"""Five photos of faces: 0.68 to 0.97; a flower: 0.59."""
WIDER, HIGHER, UP = 1.1, 1.5, 0.12
"""An oval over a box, which goes from the brows to the chin: in units of its sides."""


def find_faces(photo: Picture, name: str) -> Mask:
    """The mask of the faces in a photo: soft ovals.

    Raises:
        InputError: the network is not there, or sees no face.
    """
    small = resize_for_masks(photo)
    width, height = fit_within(photo.width, photo.height, SIDE)
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    square = np.zeros((SIDE, SIDE, 3), np.float32)
    square[top : top + height, left : left + width] = small.resize(width, height).pixels
    image = torch.from_numpy(np.array(square.transpose(2, 0, 1)))[None] * 2 - 1
    boxes, scores = run_tflite(read_tflite(read_member(BLAZE, name)), image)
    values = np.zeros((small.height, small.width), np.float32)
    for x, y, wide, high in _decode_boxes(boxes[0])[scores[0, :, 0].sigmoid() > SURE].tolist():
        middle = (x * SIDE - left) / width, ((y - UP * high) * SIDE - top) / height
        sides = WIDER * wide * SIDE / width, HIGHER * high * SIDE / height
        values[_draw_oval(values.shape, middle, sides)] = 1
    if not values.any():
        raise InputError(f"`masks` {name}: no face is seen in this photo", field="masks")
    return check_mask(soften_edges(values, small, name))


def _decode_boxes(boxes: Tensor) -> Tensor:
    """[N, 4]: middle, width and height in units of the square, of the network's [N, 16]."""
    places = []
    for side, count in GRIDS:
        steps = (torch.arange(side) + 0.5) / side
        down, across = torch.meshgrid(steps, steps, indexing="ij")
        middle = torch.stack([across, down], -1).reshape(-1, 2)
        places.append(middle.repeat_interleave(count, 0))
    return boxes[:, :4] / SIDE + torch.cat([torch.cat(places), torch.zeros(len(boxes), 2)], 1)


def _draw_oval(
    shape: tuple[int, ...], middle: tuple[float, float], sides: tuple[float, float]
) -> NDArray[np.bool_]:
    """Where an ellipse is, in units of a picture's sides."""
    down, across = ((np.arange(length) + 0.5) / length for length in shape)
    x, y = ((at - m) / (s / 2) for at, m, s in zip((across, down), middle, sides, strict=True))
    inside: NDArray[np.bool_] = x[None] ** 2 + y[:, None] ** 2 < 1
    return inside
