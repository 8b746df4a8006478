"""VGG as a feature extractor: a picture in, the activations of named layers out.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(arXiv:1409.1556). The network is frozen: gradients flow to the picture only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.encoders.layers import (
    Network,
    canonical_layer,
    cell_of,
    layers_up_to,
    receptive_radius,
)
from impasto.encoders.parameters import Parameters
from impasto.encoders.winograd import MINIMUM_CHANNELS, activated, kernel_points
from impasto.errors import LimitError

AVERAGE_POOL_GAINS = (1.22, 1.39, 1.33, 1.77)
"""Of the average after each block, so that the next block's first layer is on average as active as
after the maximum it was trained on; fitted on nine photos and paintings."""


class Encoder(nn.Module):
    """The convolutions up to the deepest tap.

    The preprocessing of the weights' own convention (channel order, range, mean) is inside, so that
    every encoder takes RGB in [0, 1].
    """

    def __init__(
        self,
        parameters: Parameters,
        taps: Sequence[str],
        *,
        pooling: str = "max",
        padding: str = "zeros",
        plain: bool = False,
    ) -> None:
        """Keep what the taps need of a network's parameters.

        Args:
            parameters: of the network.
            taps: layers to deliver, in any accepted spelling.
            pooling: ``max``, or ``average`` rescaled to keep the activations' scale.
            padding: of the first layer: ``zeros`` as trained, or ``replicate``, which shows the
                network no dark frame around the picture.
            plain: never Winograd's algorithm: for export, or as a reference.

        Raises:
            RecipeError: the network has no such layer.
        """
        super().__init__()
        self._gain: Tensor
        self._offset: Tensor
        self.network: Network = parameters.network
        self.taps = tuple(dict.fromkeys(canonical_layer(tap) for tap in taps))
        self._plan = layers_up_to(self.network, self.taps)
        self._average = pooling == "average"
        self._replicate = padding == "replicate"
        self._plain = plain
        self.register_buffer("_gain", parameters.gain.view(1, 3, 1, 1).clone())
        self.register_buffer("_offset", parameters.offset.view(1, 3, 1, 1).clone())
        self._order = parameters.channel_order
        self._kernel_points: dict[str, Tensor] = {}
        for layer in self._plan:
            weight, bias = parameters.layers[layer.name]
            self.register_buffer(
                f"{layer.name}_weight", weight.contiguous(memory_format=torch.channels_last)
            )
            self.register_buffer(f"{layer.name}_bias", bias.clone())

    @property
    def device(self) -> torch.device:
        """Where its parameters are and its pictures have to be."""
        return self._gain.device

    @property
    def minimum_side(self) -> int:
        """Shortest side in pixels that leaves every tap at least one position."""
        return self.cell

    @property
    def cell(self) -> int:
        """Pixels a side that one feature of the deepest tap stands for."""
        return cell_of(self._plan[-1].name)

    @property
    def halo(self) -> int:
        """Pixels around its own cell that can reach a feature of the deepest tap."""
        return receptive_radius(self.network, self._plan[-1].name)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Features of a picture.

        Args:
            image: [N, 3, H, W] RGB in [0, 1], of the parameters' dtype.

        Returns:
            ``{layer: [N, C, h, w]}`` for every tap, after the ReLU, in the order of the network.

        Raises:
            LimitError: the picture is shorter than :attr:`minimum_side`.
        """
        if min(image.shape[-2:]) < self.minimum_side:
            raise LimitError(
                f"a picture of {image.shape[-1]}x{image.shape[-2]} px is too small: "
                f"{self._plan[-1].name} needs {self.minimum_side} px on the shorter side"
            )
        x = image if self._order == "rgb" else image.flip(1)
        x = (x * self._gain - self._offset).contiguous(memory_format=torch.channels_last)
        features = {}
        for position, layer in enumerate(self._plan):
            if position and layer.index == 1:
                x = self._pooled(x, AVERAGE_POOL_GAINS[layer.block - 2])
            x = self._activated(x, layer.name, first=position == 0)
            if layer.name in self.taps:
                features[layer.name] = x
        return features

    def _activated(self, x: Tensor, name: str, *, first: bool) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        fast = x.device.type == "cpu" and x.dtype == torch.float32 and not self._plain
        if fast and x.shape[1] >= MINIMUM_CHANNELS:
            if name not in self._kernel_points:
                self._kernel_points[name] = kernel_points(weight)
            return activated(x, self._kernel_points[name], bias)
        padding = 1
        if first and self._replicate:
            x, padding = F.pad(x, (1, 1, 1, 1), mode="replicate"), 0
        # In place: the convolution's own output is never read again.
        return F.relu_(F.conv2d(x, weight, bias, padding=padding))

    def _pooled(self, x: Tensor, gain: float) -> Tensor:
        if self._average:
            return F.avg_pool2d(x, 2) * gain
        return F.max_pool2d(x, 2)
