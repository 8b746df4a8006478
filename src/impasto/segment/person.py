"""People near the camera: the mask of MediaPipe's selfie segmentation.

The network is read as data from MediaPipe's wheel, and computed here.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from impasto.errors import InputError
from impasto.image.masks import Mask, check_mask
from impasto.image.picture import Picture
from impasto.segment.flatbuffer import read_tflite
from impasto.segment.networks import SELFIE
from impasto.segment.soft_edges import resize_for_masks, soften_edges
from impasto.segment.tflite import run_tflite
from impasto.segment.wheels import read_member

SIDE = 256
"""Pixels of the square that the network was trained on."""
LEAST = 0.01
"""Share of the photo that is more likely a person than not, below which there is none."""


def find_people(photo: Picture, name: str) -> Mask:
    """The mask of the people in a photo.

    Raises:
        InputError: the network is not there, or sees nobody.
    """
    model = read_tflite(read_member(SELFIE, name))
    small = resize_for_masks(photo)
    square = torch.from_numpy(np.array(small.resize(SIDE, SIDE).pixels.transpose(2, 0, 1)))
    (answer,) = run_tflite(model, square[None])
    if float((answer > 0.5).float().mean()) < LEAST:
        raise InputError(f"`masks` {name}: nobody is seen in this photo", field="masks")
    size = (small.height, small.width)
    large = F.interpolate(answer, size, mode="bilinear", align_corners=False)
    return check_mask(soften_edges(large[0, 0].numpy(), small, name))
