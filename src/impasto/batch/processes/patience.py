"""Decide how long a batch waits for workers: machines of a cluster may go and come back."""

from __future__ import annotations

import time
from collections.abc import Callable

from impasto.errors import ResourceError

LIMIT_S = 600.0
NOTICE_S = 30.0
"""Seconds without a worker after which the wait is reported."""


class NoWorkersError(ResourceError):
    """No worker was available in time. The record has what was done; the batch can be resumed."""


class Patience:
    """Reports that no worker is available, and gives up after a while."""

    def __init__(
        self,
        limit_s: float = LIMIT_S,
        notice: Callable[[str], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start as if a worker were available.

        Args:
            limit_s: seconds without any worker after which to give up.
            notice: called with a one-line message.
            clock: replaceable for tests; seconds.
        """
        self._limit_s = limit_s
        self._notice = notice
        self._clock = clock
        self._since: float | None = None
        self._is_reported = False

    def observe(self, *, is_staffed: bool) -> None:
        """Note whether any worker is available or working.

        Raises:
            NoWorkersError: there has been no worker for too long.
        """
        if is_staffed:
            self._since, self._is_reported = None, False
            return
        now = self._clock()
        self._since = now if self._since is None else self._since
        waited = now - self._since
        if waited >= self._limit_s:
            raise NoWorkersError(
                f"no worker available for {self._limit_s:g} s", limit=self._limit_s
            )
        if not self._is_reported and waited >= min(NOTICE_S, self._limit_s / 2):
            self._is_reported = True
            self._notice(
                f"no worker available for {waited:.0f} s; waiting up to {self._limit_s:g} s in all"
            )
