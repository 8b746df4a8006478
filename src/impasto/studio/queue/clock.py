"""A clock for what is deleted by age: it distrusts jumps of the machine's time."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from pathlib import Path

from impasto.errors import ResourceError
from impasto.studio.queue.ownership import write_private

JUMP_S = 86_400.0
"""Seconds that the machine's time may get ahead of what has passed, and still be trusted."""
SETTLE_S = 86_400.0
"""Seconds that a server has to run after a larger jump until the new time is trusted."""

log = logging.getLogger("impasto.studio")


class Clock:
    """Compares the machine's time with its uptime, and between servers with the time seen last.

    After an unexplained jump ahead, :attr:`now` goes on from where it was until the new time has
    stood for :data:`SETTLE_S`.

    Attributes:
        now: seconds since 1970, as far as they are trusted.
        lived: seconds that have passed for certain, over all servers of this data folder; it never
            follows a jump.
    """

    def __init__(self, file: Path, latest: float | None = None) -> None:
        """Read what the last server has seen.

        Args:
            file: where the times seen are kept.
            latest: seconds since 1970 that certainly were, for a data folder without such a file.
                None: the machine's time now.
        """
        self._file = file
        self._wall = time.time() if latest is None else latest
        self._uptime, self._boot = measure_uptime(), read_boot_id()
        self._lag = self._stable = self.lived = 0.0
        # Without the file, how long ago the latest time was is not known.
        self._is_same_boot = False
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self._load()
        self.now = self._wall - self._lag
        self.look()

    def _load(self) -> None:
        data = json.loads(self._file.read_bytes())
        wall, lag, stable, lived, uptime = (
            float(data[name]) for name in ("wall", "lag", "stable", "lived", "uptime")
        )
        self._is_same_boot = data["boot"] == self._boot != "" and uptime <= self._uptime
        self._wall, self._lag, self._stable, self.lived = wall, lag, stable, lived
        if self._is_same_boot:
            self._uptime = uptime

    def look(self) -> float:
        """Look at the machine's time and note it; the trusted time."""
        wall, uptime = time.time(), measure_uptime()
        passed = max(0.0, uptime - self._uptime)
        ahead = wall - self._wall - passed
        if ahead > JUMP_S:
            self._lag += ahead
            self._stable = 0.0
            log.warning(
                "the clock jumped ahead: nothing more is removed by age until it has been stable",
                extra={"seconds": round(ahead), "stable_for": SETTLE_S},
            )
        else:
            self._lag = max(0.0, self._lag + min(0.0, ahead))
            self._stable += passed
            if not self._is_same_boot:  # the machine was off
                self.lived += max(0.0, ahead)
            if self._lag and self._stable >= SETTLE_S:
                self._lag = 0.0
                log.info("the clock has been stable and is trusted again")
        self.lived += passed
        self._wall, self._uptime, self._is_same_boot = wall, uptime, True
        self.now = wall - self._lag
        self._save()
        return self.now

    def _save(self) -> None:
        data = {
            "wall": self._wall,
            "lag": self._lag,
            "stable": self._stable,
            "lived": self.lived,
            "uptime": self._uptime,
            "boot": self._boot,
        }
        with contextlib.suppress(ResourceError):  # a full disk must not keep the workers from work
            write_private(self._file, data)


def measure_uptime() -> float:
    """Seconds on a clock that nobody can set; with the time asleep, where the system counts it."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def read_boot_id() -> str:
    """Tell one start of the machine from another; empty where the system does not."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
