"""3x3 convolutions with a quarter of the multiplications, for float32 on a CPU.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308), F(4x4, 3x3):
a tile of 4x4 outputs needs 6x6 inputs; both and the kernel are taken to 36 points, where the
convolution is one matrix product over the channels a point:

    output = A^T [(G kernel G^T) (B^T input B)] A

The work is done in bands of tiles, small enough not to leave the caches between the steps. Rounding
errors are about 1e-5 of the largest output, a hundred times less than those of half precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MINIMUM_CHANNELS = 128
"""Of the input: with fewer, moving to the 36 points and back costs more than it saves."""
TILES_IN_A_BAND = 256
"""Enough rows for fast matrix products; 19 MB of points for 512 channels, the widest of VGG."""

STEP, SIDE = 4, 6
"""Pixels from one tile of inputs to the next, and across one."""

_POINTS_OF_KERNEL = (  # G: evaluated at 0, 1, -1, 2, -2 and infinity
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_POINTS_OF_INPUT = torch.tensor(  # B^T
    (
        (4.0, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    )
)
_OUTPUT_OF_POINTS = torch.tensor(  # A^T
    ((1.0, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
)


def kernel_points(weight: Tensor) -> Tensor:
    """A kernel [O, C, 3, 3] taken to the 36 points: [36, C, O], float32, four times its size."""
    outputs, inputs = weight.shape[:2]
    at = torch.tensor(_POINTS_OF_KERNEL, dtype=torch.float64)
    both = torch.kron(at, at).to(weight.dtype)
    points = both @ weight.permute(2, 3, 1, 0).reshape(9, inputs * outputs)
    return points.view(SIDE**2, inputs, outputs)


def activated(image: Tensor, points: Tensor, bias: Tensor) -> Tensor:
    """ReLU of a convolution with zero padding 1; differentiable once, in the image only.

    Args:
        image: [N, C, H, W] float32.
        points: [36, C, O], of :func:`kernel_points`.
        bias: [O].

    Returns:
        [N, O, H, W], channels last.
    """
    result: Tensor = _Activation.apply(image, points, bias)  # type: ignore[no-untyped-call]
    return result


class _Activation(torch.autograd.Function):
    """Before the ReLU it is linear: the gradient is each step transposed, in the opposite order."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, points: Tensor, bias: Tensor) -> Tensor:
        number, _, height, width = image.shape
        down, across = -(-height // STEP), -(-width // STEP)
        made = image.new_empty(number, down * STEP, across * STEP, points.shape[2])
        for source, target in zip(image.permute(0, 2, 3, 1), made, strict=True):
            _forward(source, points, bias, target)
        result = made[:, :height, :width].permute(0, 3, 1, 2)
        result = result.contiguous(memory_format=torch.channels_last)
        ctx.points = points
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (result,) = ctx.saved_tensors
        both = (each.permute(0, 2, 3, 1) for each in (grads[0], result))
        slopes = [_backward(g, a, ctx.points) for g, a in zip(*both, strict=True)]
        batch = slopes[0][None] if len(slopes) == 1 else torch.stack(slopes)
        return batch.permute(0, 3, 1, 2), None, None


def _forward(image: Tensor, points: Tensor, bias: Tensor, result: Tensor) -> None:
    """Fill [H, W, O], whose sides are rounded up to whole tiles, from [H, W, C]."""
    inputs, outputs = points.shape[1:]
    down, across = result.shape[0] // STEP, result.shape[1] // STEP
    for top, rows in _bands(down, across):
        source = _window(image, top * STEP - 1, rows * STEP + 2, -1, across * STEP + 2)
        tiles = source.unfold(0, SIDE, STEP).unfold(1, SIDE, STEP).permute(3, 4, 0, 1, 2)
        spread = _sandwiched(_POINTS_OF_INPUT, tiles)
        product = torch.bmm(spread.view(SIDE**2, rows * across, inputs), points)
        made = _sandwiched(_OUTPUT_OF_POINTS, product.view(SIDE, SIDE, rows, across, outputs))
        target = result[top * STEP : (top + rows) * STEP].view(rows, STEP, across, STEP, outputs)
        torch.add(made.permute(2, 0, 3, 1, 4), bias, out=target).relu_()


def _backward(grad: Tensor, activation: Tensor, points: Tensor) -> Tensor:
    """[H, W, O] and the activation it is of -> [H, W, C]."""
    (height, width, outputs), inputs = grad.shape, points.shape[1]
    down, across = -(-height // STEP), -(-width // STEP)
    result = grad.new_zeros((down + 1) * STEP, (across + 1) * STEP, inputs)
    for top, rows in _bands(down, across):
        band = slice(top * STEP, (top + rows) * STEP)
        passed = torch.ops.aten.threshold_backward(grad[band], activation[band], 0)
        source = _window(passed, 0, rows * STEP, 0, across * STEP)
        source = source.view(rows, STEP, across, STEP, outputs).permute(1, 3, 0, 2, 4)
        spread = _sandwiched(_OUTPUT_OF_POINTS.T, source)
        product = torch.bmm(spread.view(SIDE**2, rows * across, outputs), points.transpose(1, 2))
        made = _sandwiched(_POINTS_OF_INPUT.T, product.view(SIDE, SIDE, rows, across, inputs))
        _overlap_add(result[top * STEP : (top + rows + 1) * STEP], made)
    return result[1 : height + 1, 1 : width + 1]


def _overlap_add(target: Tensor, tiles: Tensor) -> None:
    """Add tiles [6, 6, rows, across, C] where they came from, four pixels apart."""
    rows, across, channels = tiles.shape[2:]
    parts = (slice(0, STEP), slice(STEP, SIDE))
    for rows_of_tile in parts:
        for columns_of_tile in parts:
            tile = tiles[rows_of_tile, columns_of_tile].permute(2, 0, 3, 1, 4)
            below = target[rows_of_tile.start :][: rows * STEP]
            part = below[:, columns_of_tile.start :][:, : across * STEP]
            cells = part.view(rows, STEP, across, STEP, channels)
            cells[:, : tile.shape[1], :, : tile.shape[3]].add_(tile)


def _sandwiched(matrix: Tensor, tiles: Tensor) -> Tensor:
    """M X M^T for every tile and channel: [i, i, rows, across, C] -> [o, o, rows, across, C]."""
    after, before = matrix.shape
    flat = tiles.reshape(before, before, -1)
    columns = torch.bmm(matrix.expand(before, after, before), flat)
    both = matrix @ columns.view(before, -1)
    return both.view(after, after, *tiles.shape[2:])


def _window(image: Tensor, top: int, height: int, left: int, width: int) -> Tensor:
    """A part of [H, W, C], zeros where it looks beyond: a view if it does not."""
    bottom, right = top + height - image.shape[0], left + width - image.shape[1]
    if min(top, left) >= 0 and max(bottom, right) <= 0:
        return image[top : top + height, left : left + width]
    seen = image[max(0, top) : top + height, max(0, left) : left + width]
    return F.pad(seen, (0, 0, max(0, -left), max(0, right), max(0, -top), max(0, bottom)))


def _bands(down: int, across: int) -> Iterator[tuple[int, int]]:
    """(first, number) of the rows of tiles worked on together."""
    band = max(1, TILES_IN_A_BAND // across)
    for top in range(0, down, band):
        yield top, min(band, down - top)
