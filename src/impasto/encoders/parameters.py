"""A VGG's numbers and the convention its input follows, whatever file they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from impasto.encoders.layers import Network, convolutions
from impasto.errors import WeightsError

CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
"""Of ImageNet in 8-bit levels; what Caffe's, Keras's and MatConvNet's weights subtract."""
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Parameters:
    """Everything an encoder needs to know.

    Attributes:
        network: ``vgg16`` or ``vgg19``.
        layers: canonical name -> (weight [O, I, 3, 3], bias [O]), float32.
        channel_order: of the input the weights were trained on.
        gain, offset: [3] in that order; the network sees ``picture * gain - offset`` for a picture
            in [0, 1].
        origin: where they came from, for people.
        license: of the weights.
    """

    network: Network
    layers: Mapping[str, tuple[Tensor, Tensor]]
    channel_order: Literal["rgb", "bgr"]
    gain: Tensor
    offset: Tensor
    origin: str
    license: str


def caffe_convention() -> tuple[Literal["bgr"], Tensor, Tensor]:
    """BGR, 8-bit levels, mean subtracted."""
    return "bgr", torch.full((3,), 255.0), torch.tensor(CAFFE_MEAN_BGR)


def torchvision_convention() -> tuple[Literal["rgb"], Tensor, Tensor]:
    """RGB in standard deviations from the mean."""
    std = torch.tensor(TORCHVISION_STD)
    return "rgb", 1 / std, torch.tensor(TORCHVISION_MEAN) / std


def checked(
    layers: Mapping[str, tuple[Tensor, Tensor]], network: Network, where: str
) -> dict[str, tuple[Tensor, Tensor]]:
    """The layers as float32, after comparing every shape with the network's.

    Raises:
        WeightsError: a layer is missing, misshapen, or holds values that are not finite.
    """
    result = {}
    for layer in convolutions(network):
        if layer.name not in layers:
            raise WeightsError(f"{where}: no weights for {layer.name} of {network}")
        weight, bias = (tensor.detach().to(torch.float32) for tensor in layers[layer.name])
        expected = (layer.outputs, layer.inputs, 3, 3)
        if tuple(weight.shape) != expected or tuple(bias.shape) != expected[:1]:
            raise WeightsError(
                f"{where}: {layer.name} has shapes {tuple(weight.shape)} and {tuple(bias.shape)}, "
                f"expected {expected} and {expected[:1]}"
            )
        if not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise WeightsError(f"{where}: {layer.name} holds values that are not finite")
        result[layer.name] = (weight.contiguous(), bias.contiguous())
    return result
