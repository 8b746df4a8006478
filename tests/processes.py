"""Programs that tests start, and what they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import forks


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A program that does not outlive the block, whatever comes of it there: ``Popen`` itself
    waits for its end, which after a failure may never come. Python is forked (:mod:`forks`).
    """
    python = command[0] == sys.executable and command[1] in ("-m", "-c")
    start = forks.Popen if python else subprocess.Popen
    with start(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def is_spawned(process: int) -> bool:
    """Whether :mod:`multiprocessing` started it, and not for its own purposes."""
    try:
        if Path(f"/proc/{process}/comm").read_text() == "spawn_main\n":  # by a fork
            return True
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
