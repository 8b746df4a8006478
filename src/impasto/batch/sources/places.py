"""Files by path or by URL: the few things a batch does with either.

A URL (``s3://bucket/name``) goes through fsspec, whose plugins know the stores; ``file://`` is a
path. Only paths are written under another name and renamed: an object store shows an object when
it is whole.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.errors import ImageError, ImpastoError, InputError, ResourceError
from impasto.image.files.limits import Limits


def normalized(place: str) -> str:
    """``file:///a`` as ``/a``; anything else as it is."""
    if place.startswith("file://"):
        from urllib.parse import unquote

        return unquote(place.removeprefix("file://"))
    return place


def is_url(place: str) -> bool:
    """Whether fsspec has to be asked."""
    return "://" in place


def absolute(place: str) -> str:
    """As it is meant here, for a process that is elsewhere."""
    return place if is_url(place) else os.path.abspath(place)  # noqa: PTH100 -- links are kept


def joined(folder: str, name: str) -> str:
    """A name, with ``/`` between folders, below a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(Path(folder, name))


def read(place: str, limits: Limits | None = None) -> bytes:
    """All of a file.

    Raises:
        ImageError: missing, a folder, not a regular file or unreadable.
        LimitError: too large.
    """
    limits = limits or Limits()
    if is_url(place):
        return _read_url(place, limits)
    try:
        with open(place, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ImageError(f"{place}: is not a regular file")
            limits.check_bytes(found.st_size, place)
            return file.read(limits.max_bytes + 1)
    except FileNotFoundError:
        raise ImageError(f"{place}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{place}: is a folder, a picture is needed") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{place}: cannot be read ({reason})") from None


def _without_waiting(path: str, flags: int) -> int:
    """A pipe that nobody writes to would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def write(place: str, data: bytes) -> None:
    """To a URL, whole.

    Raises:
        InputError: no plugin for it.
        ResourceError: it cannot be written.
    """
    system, path = _system(place)
    try:
        try:
            system.pipe_file(path, data)
        except FileNotFoundError:
            system.makedirs(system._parent(path), exist_ok=True)
            system.pipe_file(path, data)
    except Exception as error:  # every store has its own
        raise ResourceError(f"{place}: cannot be written ({_reason(error)})") from None


def stamp(place: str) -> str | None:
    """Changes whenever the file does, and costs no reading of it; none: not there.

    Of a path the size and the times of content and of inode, the last of which no program can set;
    of a URL what its store tells of it.
    """
    if is_url(place):
        found = _info(place)
        return None if found is None else _stamp(found)
    try:
        here = os.stat(place)  # noqa: PTH116 -- thrice as fast
    except (OSError, ValueError):
        return None
    return f"{here.st_size}-{here.st_mtime_ns}-{here.st_ctime_ns}"


def size(place: str) -> int | None:
    """In bytes; none: not there."""
    if is_url(place):
        found = _info(place)
        return None if found is None else int(found["size"] or 0)
    try:
        return os.stat(place).st_size  # noqa: PTH116
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Listed:
    """A file in a store.

    Attributes:
        url: of it.
        name: below the part of the URL that had no wildcards, with ``/``.
        stamp, size: as of the functions of these names.
    """

    url: str
    name: str
    stamp: str
    size: int


def listing(folder: str) -> Iterator[Listed]:
    """All files below a URL, or that match its wildcards, sorted; in a few requests.

    Raises:
        InputError: no plugin for it, or it cannot be listed.
    """
    system, path = _system(folder)
    try:
        fixed = re.split(r"[^/]*[*?[]", path, maxsplit=1)[0].rstrip("/") + "/"
        system.invalidate_cache()
        ask = system.find if fixed.startswith(path) else system.glob
        for each, info in sorted(ask(path, detail=True).items()):
            name = each.removeprefix(fixed) if each.startswith(fixed) else each.rsplit("/", 1)[-1]
            url = str(system.unstrip_protocol(each))
            yield Listed(url, name, _stamp(info), int(info["size"] or 0))
    except FileNotFoundError:
        return
    except Exception as error:  # every store has its own
        raise InputError(f"{folder}: cannot be listed ({_reason(error)})") from None


def _info(url: str) -> dict[str, Any] | None:
    system, path = _system(url)
    try:
        found: dict[str, Any] = system.info(path)
    except Exception:  # not there, or every store's own
        return None
    return found


def _stamp(info: dict[str, Any]) -> str:
    """Of the fields that tell a change, by the names that stores have for them."""
    known = ("etag", "md5hash", "content_md5", "lastmodified", "last_modified", "mtime", "created")
    found = {key.lower(): value for key, value in info.items()}
    told = next((str(found[name]) for name in known if found.get(name)), "")
    return f"{info['size']}-{told}"


def _read_url(place: str, limits: Limits) -> bytes:
    system, path = _system(place)
    try:
        limits.check_bytes(int(system.info(path)["size"] or 0), place)
        data: bytes = system.cat_file(path)
    except ImpastoError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{place}: no such file") from None
    except Exception as error:  # every store has its own
        raise ImageError(f"{place}: cannot be read ({_reason(error)})") from None
    return data


def _system(place: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise InputError(f"{place}: URLs need fsspec: pip install 'impasto[ray]'") from None
    try:
        system, path = url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise InputError(f"{place}: {_reason(error)}") from None
    return system, str(path)


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
