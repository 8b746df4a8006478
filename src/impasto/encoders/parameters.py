"""Hold the parameters of a VGG network and the convention of its input, whatever their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from impasto.encoders.layers import Network, list_convolutions
from impasto.errors import WeightsError

Layers = Mapping[str, tuple[Tensor, Tensor]]
"""Canonical layer name -> (weight [O, I, 3, 3], bias [O])."""


@dataclass(frozen=True)
class InputConvention:
    """How a network expects its input: it sees ``picture * gain - offset``, picture in [0, 1].

    Attributes:
        channel_order: order of the input channels.
        gain, offset: [3] float32, in that order.
    """

    channel_order: Literal["rgb", "bgr"]
    gain: Tensor
    offset: Tensor


CAFFE = InputConvention(
    channel_order="bgr",
    gain=torch.full((3,), 255.0),
    offset=torch.tensor((103.939, 116.779, 123.68)),
)
"""BGR in 8-bit levels minus ImageNet's mean; used by Caffe, Keras and MatConvNet (in RGB)."""
_TORCHVISION_MEAN = torch.tensor((0.485, 0.456, 0.406))
_TORCHVISION_DEVIATION = torch.tensor((0.229, 0.224, 0.225))
TORCHVISION = InputConvention(
    channel_order="rgb",
    gain=1 / _TORCHVISION_DEVIATION,
    offset=_TORCHVISION_MEAN / _TORCHVISION_DEVIATION,
)
"""RGB, standardized with ImageNet's mean and standard deviation."""


@dataclass(frozen=True)
class VggParameters:
    """The parameters of a network.

    Attributes:
        network: ``vgg16`` or ``vgg19``.
        layers: canonical name -> (weight [O, I, 3, 3], bias [O]), float32.
        convention: input convention that the weights were trained with.
        origin: description of the source, for people.
        license: license of the weights.
    """

    network: Network
    layers: Layers
    convention: InputConvention
    origin: str
    license: str


def check_shapes(layers: Layers, network: Network, where: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Convert layers to float32 after checking their shapes and values.

    Args:
        layers: tensors of any float type.
        network: network that they must fit.
        where: source of the layers, for error messages.

    Raises:
        WeightsError: a layer is missing, has a wrong shape, or holds values that are not finite.
    """
    result = {}
    for layer in list_convolutions(network):
        if layer.name not in layers:
            raise WeightsError(f"no weights for {layer.name} of {network}", where=where)
        weight, bias = (tensor.detach().to(torch.float32) for tensor in layers[layer.name])
        expected = (layer.outputs, layer.inputs, 3, 3)
        if tuple(weight.shape) != expected or tuple(bias.shape) != expected[:1]:
            raise WeightsError(
                f"has shapes {tuple(weight.shape)} and {tuple(bias.shape)}",
                what=layer.name,
                where=where,
                expected=f"{expected} and {expected[:1]}",
            )
        if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise WeightsError("holds values that are not finite", what=layer.name, where=where)
        result[layer.name] = (weight.contiguous(), bias.contiguous())
    return result
