"""Compute 3x3 convolutions with a quarter of the multiplications, for float32 on a CPU.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308), F(4x4, 3x3):
a tile of 4x4 outputs needs 6x6 inputs. Inputs and kernel are transformed to 36 points, at each of
which the convolution is one matrix product over the channels:

    output = A^T [(G kernel G^T) (B^T input B)] A

Tiles are processed in bands that stay in the CPU's caches between the steps. Rounding errors are
about 1e-5 of the largest output, a hundred times smaller than those of half precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MINIMUM_CHANNELS = 128
"""Input channels from which the transforms cost less than they save."""
TILES_IN_A_BAND = 256
"""Enough rows for fast matrix products; 19 MB for the 512 channels of VGG's widest layers."""

STEP, SIDE = 4, 6
"""Stride and side of the input tiles in pixels."""

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


def transform_kernel(weight: Tensor) -> Tensor:
    """Transform a kernel [O, C, 3, 3] to 36 points: [36, C, O] float32, four times its size."""
    outputs, inputs = weight.shape[:2]
    at = torch.tensor(_POINTS_OF_KERNEL, dtype=torch.float64)
    both = torch.kron(at, at).to(weight.dtype)
    points = both @ weight.permute(2, 3, 1, 0).reshape(9, inputs * outputs)
    return points.view(SIDE**2, inputs, outputs)


def convolve_relu(image: Tensor, points: Tensor, bias: Tensor) -> Tensor:
    """Convolve with zero padding 1 and apply the ReLU.

    Differentiable once, and only with respect to the image.

    Args:
        image: [N, C, H, W] float32.
        points: [36, C, O] from :func:`transform_kernel`.
        bias: [O].

    Returns:
        [N, O, H, W], channels last.
    """
    result: Tensor = _WinogradConvolution.apply(image, points, bias)  # type: ignore[no-untyped-call]
    return result


class _WinogradConvolution(torch.autograd.Function):
    """The gradient of the linear part is the transpose of each step, in reverse order."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, points: Tensor, bias: Tensor) -> Tensor:
        number, _, height, width = image.shape
        down, across = -(-height // STEP), -(-width // STEP)
        tiles = image.new_empty(number, down * STEP, across * STEP, points.shape[2])
        for source, target in zip(image.permute(0, 2, 3, 1), tiles, strict=True):
            _forward(source, points, bias, target)
        result = tiles[:, :height, :width].permute(0, 3, 1, 2)
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
    """Compute the result [H, W, O], sides rounded up to whole tiles, from an image [H, W, C]."""
    inputs, outputs = points.shape[1:]
    down, across = result.shape[0] // STEP, result.shape[1] // STEP
    for top, rows in _split_bands(down, across):
        source = _cut_window(image, top * STEP - 1, rows * STEP + 2, -1, across * STEP + 2)
        tiles = source.unfold(0, SIDE, STEP).unfold(1, SIDE, STEP).permute(3, 4, 0, 1, 2)
        spread = _sandwich(_POINTS_OF_INPUT, tiles)
        product = torch.bmm(spread.view(SIDE**2, rows * across, inputs), points)
        outputs_of_tiles = _sandwich(
            _OUTPUT_OF_POINTS, product.view(SIDE, SIDE, rows, across, outputs)
        )
        target = result[top * STEP : (top + rows) * STEP].view(rows, STEP, across, STEP, outputs)
        torch.add(outputs_of_tiles.permute(2, 0, 3, 1, 4), bias, out=target).relu_()


def _backward(grad: Tensor, activation: Tensor, points: Tensor) -> Tensor:
    """Compute the gradient [H, W, C] from that of the output [H, W, O] and the activation."""
    (height, width, outputs), inputs = grad.shape, points.shape[1]
    down, across = -(-height // STEP), -(-width // STEP)
    result = grad.new_zeros((down + 1) * STEP, (across + 1) * STEP, inputs)
    for top, rows in _split_bands(down, across):
        band = slice(top * STEP, (top + rows) * STEP)
        passed = torch.ops.aten.threshold_backward(grad[band], activation[band], 0)
        source = _cut_window(passed, 0, rows * STEP, 0, across * STEP)
        source = source.view(rows, STEP, across, STEP, outputs).permute(1, 3, 0, 2, 4)
        spread = _sandwich(_OUTPUT_OF_POINTS.T, source)
        product = torch.bmm(spread.view(SIDE**2, rows * across, outputs), points.transpose(1, 2))
        slopes = _sandwich(_POINTS_OF_INPUT.T, product.view(SIDE, SIDE, rows, across, inputs))
        _overlap_add(result[top * STEP : (top + rows + 1) * STEP], slopes)
    return result[1 : height + 1, 1 : width + 1]


def _overlap_add(target: Tensor, tiles: Tensor) -> None:
    """Add overlapping tiles [6, 6, rows, across, C], four pixels apart, to the target."""
    rows, across, channels = tiles.shape[2:]
    parts = (slice(0, STEP), slice(STEP, SIDE))
    for rows_of_tile in parts:
        for columns_of_tile in parts:
            tile = tiles[rows_of_tile, columns_of_tile].permute(2, 0, 3, 1, 4)
            below = target[rows_of_tile.start :][: rows * STEP]
            part = below[:, columns_of_tile.start :][:, : across * STEP]
            cells = part.view(rows, STEP, across, STEP, channels)
            cells[:, : tile.shape[1], :, : tile.shape[3]].add_(tile)


def _sandwich(matrix: Tensor, tiles: Tensor) -> Tensor:
    """Compute M X M^T for every tile and channel, [i, i, rows, across, C] -> [o, o, ...]."""
    after, before = matrix.shape
    flat = tiles.reshape(before, before, -1)
    columns = torch.bmm(matrix.expand(before, after, before), flat)
    both = matrix @ columns.view(before, -1)
    return both.view(after, after, *tiles.shape[2:])


def _cut_window(image: Tensor, top: int, height: int, left: int, width: int) -> Tensor:
    """Cut a part of [H, W, C], with zeros outside of it; a view where nothing is outside."""
    bottom, right = top + height - image.shape[0], left + width - image.shape[1]
    if min(top, left) >= 0 and max(bottom, right) <= 0:
        return image[top : top + height, left : left + width]
    inside = image[max(0, top) : top + height, max(0, left) : left + width]
    return F.pad(inside, (0, 0, max(0, -left), max(0, right), max(0, -top), max(0, bottom)))


def _split_bands(down: int, across: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each band of tiles."""
    band = max(1, TILES_IN_A_BAND // across)
    for top in range(0, down, band):
        yield top, min(band, down - top)
