"""How long a batch waits for workers that are not there: machines go, and come again."""

from __future__ import annotations

import time
from collections.abc import Callable

from impasto.errors import ResourceError

LIMIT_S = 600.0
TOLD_S = 30.0
"""After which a wait is told of."""


class NoWorkersError(ResourceError):
    """None came in time; what was done is in the record, and what was not can be done later."""


class Patience:
    """Says in a line that no worker is there, and gives up after a while."""

    def __init__(
        self,
        limit_s: float = LIMIT_S,
        notice: Callable[[str], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is waited for yet.

        Args:
            limit_s: seconds without any worker.
            notice: called with the line.
            clock: of seconds.
        """
        self._limit_s = limit_s
        self._notice = notice
        self._clock = clock
        self._since: float | None = None
        self._told = False

    def see(self, *, somebody: bool) -> None:
        """Note whether any worker is there, or at work.

        Raises:
            NoWorkersError: for too long there was none.
        """
        if somebody:
            self._since, self._told = None, False
            return
        now = self._clock()
        self._since = now if self._since is None else self._since
        waited = now - self._since
        if waited >= self._limit_s:
            raise NoWorkersError(f"no worker was to be had for {self._limit_s:g} s")
        if not self._told and waited >= min(TOLD_S, self._limit_s / 2):
            self._told = True
            self._notice(
                f"no worker is to be had for {waited:.0f} s now: waiting, up to "
                f"{self._limit_s:g} s in all"
            )
