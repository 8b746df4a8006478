"""Just enough of FlatBuffers to read a TensorFlow Lite model as data."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DTYPES = {0: "<f4", 1: "<f2", 2: "<i4"}
"""Those of TensorFlow Lite that segmentation networks have: float32, float16 and int32."""


class FlatTable:
    """A table of a buffer: fields by number, each there or not."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place
        fields = place - self._unpacked("<i", place)
        size = self._unpacked("<H", fields)
        self._fields = [self._unpacked("<H", fields + at) for at in range(4, size, 2)]

    @classmethod
    def root(cls, data: bytes) -> FlatTable:
        """Of a whole buffer."""
        return cls(data, struct.unpack_from("<I", data)[0])

    def number(self, field: int, kind: str = "<i", default: int = 0) -> int:
        """A scalar field, of a kind that :mod:`struct` names."""
        place = self._at(field)
        return default if place is None else self._unpacked(kind, place)

    def table(self, field: int) -> FlatTable | None:
        """A field that is a table; none: it is not there."""
        place = self._at(field)
        return None if place is None else FlatTable(self._data, self._followed(place))

    def tables(self, field: int) -> list[FlatTable]:
        """A field that is a list of tables."""
        start, count = self._vector(field)
        places = (start + 4 * index for index in range(count))
        return [FlatTable(self._data, self._followed(place)) for place in places]

    def numbers(self, field: int) -> list[int]:
        """A field that is a list of int32."""
        start, count = self._vector(field)
        return list(struct.unpack_from(f"<{count}i", self._data, start))

    def bytes(self, field: int) -> bytes:
        """A field that is a string or a list of bytes."""
        start, count = self._vector(field)
        return self._data[start : start + count]

    def _at(self, field: int) -> int | None:
        offset = self._fields[field] if field < len(self._fields) else 0
        return self._place + offset if offset else None

    def _vector(self, field: int) -> tuple[int, int]:
        """Where a list begins, and how many elements it has."""
        place = self._at(field)
        if place is None:
            return 0, 0
        start = self._followed(place)
        return start + 4, self._unpacked("<I", start)

    def _followed(self, place: int) -> int:
        return place + self._unpacked("<I", place)

    def _unpacked(self, kind: str, place: int) -> int:
        if place < 0:
            raise struct.error("before the beginning")
        return int(struct.unpack_from(kind, self._data, place)[0])


@dataclass(frozen=True)
class TfliteOperator:
    """One operation.

    Attributes:
        code: its number in TensorFlow Lite's schema, or the name of a custom one.
        inputs, outputs: numbers of tensors; -1 for one left out.
        options: none: there are none.
        custom: the options of a custom operation.
    """

    code: int | str
    inputs: list[int]
    outputs: list[int]
    options: FlatTable | None
    custom: bytes


@dataclass(frozen=True)
class TfliteModel:
    """Operations in the order they are done, and the constants by number."""

    operators: tuple[TfliteOperator, ...]
    constants: dict[int, Tensor]
    inputs: list[int]
    outputs: list[int]


CUSTOM = 32


def read_tflite(data: bytes) -> TfliteModel:
    """The first graph of a TensorFlow Lite model.

    Raises:
        ValueError: damaged, or of a kind that is not read.
    """
    try:
        root = FlatTable.root(data)
        graph, buffers = root.tables(2)[0], root.tables(4)
        codes = [_code(each) for each in root.tables(1)]
        constants = {}
        for place, tensor in enumerate(graph.tables(0)):
            raw = buffers[tensor.number(2, "<I")].bytes(0)
            if raw:
                values = np.frombuffer(raw, DTYPES[tensor.number(1, "<b")]).copy()
                constants[place] = torch.from_numpy(values).reshape(tensor.numbers(0))
        operators = tuple(
            TfliteOperator(
                codes[each.number(0, "<I")],
                each.numbers(1),
                each.numbers(2),
                each.table(4),
                each.bytes(5),
            )
            for each in graph.tables(3)
        )
        return TfliteModel(operators, constants, graph.numbers(1), graph.numbers(2))
    except (IndexError, KeyError, struct.error, RuntimeError) as error:
        raise ValueError(f"not a TensorFlow Lite model that can be read ({error!r})") from None


def _code(table: FlatTable) -> int | str:
    code = max(table.number(0, "<b"), table.number(3))
    return table.bytes(1).decode() if code == CUSTOM else code
