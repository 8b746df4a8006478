"""Add VGG-16 and VGG-19 to the registry. Nothing here imports torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.encoders.encoder import (
    EncoderEntry,
    EncoderMemory,
    EncoderRequest,
    LayerShape,
)
from impasto.encoders.layers import Network, canonicalize_vgg_layer, list_convolutions
from impasto.encoders.weight_sources import SOURCES, find_cached_file, find_wheel_file

if TYPE_CHECKING:
    from impasto.encoders.vgg import VggEncoder

VGG_MEMORY = EncoderMemory(
    activations={"float32": 2750, "bfloat16": 1700},
    forward=750,
    weighted=256,
    fixed=300 * 2**20,
)
"""Measured with VGG-19. Activations: as peak resident memory of ``standard`` above the loaded
network. float32: 479, 1054 and 2006 MiB at 256, 512 and 768 px square, which is 3050 per pixel, 360
of them the solver's, and a fixed 290 MiB. bfloat16: 682 MiB at 512 px, which is 1570 per pixel with
the same fixed part; a margin is added. Forward: 1072 and 1974 MiB at 1024 and 1536 px square in
float32. Weighted: the first layer's 64 features, in float32."""


def locate_vgg_weights(network: Network, path: Path | None) -> Path:
    """Return the weights file that a run loads.

    Args:
        network: ``vgg16`` or ``vgg19``.
        path: file that was asked for. None: the first source that is present.

    Raises:
        WeightsError: there are no weights for this network.
    """
    if path is not None:
        return path
    cached = (find_cached_file(each) for each in SOURCES if each.network == network)
    return next(filter(None, cached), None) or find_wheel_file()


def _load(network: Network, request: EncoderRequest) -> VggEncoder:
    from impasto.encoders.weights import load_vgg

    return load_vgg(
        network,
        request.taps,
        pooling=request.pooling,
        padding=request.padding,
        weights=request.weights,
        device=request.device,
    )


def _make_entry(network: Network) -> EncoderEntry:
    return EncoderEntry(
        name=network,
        layers={
            each.name: LayerShape(each.cell, each.outputs) for each in list_convolutions(network)
        },
        naming="relu1_1 to relu5_4 (or conv1_1, block1_conv1); "
        "blocks 1 and 2 have two layers, the others four",
        load=partial(_load, network),
        locate_weights=partial(locate_vgg_weights, network),
        memory=VGG_MEMORY,
        shortest=16,  # the fifth block has no position in a smaller picture
        canonicalize=canonicalize_vgg_layer,
        sources=SOURCES,
    )


VGG_ENTRIES = (_make_entry("vgg19"), _make_entry("vgg16"))
