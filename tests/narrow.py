"""VGG-19 with an eighth of its channels and random weights, for tests of behavior.

It has the same layers, taps and input, and a run with it takes a small part of the time. What a
test of flags, records, checkpoints, exit codes or films shows does not depend on what a layer has
learnt. Tests of numbers, and of pictures that should look like something, use the real network.
"""

from __future__ import annotations

from functools import lru_cache

import torch

import forks
from impasto.encoders.encoder import Encoder, EncoderRequest
from impasto.encoders.layers import list_convolutions
from impasto.encoders.parameters import CAFFE, VggParameters
from impasto.encoders.vgg import VggEncoder
from impasto.optimize import optimizer_engine

SHARE = 8
"""Channels of VGG-19 for each of this network."""
_load_encoder = optimizer_engine.load_encoder


@lru_cache
def make_narrow_parameters() -> VggParameters:
    """Make the parameters: random, the same ones every time."""
    generator = torch.Generator().manual_seed(19)
    layers, inputs = {}, 3
    for layer in list_convolutions("vgg19"):
        outputs = layer.outputs // SHARE
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * (2 / 9 / inputs) ** 0.5
        layers[layer.name] = (weight, 0.1 * torch.randn(outputs, generator=generator))
        inputs = outputs
    return VggParameters("vgg19", layers, CAFFE, origin="random", license="")


def load_narrow_encoder(name: str, request: EncoderRequest) -> Encoder:
    """Stand in for :func:`impasto.encoders.encoder_registry.load_encoder`; given weights are
    loaded.
    """
    if request.weights is not None or name != "vgg19":
        return _load_encoder(name, request)
    encoder = VggEncoder(
        make_narrow_parameters(), request.taps, pooling=request.pooling, padding=request.padding
    )
    return encoder.to(request.device)


def install() -> None:
    """Have the optimizer of this process, and of those it starts, look through it."""
    optimizer_engine.load_encoder = load_narrow_encoder
    forks.encoder = "narrow"


def uninstall() -> None:
    """Have them look through VGG-19 again."""
    optimizer_engine.load_encoder = _load_encoder
    forks.encoder = "vgg19"
