"""Files that are whole or not there: written under another name, flushed to disk, renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from impasto.errors import ResourceError

PREFIX = ".impasto-"


@contextlib.contextmanager
def replace_atomically(target: Path) -> Iterator[Path]:
    """A path beside the target to write to; it takes the target's place if the block succeeds.

    Raises:
        ResourceError: disk full or not writable; what was there before is still there.
    """
    # Short, however long the target's name is: a file system counts its bytes, not its letters.
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
    """What goes wrong in the block is told of a file.

    Raises:
        ResourceError: the disk is full, or the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        raise ResourceError(f"{target}: cannot be written ({reason})") from None


def make_folder(folder: Path) -> None:
    """And those above it, where there are none yet.

    Raises:
        ResourceError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ResourceError(f"{folder}: is a file, a folder is needed") from None
    except OSError as error:
        raise ResourceError(f"{folder}: cannot be made ({error.strerror})") from None


def lock_file(file: IO[bytes]) -> bool:
    """Keep other processes from a file for as long as it is open; whether none has it. Windows,
    which has no such locks, keeps nobody out."""
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
    """Temporary files in a folder whose processes, of this machine, were killed."""
    for path in folder.glob(f"{PREFIX}*-*"):
        process = path.name.removeprefix(PREFIX).partition("-")[0]
        if process.isdigit() and not _is_alive(int(process)):
            with contextlib.suppress(OSError):
                path.unlink()


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # where asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


def write_atomically(target: Path, data: bytes) -> None:
    """Bytes to a file, all or none.

    Raises:
        ResourceError: disk full or not writable; what was there before is still there.
    """
    with replace_atomically(target) as temporary:
        temporary.write_bytes(data)
