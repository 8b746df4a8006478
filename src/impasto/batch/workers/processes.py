"""Processes that end when the one that started them says so, or dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def born_deaf() -> Iterator[None]:
    """Processes that start within never see a Ctrl-C: the one that started them tells when to end,
    and an interruption in the middle of their imports would be a page of traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Wait for the end of the process that started this one, and end; for a thread."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        with contextlib.suppress(OSError):
            parent.join()
        os._exit(1)
