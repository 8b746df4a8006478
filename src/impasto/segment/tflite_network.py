"""Read and run small TensorFlow Lite networks, as data and without TensorFlow.

The reader knows as much of FlatBuffers and of the schema as segmentation networks need, and
:data:`OPERATIONS` lists the operations that can be run.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

DTYPES = {0: "<f4", 1: "<f2", 2: "<i4"}
"""Numbers of TensorFlow Lite's data types: float32, float16 and int32."""


class FlatTable:
    """A table of a FlatBuffer: optional fields by number."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place
        fields = place - self._unpack("<i", place)
        size = self._unpack("<H", fields)
        self._fields = [self._unpack("<H", fields + at) for at in range(4, size, 2)]

    @classmethod
    def read_root(cls, data: bytes) -> FlatTable:
        """Read the root table of a buffer."""
        return cls(data, struct.unpack_from("<I", data)[0])

    def read_number(self, field: int, kind: str = "<i", default: int = 0) -> int:
        """Read a scalar field whose type is given by a format of :mod:`struct`."""
        place = self._find_field(field)
        return default if place is None else self._unpack(kind, place)

    def read_table(self, field: int) -> FlatTable | None:
        """Read a field that is a table. None: the field is absent."""
        place = self._find_field(field)
        return None if place is None else FlatTable(self._data, self._follow_offset(place))

    def read_tables(self, field: int) -> list[FlatTable]:
        """Read a field that is a list of tables."""
        start, count = self._find_list(field)
        places = (start + 4 * index for index in range(count))
        return [FlatTable(self._data, self._follow_offset(place)) for place in places]

    def read_numbers(self, field: int) -> list[int]:
        """Read a field that is a list of int32."""
        start, count = self._find_list(field)
        return list(struct.unpack_from(f"<{count}i", self._data, start))

    def read_bytes(self, field: int) -> bytes:
        """Read a field that is a string or a list of bytes."""
        start, count = self._find_list(field)
        return self._data[start : start + count]

    def _find_field(self, field: int) -> int | None:
        offset = self._fields[field] if field < len(self._fields) else 0
        return self._place + offset if offset else None

    def _find_list(self, field: int) -> tuple[int, int]:
        """Return the position and the number of elements of a list."""
        place = self._find_field(field)
        if place is None:
            return 0, 0
        start = self._follow_offset(place)
        return start + 4, self._unpack("<I", start)

    def _follow_offset(self, place: int) -> int:
        return place + self._unpack("<I", place)

    def _unpack(self, kind: str, place: int) -> int:
        if place < 0:
            raise struct.error("an offset points before the beginning")
        return int(struct.unpack_from(kind, self._data, place)[0])


@dataclass(frozen=True)
class TfliteOperator:
    """An operation of a network.

    Attributes:
        code: number in TensorFlow Lite's schema, or the name of a custom operation.
        inputs, outputs: numbers of tensors; -1 for an omitted one.
        options: None: the operation has no options.
        custom: options of a custom operation.
    """

    code: int | str
    inputs: list[int]
    outputs: list[int]
    options: FlatTable | None
    custom: bytes


@dataclass(frozen=True)
class TfliteModel:
    """A network: operations in execution order, and constants by tensor number."""

    operators: tuple[TfliteOperator, ...]
    constants: dict[int, Tensor]
    inputs: list[int]
    outputs: list[int]


CUSTOM = 32
"""Code of custom operations, which are known by their names."""


def read_tflite(data: bytes) -> TfliteModel:
    """Read the first graph of a TensorFlow Lite model.

    Raises:
        ValueError: the model is damaged or not supported.
    """
    try:
        root = FlatTable.read_root(data)
        graph, buffers = root.read_tables(2)[0], root.read_tables(4)
        codes = [_read_code(each) for each in root.read_tables(1)]
        constants = {}
        for place, tensor in enumerate(graph.read_tables(0)):
            raw = buffers[tensor.read_number(2, "<I")].read_bytes(0)
            if raw:
                values = np.frombuffer(raw, DTYPES[tensor.read_number(1, "<b")]).copy()
                constants[place] = torch.from_numpy(values).reshape(tensor.read_numbers(0))
        operators = tuple(
            TfliteOperator(
                codes[each.read_number(0, "<I")],
                each.read_numbers(1),
                each.read_numbers(2),
                each.read_table(4),
                each.read_bytes(5),
            )
            for each in graph.read_tables(3)
        )
        return TfliteModel(operators, constants, graph.read_numbers(1), graph.read_numbers(2))
    except (IndexError, KeyError, struct.error, RuntimeError) as error:
        raise ValueError(f"damaged or unsupported TensorFlow Lite model ({error!r})") from None


def _read_code(table: FlatTable) -> int | str:
    code = max(table.read_number(0, "<b"), table.read_number(3))
    return table.read_bytes(1).decode() if code == CUSTOM else code


SAME = 0
"""TensorFlow's code of ``SAME`` padding, which gives every stride a window."""
RELU, RELU6 = 1, 3


