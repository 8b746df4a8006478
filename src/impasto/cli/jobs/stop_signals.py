"""Catch Ctrl-C and SIGTERM, which end a run without losing its work."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest(Exception):  # noqa: N818 -- not an error
    """The user wants to stop. Raised between two iterations."""


@contextmanager
def catch_stop_signals(on_first: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Note the first SIGINT or SIGTERM, and let a second one interrupt at once.

    Args:
        on_first: is called at the first signal, wherever the program is.

    Yields:
        A list that is empty until the first signal.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        on_first()

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
