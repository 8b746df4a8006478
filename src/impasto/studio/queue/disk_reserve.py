"""Keep disk space free for deletions, in a file."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from impasto.errors import is_disk_full

RESERVE_BYTES = 4 << 20
"""Far more than the queue needs to write down a deletion."""
AMPLE = 16
"""Multiple of the reserve that has to be free before the reserve is filled again."""
CHUNK_BYTES = 1 << 16

log = logging.getLogger("impasto.studio")
T = TypeVar("T")


class DiskReserve:
    """Keeps some space, which is released when a deletion finds the disk full."""

    def __init__(self, file: Path) -> None:
        """Prepare without writing anything.

        Args:
            file: the file that takes up the space.
        """
        self._file = file

    def fill(self) -> None:
        """Take up the space, if the disk has plenty."""
        with contextlib.suppress(OSError):
            if self._file.exists() and self._file.stat().st_size >= RESERVE_BYTES:
                return
            if shutil.disk_usage(self._file.parent).free < AMPLE * RESERVE_BYTES:
                return
            try:
                self._write()
            except OSError:
                self.release()

    def _write(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        file = os.open(self._file, flags, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, RESERVE_BYTES)
                return
            # Real bytes, because a file with holes takes up no space.
            for _ in range(RESERVE_BYTES // CHUNK_BYTES):
                os.write(file, os.urandom(CHUNK_BYTES))
        finally:
            os.close(file)

    def release(self) -> bool:
        """Give the space back, and tell whether there was any."""
        try:
            self._file.unlink()
        except OSError:
            return False
        return True

    def run(self, action: Callable[[], T]) -> T:
        """Do what frees space sooner or later, with the reserve if the disk is full.

        Args:
            action: may be done twice.
        """
        try:
            return action()
        except Exception as error:
            if not is_disk_full(error) or not self.release():
                raise
        log.warning("the disk is full; the reserve is released")
        return action()
