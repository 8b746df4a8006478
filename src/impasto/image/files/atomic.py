"""Write files safely: completely or not at all, and never over a file that was an input."""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from impasto.errors import ResourceError

PREFIX = ".impasto-"
"""Start of the names of temporary files."""


@contextlib.contextmanager
def replace_atomically(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside the target that replaces it when the block succeeds.

    Raises:
        ResourceError: the disk is full or the file is not writable; an existing file is kept.
    """
    # The name is short because file systems limit its bytes, however long the target's name is.
    mark = zlib.crc32(os.fsencode(target.name))
    temporary = target.with_name(f"{PREFIX}{os.getpid()}-{mark:08x}")
    try:
        with report_write_errors(target):
            yield temporary
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def report_write_errors(target: Path) -> Iterator[None]:
    """Convert an OSError in the block to an error that names the target.

    Raises:
        ResourceError: the disk is full, or the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if is_full else error.strerror or str(error)
        raise ResourceError(f"{target}: cannot be written ({reason})") from None


def write_atomically(target: Path, data: bytes) -> None:
    """Write bytes to a file, all or none.

    Raises:
        ResourceError: the disk is full or the file is not writable; an existing file is kept.
    """
    with replace_atomically(target) as temporary:
        temporary.write_bytes(data)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they do not exist.

    Raises:
        ResourceError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ResourceError(f"{folder}: is a file; expected a folder") from None
    except OSError as error:
        raise ResourceError(f"{folder}: cannot be created ({error.strerror})") from None


def lock_file(file: IO[bytes]) -> bool:
    """Lock an open file against other processes until it is closed.

    Returns:
        False if another process holds the lock. On Windows, which has no such locks, always True.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_orphans(folder: Path) -> None:
    """Remove temporary files of processes on this machine that no longer run."""
    for path in folder.glob(f"{PREFIX}*-*"):
        process = path.name.removeprefix(PREFIX).partition("-")[0]
        if process.isdigit() and not _is_alive(int(process)):
            with contextlib.suppress(OSError):
                path.unlink()


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # on Windows, os.kill would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # the process of another user
        return True
    return True


def is_among(path: Path, others: Iterable[Path]) -> bool:
    """Tell whether a path names one of several files, see :func:`is_same_file`."""
    return any(is_same_file(path, other) for other in others)


def is_same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths name one file, which need not exist; links and ``..`` are followed."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)
