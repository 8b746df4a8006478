"""Keep a clock for deletions by age, which distrusts jumps of the machine's time."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from pathlib import Path

from impasto.errors import ResourceError
from impasto.studio.queue.ownership import write_private

JUMP_S = 86_400.0
"""Seconds that the machine's time may be ahead of what has passed and still be trusted."""
SETTLE_S = 86_400.0
"""Seconds that a server has to run after a larger jump until the new time is trusted."""

log = logging.getLogger("impasto.studio")


class TrustedClock:
    """Compares the machine's time with its uptime, and between servers with the last known time.

    After an unexplained jump ahead, :attr:`now` continues from where it was until the new time has
    been stable for :data:`SETTLE_S`.

    Attributes:
        now: trusted seconds since 1970.
        age: seconds that have certainly passed, over all servers of this data folder; jumps do not
            count.
    """

    def __init__(self, file: Path, latest: float | None = None) -> None:
        """Continue from what the last server stored.

        Args:
            file: where the times are stored.
            latest: a past time in seconds since 1970, for a data folder without such a file.
                None: the machine's time now.
        """
        self._file = file
        self._wall = time.time() if latest is None else latest
        self._uptime, self._boot = measure_uptime(), read_boot_id()
        self._lag = self._stable = self.age = 0.0
        # Without the file, it is not known how long ago the latest time was.
        self._is_same_boot = False
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self._load()
        self.now = self._wall - self._lag
        self.look()

    def _load(self) -> None:
        data = json.loads(self._file.read_bytes())
        wall, lag, stable, age, uptime = (
            float(data[name]) for name in ("wall", "lag", "stable", "lived", "uptime")
        )
        self._is_same_boot = data["boot"] == self._boot != "" and uptime <= self._uptime
        self._wall, self._lag, self._stable, self.age = wall, lag, stable, age
        if self._is_same_boot:
            self._uptime = uptime

    def look(self) -> float:
        """Read the machine's time, store it, and return the trusted time."""
        wall, uptime = time.time(), measure_uptime()
        passed = max(0.0, uptime - self._uptime)
        ahead = wall - self._wall - passed
        if ahead > JUMP_S:
            self._lag += ahead
            self._stable = 0.0
            log.warning(
                "the clock jumped ahead; nothing is removed by age until it has been stable",
                extra={"seconds": round(ahead), "stable_for": SETTLE_S},
            )
        else:
            self._lag = max(0.0, self._lag + min(0.0, ahead))
            self._stable += passed
            if not self._is_same_boot:  # the machine was off
                self.age += max(0.0, ahead)
            if self._lag and self._stable >= SETTLE_S:
                self._lag = 0.0
                log.info("the clock has been stable and is trusted again")
        self.age += passed
        self._wall, self._uptime, self._is_same_boot = wall, uptime, True
        self.now = wall - self._lag
        self._save()
        return self.now

    def _save(self) -> None:
        data = {
            "wall": self._wall,
            "lag": self._lag,
            "stable": self._stable,
            "lived": self.age,
            "uptime": self._uptime,
            "boot": self._boot,
        }
        with contextlib.suppress(ResourceError):  # a full disk must not stop the workers
            write_private(self._file, data)


def measure_uptime() -> float:
    """Return seconds of a clock that nobody can set, time asleep included where possible."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def read_boot_id() -> str:
    """Return an id of this start of the machine. Empty: the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
