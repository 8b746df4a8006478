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
from pathlib import Path
from typing import Any

from impasto.errors import ImageError, ImpastoError, InputError, ResourceError
from impasto.media.limits import Limits


def normalized(place: str) -> str:
    """``file:///a`` as ``/a``; anything else as it is."""
    if place.startswith("file://"):
        from urllib.parse import unquote

        return unquote(place.removeprefix("file://"))
    return place


def is_url(place: str) -> bool:
    """Whether fsspec has to be asked."""
    return "://" in place


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
    of a URL what its store has for the purpose.
    """
    if is_url(place):
        try:
            system, path = _system(place)
            return str(system.ukey(path))
        except ImpastoError:
            raise
        except Exception:  # not there, or every store's own
            return None
    try:
        found = os.stat(place)  # noqa: PTH116 -- no ValueError to be met by Path
    except (OSError, ValueError):
        return None
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"


def size(place: str) -> int | None:
    """In bytes; none: not there."""
    try:
        if is_url(place):
            system, path = _system(place)
            return int(system.info(path)["size"] or 0)
        return os.stat(place).st_size  # noqa: PTH116
    except ImpastoError:
        raise
    except Exception:  # not there, or every store's own
        return None


def listing(folder: str) -> Iterator[tuple[str, str]]:
    """All files below a URL, or that match its wildcards, sorted: each one's URL, and its place
    below the part without wildcards.

    Raises:
        InputError: no plugin for it, or it cannot be listed.
    """
    system, path = _system(folder)
    try:
        fixed = re.split(r"[^/]*[*?[]", path, maxsplit=1)[0].rstrip("/") + "/"
        found = system.find(path) if fixed.startswith(path) else system.glob(path)
        for each in sorted(found):
            name = each.removeprefix(fixed) if each.startswith(fixed) else each.rsplit("/", 1)[-1]
            yield str(system.unstrip_protocol(each)), name
    except Exception as error:  # every store has its own
        raise InputError(f"{folder}: cannot be listed ({_reason(error)})") from None


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
