"""A small encoder of one's own, to copy: one module, and one entry that names it.

It is loaded without a weights file: three layers of fixed random filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.encoders.encoder import EncoderEntry, EncoderMemory, EncoderRequest, LayerShape

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SHAPES = {
    "toy_full": LayerShape(cell=1, channels=6),
    "toy_half": LayerShape(cell=2, channels=8),
    "toy_quarter": LayerShape(cell=4, channels=12),
}


class ToyEncoder:
    """Each layer halves the picture, except the first, and filters it with a ReLU."""

    def __init__(self, request: EncoderRequest) -> None:
        import torch

        self.device: torch.device = torch.device(request.device)
        self._depth = 1 + max(list(SHAPES).index(tap) for tap in request.taps)
        self._taps = request.taps
        generator = torch.Generator().manual_seed(5)
        self._kernels = []
        inputs = 3
        for shape in SHAPES.values():
            kernel = torch.randn(shape.channels, inputs, 3, 3, generator=generator)
            self._kernels.append((kernel * (2 / 9 / inputs) ** 0.5).to(self.device))
            inputs = shape.channels

    @property
    def cell(self) -> int:
        return int(2 ** (self._depth - 1))

    @property
    def halo(self) -> int:
        return sum(shape.cell for shape in list(SHAPES.values())[: self._depth])

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        import torch.nn.functional as F

        features, x = {}, image - 0.5
        for name, kernel in list(zip(SHAPES, self._kernels, strict=True))[: self._depth]:
            if SHAPES[name].cell > 1:
                x = F.avg_pool2d(x, 2)
            x = F.relu(F.conv2d(x, kernel.to(x.dtype), padding=1))
            if name in self._taps:
                features[name] = x
        return features


ENTRY = EncoderEntry(
    name="toy",
    layers=SHAPES,
    naming="toy_full, toy_half or toy_quarter",
    load=ToyEncoder,
    locate_weights=lambda _: None,
    memory=EncoderMemory(
        activations={"float32": 200, "bfloat16": 100}, forward=60, weighted=24, fixed=2**20
    ),
)