def run_tflite(model: TfliteModel, image: Tensor) -> list[Tensor]:
    """Run a model with one input.

    Args:
        model: network whose operations are all in :data:`OPERATIONS`.
        image: [1, C, H, W]. Tensors that are NHWC in the model are NCHW here.

    Returns:
        The outputs of the model.

    Raises:
        ValueError: the model has another operation.
    """
    values: dict[int, Tensor] = {**model.constants, model.inputs[0]: image}
    with torch.no_grad():
        for operator in model.operators:
            if operator.code not in OPERATIONS:
                raise ValueError(f"unsupported operation {operator.code}")
            inputs = [values[each] for each in operator.inputs if each >= 0]
            values[operator.outputs[0]] = OPERATIONS[operator.code](operator, inputs)
    return [values[each] for each in model.outputs]


def _get_options(operator: TfliteOperator) -> FlatTable:
    if operator.options is None:
        raise ValueError(f"the operation {operator.code} has no options")
    return operator.options


def _pad_same(values: Tensor, size: list[int], stride: list[int], padding: int) -> Tensor:
    """Add the zeros of TensorFlow's ``SAME`` padding; an odd one is added right and below."""
    if padding != SAME:
        return values
    widths: list[int] = []
    for length, window, step in zip(values.shape[:1:-1], size[::-1], stride[::-1], strict=True):
        missing = max(0, (-(-length // step) - 1) * step + window - length)
        widths += [missing // 2, missing - missing // 2]
    return F.pad(values, widths)


def _apply_activation(values: Tensor, activation: int) -> Tensor:
    if activation not in (0, RELU, RELU6):
        raise ValueError(f"unsupported activation {activation}")
    return values if not activation else values.clamp(0, 6 if activation == RELU6 else None)


def _convolve(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _get_options(operator)
    values, kernel, bias = inputs  # the kernel: outputs, height, width, inputs
    stride = [options.read_number(2), options.read_number(1)]
    padded = _pad_same(values, list(kernel.shape[1:3]), stride, options.read_number(0, "<b"))
    result = F.conv2d(padded, kernel.permute(0, 3, 1, 2), bias, stride)
    return _apply_activation(result, options.read_number(3, "<b"))


def _convolve_depthwise(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _get_options(operator)
    values, kernel, bias = inputs  # the kernel: 1, height, width, channels
    stride = [options.read_number(2), options.read_number(1)]
    padded = _pad_same(values, list(kernel.shape[1:3]), stride, options.read_number(0, "<b"))
    result = F.conv2d(padded, kernel.permute(3, 0, 1, 2), bias, stride, groups=values.shape[1])
    return _apply_activation(result, options.read_number(4, "<b"))


def _convolve_transposed(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    values, kernel, bias = inputs  # the kernel: outputs, height, width, inputs
    _, across, down = struct.unpack_from("<3i", operator.custom)
    if list(kernel.shape[1:3]) != [down, across]:
        raise ValueError("unsupported: a transposed convolution with overlapping windows")
    return F.conv_transpose2d(values, kernel.permute(3, 0, 1, 2), bias, (down, across))


def _average_pool(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _get_options(operator)
    size = [options.read_number(4), options.read_number(3)]
    if size != list(inputs[0].shape[2:]):
        raise ValueError("unsupported: average pooling over a part of the tensor")
    return inputs[0].mean((2, 3), keepdim=True)


def _max_pool(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _get_options(operator)
    stride, size = ([options.read_number(f), options.read_number(f - 1)] for f in (2, 4))
    if stride != size:
        raise ValueError("unsupported: max pooling with overlapping windows")
    return F.max_pool2d(inputs[0], size)


def _pad(_: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    _, rows, columns, channels = inputs[1].tolist()
    return F.pad(inputs[0], [*columns, *rows, *channels])


def _reshape(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    return inputs[0].permute(0, 2, 3, 1).reshape(_get_options(operator).read_numbers(0))


def _concatenate(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    if inputs[0].dim() == 4:
        raise ValueError("unsupported: concatenation of 4-D tensors")
    return torch.cat(inputs, _get_options(operator).read_number(0))


def _resize(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _get_options(operator)
    corners, centers = (bool(options.read_number(field, "<b")) for field in (2, 3))
    if not (corners or centers):
        raise ValueError("unsupported: resizing that aligns neither corners nor centers")
    return F.interpolate(inputs[0], inputs[1].tolist(), mode="bilinear", align_corners=corners)


def _add(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    activation = operator.options.read_number(0, "<b") if operator.options else 0
    return _apply_activation(inputs[0] + inputs[1], activation)


def _multiply(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    activation = operator.options.read_number(0, "<b") if operator.options else 0
    return _apply_activation(inputs[0] * inputs[1], activation)


OPERATIONS: dict[int | str, Callable[[TfliteOperator, list[Tensor]], Tensor]] = {
    0: _add,
    1: _average_pool,
    2: _concatenate,
    3: _convolve,
    4: _convolve_depthwise,
    6: lambda _, x: x[0].float(),
    14: lambda _, x: x[0].sigmoid(),
    17: _max_pool,
    18: _multiply,
    19: lambda _, x: x[0].relu(),
    22: _reshape,
    23: _resize,
    34: _pad,
    117: lambda _, x: F.hardswish(x[0]),
    "Convolution2DTransposeBias": _convolve_transposed,
}
"""Supported operations, by TensorFlow Lite's codes and names."""
