"""Read and run small ONNX networks, as data and without ONNX.

The reader knows as much of the protocol buffers' wire format as it needs, and :data:`OPERATIONS`
lists the operations that can be run, those of U2-Net.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Field = tuple[int, int | bytes]
"""Number and value of a field of a message."""
FIXED = {1: 8, 5: 4}
"""Wire type of a fixed-size value -> its size in bytes."""
DTYPES: dict[int, str] = {1: "<f4", 7: "<i8"}
"""Numbers of ONNX's data types: float32 and int64."""


@dataclass(frozen=True)
class OnnxNode:
    """An operation of a network."""

    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class OnnxGraph:
    """A network: operations in execution order, and weights by name."""

    nodes: tuple[OnnxNode, ...]
    weights: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_onnx(data: bytes) -> OnnxGraph:
    """Read the graph of an ONNX model.

    Raises:
        ValueError: the model is damaged or not supported.
    """
    try:
        graph = next(value for number, value in _read_fields(data) if number == 7)
        parts = list(_read_fields(_get_bytes(graph)))
        weights = dict(_read_tensor(_get_bytes(value)) for number, value in parts if number == 5)
        return OnnxGraph(
            tuple(_read_node(_get_bytes(value)) for number, value in parts if number == 1),
            weights,
            tuple(name for name in _read_names(parts, 11) if name not in weights),
            tuple(_read_names(parts, 12)),
        )
    except (IndexError, StopIteration, KeyError, TypeError) as error:
        raise ValueError(f"damaged or unsupported ONNX model ({error!r})") from None


def _read_fields(data: bytes) -> Iterator[Field]:
    """Yield the number and value of every field of a message."""
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _read_varint(data, place)
            yield key >> 3, value
            continue
        length = FIXED.get(kind)
        if length is None:
            length, place = _read_varint(data, place)
        if place + length > len(data):
            raise IndexError("the message is cut short")
        yield key >> 3, data[place : place + length]
        place += length


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    """Read an integer of variable length; return it and the position after it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _read_names(parts: Sequence[Field], number: int) -> Iterator[str]:
    """Yield the names of a graph's inputs or outputs."""
    for field, value in parts:
        if field == number:
            yield next(_get_bytes(v).decode() for n, v in _read_fields(_get_bytes(value)) if n == 1)


def _read_node(data: bytes) -> OnnxNode:
    parts = list(_read_fields(data))
    texts = {n: [_get_bytes(v).decode() for f, v in parts if f == n] for n in (1, 2, 4)}
    attributes = dict(_read_attribute(_get_bytes(v)) for f, v in parts if f == 5)
    return OnnxNode(texts[4][0], tuple(texts[1]), tuple(texts[2]), attributes)


def _read_attribute(data: bytes) -> tuple[str, Any]:
    parts = list(_read_fields(data))
    name = next(_get_bytes(v).decode() for f, v in parts if f == 1)
    for number, value in parts:
        if number == 3:
            return name, value
        if number == 4:
            return name, _get_bytes(value).decode()
        if number == 5:
            return name, _read_tensor(_get_bytes(value))[1]
    return name, _read_integers(parts, 8)


def _read_tensor(data: bytes) -> tuple[str, Tensor]:
    parts = list(_read_fields(data))
    single = {number: value for number, value in parts if number in (2, 8, 9)}
    raw = np.frombuffer(_get_bytes(single.get(9, b"")), DTYPES[int(single[2])])
    values = torch.from_numpy(raw.copy()).reshape(_read_integers(parts, 1))
    return _get_bytes(single.get(8, b"")).decode(), values


def _read_integers(parts: Sequence[Field], number: int) -> list[int]:
    """Read a repeated field, either packed or with one value per field."""
    integers: list[int] = []
    for each, value in parts:
        if each != number:
            continue
        if isinstance(value, int):
            integers.append(value)
            continue
        place = 0
        while place < len(value):
            integer, place = _read_varint(value, place)
            integers.append(integer)
    return integers


def _get_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("expected a message, found a number")
    return value


def run_onnx(graph: OnnxGraph, image: Tensor) -> Tensor:
    """Run a graph with one input and return its first output.

    Args:
        graph: network whose operations are all in :data:`OPERATIONS`.
        image: [1, C, H, W].

    Raises:
        ValueError: the graph has another operation.
    """
    values: dict[str, Tensor] = {**graph.weights, graph.inputs[0]: image}
    with torch.no_grad():
        for node in graph.nodes:
            if node.operation not in OPERATIONS:
                raise ValueError(f"unsupported operation {node.operation}")
            inputs = [values[each] for each in node.inputs if each]
            values[node.outputs[0]] = OPERATIONS[node.operation](node, inputs)
    return values[graph.outputs[0]]


def _convolve(node: OnnxNode, inputs: list[Tensor]) -> Tensor:
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


def _max_pool(node: OnnxNode, inputs: list[Tensor]) -> Tensor:
    options: dict[str, Any] = node.attributes
    return F.max_pool2d(
        inputs[0], options["kernel_shape"], options["strides"], ceil_mode=bool(options["ceil_mode"])
    )


def _slice(_: OnnxNode, inputs: list[Tensor]) -> Tensor:
    values, first, last, axis = inputs
    return values.narrow(int(axis), int(first), int(last.clamp(max=len(values)) - first))


def _resize(_: OnnxNode, inputs: list[Tensor]) -> Tensor:
    size = inputs[-1].tolist()[2:]
    return F.interpolate(inputs[0], size, mode="bilinear", align_corners=False)


OPERATIONS: dict[str, Callable[[OnnxNode, list[Tensor]], Tensor]] = {
    "Add": lambda _, x: x[0] + x[1],
    "Cast": lambda _, x: x[0],
    "Concat": lambda node, x: torch.cat(x, node.attributes["axis"]),
    "Constant": lambda node, _: node.attributes["value"],
    "Conv": _convolve,
    "Gather": lambda _, x: x[0][x[1]],
    "MaxPool": _max_pool,
    "Relu": lambda _, x: x[0].relu(),
    "Resize": _resize,
    "Shape": lambda _, x: torch.tensor(x[0].shape),
    "Sigmoid": lambda _, x: x[0].sigmoid(),
    "Slice": _slice,
    "Unsqueeze": lambda node, x: x[0].unsqueeze(node.attributes["axes"][0]),
}
"""Supported operations, by ONNX's names."""
