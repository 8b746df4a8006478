"""Extract the activations of named VGG layers from a picture.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(arXiv:1409.1556). The network is frozen: gradients flow only to the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.encoders.layers import (
    Network,
    canonicalize_vgg_layer,
    compute_receptive_radius,
    select_layers,
)
from impasto.encoders.parameters import VggParameters
from impasto.encoders.winograd import MINIMUM_CHANNELS, convolve_relu, transform_kernel
from impasto.errors import LimitError

AVERAGE_POOL_GAINS = (1.22, 1.39, 1.33, 1.77)
"""Factors of average pooling after each block. They make the next block's first layer as active on
average as after the max pooling it was trained with; fitted on nine photos and paintings."""


class VggEncoder(nn.Module):
    """Run VGG's convolutions up to the deepest tap.

    It applies the input convention of its weights (channel order, range, mean) itself; see
    :class:`impasto.encoders.encoder.Encoder`.
    """

    def __init__(
        self,
        parameters: VggParameters,
        taps: Sequence[str],
        *,
        pooling: str = "max",
        padding: str = "zeros",
        plain: bool = False,
    ) -> None:
        """Keep the parameters that the taps need.

        Args:
            parameters: parameters of the network.
            taps: layers to return, in any accepted spelling.
            pooling: ``max``, or ``average`` with factors that keep the activations' scale.
            padding: padding of the first layer: ``zeros`` as in training, or ``replicate``, which
                does not show the network a dark frame around the picture.
            plain: do not use Winograd's algorithm; for export, or as a reference.

        Raises:
            RecipeError: the network has no such layer.
        """
        super().__init__()
        self._gain: Tensor
        self._offset: Tensor
        self.network: Network = parameters.network
        self.taps = tuple(dict.fromkeys(canonicalize_vgg_layer(tap) or tap for tap in taps))
        self._plan = select_layers(self.network, self.taps)
        self._average = pooling == "average"
        self._replicate = padding == "replicate"
        self._plain = plain
        self.register_buffer("_gain", parameters.convention.gain.view(1, 3, 1, 1).clone())
        self.register_buffer("_offset", parameters.convention.offset.view(1, 3, 1, 1).clone())
        self._order = parameters.convention.channel_order
        self._kernel_points: dict[str, Tensor] = {}
        for layer in self._plan:
            weight, bias = parameters.layers[layer.name]
            self.register_buffer(
                f"{layer.name}_weight", weight.contiguous(memory_format=torch.channels_last)
            )
            self.register_buffer(f"{layer.name}_bias", bias.clone())

    @property
    def device(self) -> torch.device:
        """Device of the parameters; pictures must be on it."""
        return self._gain.device

    @property
    def minimum_side(self) -> int:
        """Shortest side in pixels for which every tap has at least one position."""
        return self.cell

    @property
    def cell(self) -> int:
        """Pixels per side that one feature of the deepest tap stands for."""
        return self._plan[-1].cell

    @property
    def halo(self) -> int:
        """Pixels around its own cell that can affect a feature of the deepest tap."""
        return compute_receptive_radius(self.network, self._plan[-1].name)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Compute the features of pictures.

        Args:
            image: [N, 3, H, W] RGB in [0, 1], with the dtype of the parameters.

        Returns:
            ``{layer: [N, C, h, w]}`` for every tap, after the ReLU, in network order.

        Raises:
            LimitError: a side is shorter than :attr:`minimum_side`.
        """
        if min(image.shape[-2:]) < self.minimum_side:
            raise LimitError(
                f"of {image.shape[-1]}x{image.shape[-2]} px is too small: {self._plan[-1].name} "
                f"needs {self.minimum_side} px on the shorter side",
                what="a picture",
                limit=self.minimum_side,
            )
        x = image if self._order == "rgb" else image.flip(1)
        x = (x * self._gain - self._offset).contiguous(memory_format=torch.channels_last)
        features = {}
        for position, layer in enumerate(self._plan):
            if position and layer.index == 1:
                x = self._pool(x, AVERAGE_POOL_GAINS[layer.block - 2])
            x = self._convolve_relu(x, layer.name, first=position == 0)
            if layer.name in self.taps:
                features[layer.name] = x
        return features

    def _convolve_relu(self, x: Tensor, name: str, *, first: bool) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        fast = x.device.type == "cpu" and x.dtype == torch.float32 and not self._plain
        if fast and x.shape[1] >= MINIMUM_CHANNELS:
            if name not in self._kernel_points:
                self._kernel_points[name] = transform_kernel(weight)
            return convolve_relu(x, self._kernel_points[name], bias)
        padding = 1
        if first and self._replicate:
            x, padding = F.pad(x, (1, 1, 1, 1), mode="replicate"), 0
        # In place: nothing else reads the output of the convolution.
        return F.relu_(F.conv2d(x, weight, bias, padding=padding))

    def _pool(self, x: Tensor, gain: float) -> Tensor:
        if self._average:
            return F.avg_pool2d(x, 2) * gain
        return F.max_pool2d(x, 2)
