"""Find the most salient object with U2-Netp.

Qin et al., "U2-Net: Going deeper with nested U-structure for salient object detection" (2020). The
network is read as data from a wheel that contains it, and run by
:mod:`impasto.segment.onnx_network`.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from impasto.errors import InputError
from impasto.image.masks import Mask, check_mask
from impasto.image.picture import Picture
from impasto.segment.onnx_network import read_onnx, run_onnx
from impasto.segment.soft_edges import resize_for_masks, soften_edges
from impasto.segment.wheels import U2NETP, read_member

SIDE = 320
"""Side in pixels of the square that the network was trained on."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LOWEST_PEAK = 0.2
"""Lowest peak of the network's answer that counts as an object."""


def find_salient_object(photo: Picture, name: str) -> Mask:
    """Find the mask of the most salient object.

    Raises:
        InputError: no object stands out.
        MissingNetworkError: the network is not on this machine.
    """
    graph = read_onnx(read_member(U2NETP, name))
    small = resize_for_masks(photo)
    square = torch.from_numpy(np.array(small.resize(SIDE, SIDE).pixels.transpose(2, 0, 1)))
    levels = square / square.max().clamp(min=1e-6)
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (MEAN, DEVIATION))
    answer = run_onnx(graph, ((levels - mean) / deviation)[None])
    if float(answer.max()) < LOWEST_PEAK:
        raise InputError("no object stands out in this photo", where=name, field="masks")
    answer = (answer - answer.min()) / (answer.max() - answer.min())
    size = (small.height, small.width)
    large = F.interpolate(answer, size, mode="bilinear", align_corners=False)
    return check_mask(soften_edges(large[0, 0].numpy(), small, name))
