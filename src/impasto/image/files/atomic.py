"""Write files safely: completely or not at all, and never over a file that was an input."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import socket
import stat
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from impasto.errors import InputError, ResourceError, is_disk_full

PREFIX = ".impasto-"
"""Start of the names of temporary files."""
TEMPORARY = re.compile(rf"{re.escape(PREFIX)}([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{16}}")
"""Names of temporary files: machine, process and a random number."""
TEMPORARY_OF_0_1 = re.compile(rf"{re.escape(PREFIX)}(\d+)-[0-9a-f]{{8}}")
"""Names of temporary files of impasto 0.1: process and target."""
OLD_S = 86_400.0
"""Age in seconds from which a file of impasto 0.1, which names no machine, can be an orphan."""


@contextlib.contextmanager
def replace_atomically(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to the target that replaces it when the block succeeds.

    The file exists already, under a name that cannot be guessed. Its contents and its new name are
    on the disk when the block ends.

    Args:
        target: the file.
        overwrite: replace a file that exists when the block ends.

    Raises:
        InputError: the file exists and must not be replaced.
        ResourceError: the disk is full or the file is not writable; an existing file is kept.
    """
    # The name is short because file systems limit its bytes, however long the target's name is.
    temporary = target.with_name(name_temporary(os.getpid()))
    with report_write_errors(target):
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(temporary, flags, 0o666))
    try:
        with report_write_errors(target):
            yield temporary
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
            _give_name(temporary, target, overwrite=overwrite)
            flush_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _give_name(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a file; where nothing may be replaced, without a moment in which it could be."""
    if overwrite:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise InputError(
            "exists already; `overwrite` replaces it", where=target, field="overwrite"
        ) from None
    except OSError:  # a file system without links
        _reserve_name(target)
        temporary.replace(target)


def _reserve_name(target: Path) -> None:
    """Create an empty file of a name that no file has.

    Raises:
        InputError: the file exists.
    """
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        raise InputError(
            "exists already; `overwrite` replaces it", where=target, field="overwrite"
        ) from None


def find_free_name(target: Path) -> Path:
    """Return the first of ``name-2.png``, ``name-3.png`` and so on that does not exist."""
    for number in itertools.count(2):
        path = target.with_name(f"{target.stem}-{number}{target.suffix}")
        if not os.path.lexists(path):
            return path
    raise AssertionError


def name_temporary(process: int) -> str:
    """Return a random name for a temporary file of a process on this machine."""
    return f"{PREFIX}{_identify_machine()}-{process}-{secrets.token_hex(8)}"


def is_temporary(path: Path) -> bool:
    """Tell whether a path is named as the temporary files of any impasto are."""
    return bool(TEMPORARY.fullmatch(path.name) or TEMPORARY_OF_0_1.fullmatch(path.name))


def flush_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):  # some network file systems cannot
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def report_write_errors(target: Path) -> Iterator[None]:
    """Convert an OSError in the block to an error that names the target.

    Raises:
        ResourceError: the disk is full, or the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if is_disk_full(error) else error.strerror or str(error)
        raise ResourceError(f"cannot be written ({reason})", where=target) from None


def write_atomically(target: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Write bytes to a file, all or none.

    Raises:
        InputError: the file exists and must not be replaced.
        ResourceError: the disk is full or the file is not writable; an existing file is kept.
    """
    with replace_atomically(target, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they do not exist; their names are then on the disk.

    Raises:
        ResourceError: it cannot be created.
    """
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ResourceError("is a file", where=folder, expected="a folder") from None
    except OSError as error:
        raise ResourceError(f"cannot be created ({error.strerror})", where=folder) from None
    for each in missing:
        flush_folder(each.parent)


def open_without_link(path: Path, *, append: bool) -> IO[bytes]:
    """Open a file of a known name to write; it is created if it does not exist.

    Args:
        path: the file. A link in its place is refused, because it may lead anywhere.
        append: keep what the file holds.

    Raises:
        OSError: it is a link, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "ab" if append else "wb")


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
    """Remove temporary files of processes on this machine that no longer run.

    Only regular files whose names are exactly those of :func:`replace_atomically` are removed.
    """
    for path in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _is_orphan(path):
                path.unlink()


def _is_orphan(path: Path) -> bool:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        return False
    if match := TEMPORARY.fullmatch(path.name):
        machine, process = match.groups()
        return machine == _identify_machine() and not _is_alive(int(process))
    if match := TEMPORARY_OF_0_1.fullmatch(path.name):
        is_old = time.time() - status.st_mtime > OLD_S
        return is_old and not _is_alive(int(match.group(1)))
    return False


def _identify_machine() -> str:
    """Return eight digits that differ between machines, and between containers of one machine."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        name += os.readlink("/proc/self/ns/pid")  # noqa: PTH115 -- not a path
    return f"{zlib.crc32(os.fsencode(name)):08x}"


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
