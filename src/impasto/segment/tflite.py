"""The operations of a TensorFlow Lite model, as small segmentation networks have them."""

from __future__ import annotations

import struct
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.segment.flatbuffer import FlatTable, TfliteModel, TfliteOperator

SAME = 0
"""TensorFlow's name for padding until every stride has its window."""
RELU, RELU6 = 1, 3


def run_tflite(model: TfliteModel, image: Tensor) -> list[Tensor]:
    """The outputs of a model of one input.

    Args:
        model: of the operations in :data:`OPERATIONS`.
        image: [1, C, H, W]; what the model has as NHWC is NCHW here.

    Raises:
        ValueError: another operation.
    """
    values: dict[int, Tensor] = {**model.constants, model.inputs[0]: image}
    with torch.no_grad():
        for operator in model.operators:
            if operator.code not in OPERATIONS:
                raise ValueError(f"the operation {operator.code} is not known")
            inputs = [values[each] for each in operator.inputs if each >= 0]
            values[operator.outputs[0]] = OPERATIONS[operator.code](operator, inputs)
    return [values[each] for each in model.outputs]


def _options(operator: TfliteOperator) -> FlatTable:
    if operator.options is None:
        raise ValueError(f"the operation {operator.code} has no options")
    return operator.options


def _padded(values: Tensor, size: list[int], stride: list[int], padding: int) -> Tensor:
    """With the zeros that TensorFlow's ``SAME`` adds: what is odd goes to the right and below."""
    if padding != SAME:
        return values
    wanted: list[int] = []
    for length, window, step in zip(values.shape[:1:-1], size[::-1], stride[::-1], strict=True):
        missing = max(0, (-(-length // step) - 1) * step + window - length)
        wanted += [missing // 2, missing - missing // 2]
    return F.pad(values, wanted)


def _activated(values: Tensor, activation: int) -> Tensor:
    if activation not in (0, RELU, RELU6):
        raise ValueError(f"the activation {activation} is not known")
    return values if not activation else values.clamp(0, 6 if activation == RELU6 else None)


def _convolution(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _options(operator)
    values, kernel, bias = inputs  # the kernel: outputs, height, width, inputs
    stride = [options.number(2), options.number(1)]
    padded = _padded(values, list(kernel.shape[1:3]), stride, options.number(0, "<b"))
    result = F.conv2d(padded, kernel.permute(0, 3, 1, 2), bias, stride)
    return _activated(result, options.number(3, "<b"))


def _depthwise(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _options(operator)
    values, kernel, bias = inputs  # the kernel: 1, height, width, channels
    stride = [options.number(2), options.number(1)]
    padded = _padded(values, list(kernel.shape[1:3]), stride, options.number(0, "<b"))
    result = F.conv2d(padded, kernel.permute(3, 0, 1, 2), bias, stride, groups=values.shape[1])
    return _activated(result, options.number(4, "<b"))


def _transposed(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    values, kernel, bias = inputs  # the kernel: outputs, height, width, inputs
    _, across, down = struct.unpack_from("<3i", operator.custom)
    if list(kernel.shape[1:3]) != [down, across]:
        raise ValueError("a transposed convolution whose windows overlap is not known")
    return F.conv_transpose2d(values, kernel.permute(3, 0, 1, 2), bias, (down, across))


def _average(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _options(operator)
    size = [options.number(4), options.number(3)]
    if size != list(inputs[0].shape[2:]):
        raise ValueError("an average over less than everything is not known")
    return inputs[0].mean((2, 3), keepdim=True)


def _largest(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _options(operator)
    stride, size = ([options.number(f), options.number(f - 1)] for f in (2, 4))
    if stride != size:
        raise ValueError("a maximum over windows that overlap is not known")
    return F.max_pool2d(inputs[0], size)


def _bordered(_: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    _, rows, columns, channels = inputs[1].tolist()
    return F.pad(inputs[0], [*columns, *rows, *channels])


def _reshaped(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    return inputs[0].permute(0, 2, 3, 1).reshape(_options(operator).numbers(0))


def _joined(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    if inputs[0].dim() == 4:
        raise ValueError("channels that are joined are not known")
    return torch.cat(inputs, _options(operator).number(0))


def _resized(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    options = _options(operator)
    corners, centers = (bool(options.number(field, "<b")) for field in (2, 3))
    if not (corners or centers):
        raise ValueError("a resize that aligns neither corners nor centers is not known")
    return F.interpolate(inputs[0], inputs[1].tolist(), mode="bilinear", align_corners=corners)


def _sum(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    activation = operator.options.number(0, "<b") if operator.options else 0
    return _activated(inputs[0] + inputs[1], activation)


def _product(operator: TfliteOperator, inputs: list[Tensor]) -> Tensor:
    activation = operator.options.number(0, "<b") if operator.options else 0
    return _activated(inputs[0] * inputs[1], activation)


OPERATIONS: dict[int | str, Callable[[TfliteOperator, list[Tensor]], Tensor]] = {
    0: _sum,
    1: _average,
    2: _joined,
    3: _convolution,
    4: _depthwise,
    6: lambda _, x: x[0].float(),
    14: lambda _, x: x[0].sigmoid(),
    17: _largest,
    18: _product,
    19: lambda _, x: x[0].relu(),
    22: _reshaped,
    23: _resized,
    34: _bordered,
    117: lambda _, x: F.hardswish(x[0]),
    "Convolution2DTransposeBias": _transposed,
}
"""By TensorFlow Lite's numbers."""
