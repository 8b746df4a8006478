"""Just enough of the protocol buffers' wire format to read an ONNX file as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Field = tuple[int, int | bytes]
FIXED = {1: 8, 5: 4}
"""Bytes of a value, by wire type."""
DTYPES: dict[int, str] = {1: "<f4", 7: "<i8"}
"""Those of ONNX that segmentation networks have: float32 and int64."""


@dataclass(frozen=True)
class OnnxNode:
    """One operation of a graph."""

    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class OnnxGraph:
    """Operations in the order they are done, and the weights by name."""

    nodes: tuple[OnnxNode, ...]
    weights: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_onnx(data: bytes) -> OnnxGraph:
    """The graph of an ONNX model.

    Raises:
        ValueError: damaged, or of a kind that is not read.
    """
    try:
        graph = next(value for number, value in _fields(data) if number == 7)
        parts = list(_fields(_bytes(graph)))
        weights = dict(_tensor(_bytes(value)) for number, value in parts if number == 5)
        return OnnxGraph(
            tuple(_node(_bytes(value)) for number, value in parts if number == 1),
            weights,
            tuple(name for name in _names(parts, 11) if name not in weights),
            tuple(_names(parts, 12)),
        )
    except (IndexError, StopIteration, KeyError, TypeError) as error:
        raise ValueError(f"not an ONNX model that can be read ({error!r})") from None


def _fields(data: bytes) -> Iterator[Field]:
    """The number and value of every field of a message."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        length = FIXED.get(kind)
        if length is None:
            length, place = _varint(data, place)
        if place + length > len(data):
            raise IndexError("cut short")
        yield key >> 3, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _names(parts: Sequence[Field], number: int) -> Iterator[str]:
    """Of a graph's inputs or outputs."""
    for found, value in parts:
        if found == number:
            yield next(_bytes(v).decode() for n, v in _fields(_bytes(value)) if n == 1)


def _node(data: bytes) -> OnnxNode:
    parts = list(_fields(data))
    texts = {n: [_bytes(v).decode() for f, v in parts if f == n] for n in (1, 2, 4)}
    attributes = dict(_attribute(_bytes(v)) for f, v in parts if f == 5)
    return OnnxNode(texts[4][0], tuple(texts[1]), tuple(texts[2]), attributes)


def _attribute(data: bytes) -> tuple[str, Any]:
    parts = list(_fields(data))
    name = next(_bytes(v).decode() for f, v in parts if f == 1)
    for number, value in parts:
        if number == 3:
            return name, value
        if number == 4:
            return name, _bytes(value).decode()
        if number == 5:
            return name, _tensor(_bytes(value))[1]
    return name, _integers(parts, 8)


def _tensor(data: bytes) -> tuple[str, Tensor]:
    parts = list(_fields(data))
    single = {number: value for number, value in parts if number in (2, 8, 9)}
    raw = np.frombuffer(_bytes(single.get(9, b"")), DTYPES[int(single[2])])
    values = torch.from_numpy(raw.copy()).reshape(_integers(parts, 1))
    return _bytes(single.get(8, b"")).decode(), values


def _integers(parts: Sequence[Field], number: int) -> list[int]:
    """A repeated field, one value a field or all in one."""
    found: list[int] = []
    for each, value in parts:
        if each != number:
            continue
        if isinstance(value, int):
            found.append(value)
            continue
        place = 0
        while place < len(value):
            integer, place = _varint(value, place)
            found.append(integer)
    return found


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where a message should be")
    return value
