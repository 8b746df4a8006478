"""Limit how many results are converted to other formats at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from impasto.studio.problems import Problem

RUNNING, WAITING = 2, 8


class ConversionQueue:
    """Places for conversions: a few run, some wait, and further ones are refused."""

    def __init__(self) -> None:
        self._running = threading.BoundedSemaphore(RUNNING)
        self._lock = threading.Lock()
        self._count = 0
        self._targets: dict[Path, threading.Lock] = {}

    @contextlib.contextmanager
    def reserve(self, target: Path) -> Iterator[None]:
        """Wait for a place, and until no other conversion makes the same file.

        Args:
            target: the file. It may exist when the block begins.

        Raises:
            Problem: too many conversions wait.
        """
        with self._lock:
            if self._count >= RUNNING + WAITING:
                raise Problem(
                    "too_many_conversions",
                    "too many results are being converted; retry in 5 seconds",
                    {"retry-after": "5"},
                )
            self._count += 1
            lock = self._targets.setdefault(target, threading.Lock())
        try:
            with lock, self._running:
                yield
        finally:
            with self._lock:
                self._count -= 1
                if not self._count:
                    self._targets.clear()
