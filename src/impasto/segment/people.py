"""Find people and faces with two small networks of MediaPipe.

The networks, selfie segmentation and BlazeFace (Bazarevsky et al., arXiv:1907.05047, short range),
are read as data from MediaPipe's wheel, and run by :mod:`impasto.segment.tflite_network`.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import InputError
from impasto.image.masks import Mask, check_mask
from impasto.image.picture import Picture, fit_within
from impasto.segment.soft_edges import resize_for_masks, soften_edges
from impasto.segment.tflite_network import read_tflite, run_tflite
from impasto.segment.wheels import BLAZE, SELFIE, read_member

PERSON_SIDE = 256
"""Side in pixels of the square that the selfie network was trained on."""
SMALLEST_PERSON = 0.01
"""Smallest share of the photo that counts as a person."""
FACE_SIDE = 128
"""Side in pixels of the square that the face network was trained on."""
GRIDS = ((16, 2), (8, 6))
"""Cells per side of each grid of the face network, and boxes per cell."""
FACE_SCORE = 0.65
"""Lowest score of a face. Faces of five photos scored 0.68 to 0.97, and a flower 0.59."""
WIDER, HIGHER, UP = 1.1, 1.5, 0.12
"""Size and upward shift of the oval of a face, relative to its box from the brows to the chin."""


def find_people(photo: Picture, name: str) -> Mask:
    """Find the mask of the people near the camera.

    Raises:
        InputError: there is nobody in the photo.
        MissingNetworkError: the network is not on this machine.
    """
    model = read_tflite(read_member(SELFIE, name))
    small = resize_for_masks(photo)
    pixels = small.resize(PERSON_SIDE, PERSON_SIDE).pixels
    (answer,) = run_tflite(model, torch.from_numpy(np.array(pixels.transpose(2, 0, 1)))[None])
    if float((answer > 0.5).float().mean()) < SMALLEST_PERSON:
        raise InputError("no person was found in this photo", where=name, field="masks")
    size = (small.height, small.width)
    large = F.interpolate(answer, size, mode="bilinear", align_corners=False)
    return check_mask(soften_edges(large[0, 0].numpy(), small, name))


def find_faces(photo: Picture, name: str) -> Mask:
    """Find the mask of the faces: soft ovals.

    Raises:
        InputError: there is no face in the photo.
        MissingNetworkError: the network is not on this machine.
    """
    small = resize_for_masks(photo)
    width, height = fit_within(photo.width, photo.height, FACE_SIDE)
    left, top = (FACE_SIDE - width) // 2, (FACE_SIDE - height) // 2
    square = np.zeros((FACE_SIDE, FACE_SIDE, 3), np.float32)
    square[top : top + height, left : left + width] = small.resize(width, height).pixels
    image = torch.from_numpy(np.array(square.transpose(2, 0, 1)))[None] * 2 - 1
    boxes, scores = run_tflite(read_tflite(read_member(BLAZE, name)), image)
    values = np.zeros((small.height, small.width), np.float32)
    faces = _decode_boxes(boxes[0])[scores[0, :, 0].sigmoid() > FACE_SCORE]
    for x, y, box_width, box_height in faces.tolist():
        middle = (x * FACE_SIDE - left) / width, ((y - UP * box_height) * FACE_SIDE - top) / height
        sides = WIDER * box_width * FACE_SIDE / width, HIGHER * box_height * FACE_SIDE / height
        values[_draw_oval(values.shape, middle, sides)] = 1
    if not values.any():
        raise InputError("no face was found in this photo", where=name, field="masks")
    return check_mask(soften_edges(values, small, name))


def _decode_boxes(boxes: Tensor) -> Tensor:
    """Convert the network's boxes [N, 16] to [N, 4]: middle, width and height, square of side 1."""
    places = []
    for side, count in GRIDS:
        steps = (torch.arange(side) + 0.5) / side
        down, across = torch.meshgrid(steps, steps, indexing="ij")
        middle = torch.stack([across, down], -1).reshape(-1, 2)
        places.append(middle.repeat_interleave(count, 0))
    return boxes[:, :4] / FACE_SIDE + torch.cat([torch.cat(places), torch.zeros(len(boxes), 2)], 1)


def _draw_oval(
    shape: tuple[int, ...], middle: tuple[float, float], sides: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return where an ellipse is; its middle and sides are in units of the picture's sides."""
    down, across = ((np.arange(length) + 0.5) / length for length in shape)
    x, y = ((at - m) / (s / 2) for at, m, s in zip((across, down), middle, sides, strict=True))
    inside: NDArray[np.bool_] = x[None] ** 2 + y[:, None] ** 2 < 1
    return inside
