"""Write finished results: never over a file that somebody else made, and never lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from impasto.errors import InputError
from impasto.image.files.atomic import find_free_name, write_atomically

Stamp = tuple[int, int, int]


class WriteFile(Protocol):
    """Writes a file completely or not at all, and raises InputError if it must not replace one."""

    def __call__(self, target: Path, /, *, overwrite: bool) -> object:
        """Write the file."""


class ResultFile:
    """A file that a command writes, once or again and again.

    Whatever has the file's name when it is written is kept, unless it may be replaced or is what
    was written before. The result then gets a free name beside it: work that is done is not lost.

    Attributes:
        path: where the file is, or will be.
    """

    def __init__(
        self,
        target: Path,
        *,
        overwrite: bool = False,
        notice: Callable[[str], None] | None = None,
        what: str = "the result",
    ) -> None:
        """Choose the file; nothing is written yet.

        Args:
            target: the file.
            overwrite: replace a file of this name.
            notice: called with one line if the result gets another name. None: no line.
            what: what the file holds, for that line.
        """
        self.path = target
        self._target = target
        self._overwrite = overwrite
        self._notice = notice
        self._what = what
        self._stamp: Stamp | None = None

    def adopt(self) -> None:
        """Allow that the file which has the name now is replaced, but no later one."""
        self._stamp = read_stamp(self.path)

    def write(self, write: WriteFile) -> Path:
        """Write the file, under a free name if its own is taken.

        Args:
            write: writes the file; called again if the name is taken while it works.

        Returns:
            The path of the file.

        Raises:
            ImpastoError: it cannot be written.
        """
        before = self.path
        while True:
            may_replace = self._overwrite or self._is_ours()
            if not may_replace and os.path.lexists(self.path):
                self.path = find_free_name(self._target)
                continue
            try:
                write(self.path, overwrite=may_replace)
                break
            except InputError as error:
                if error.field != "overwrite":
                    raise
                self.path = find_free_name(self._target)
        self._stamp = read_stamp(self.path)
        if self.path != before and self._notice is not None:
            self._notice(
                f"{before} was created during the run and is kept; {self._what} is in {self.path}"
            )
        return self.path

    def write_bytes(self, data: bytes) -> Path:
        """Write bytes, see :meth:`write`."""

        def write(target: Path, /, *, overwrite: bool) -> None:
            write_atomically(target, data, overwrite=overwrite)

        return self.write(write)

    def _is_ours(self) -> bool:
        return self._stamp is not None and read_stamp(self.path) == self._stamp


def read_stamp(path: Path) -> Stamp | None:
    """Return what tells a file from one that replaces it. None: there is no such file."""
    try:
        facts = path.lstat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
