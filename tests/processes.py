"""Programs that tests start, and what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(command: Sequence[str], **given: Any) -> Iterator[subprocess.Popen[Any]]:
    """A program that does not outlive the block, whatever comes of it there: ``Popen`` itself
    waits for its end, which after a failure may never come.
    """
    with subprocess.Popen(command, **given) as process:
        try:
            yield process
        finally:
            process.kill()
