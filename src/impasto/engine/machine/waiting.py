"""Choose how threads wait for each other.

PyTorch splits every layer among threads and waits for the last one. By default a waiting thread of
GNU OpenMP spins for milliseconds. Beside another busy process it spins on the core that the thread
it waits for needs, and a run takes many times as long. Threads that sleep at once are woken late,
which costs a tenth on an idle machine. ``benchmarks/load.py`` measures both.
"""

from __future__ import annotations

import os
from pathlib import Path

SPINS = 3000
"""How often a waiting thread looks on an idle machine before it sleeps: about 0.1 ms."""
CHOSEN_BY_USERS = frozenset({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})
LOAD = Path("/proc/loadavg")


def limit_spinning() -> None:
    """Let waiting threads sleep soon, or at once beside busy processes.

    Nothing changes if the environment says how threads wait. OpenMP reads it when PyTorch is
    imported; later calls have no effect. Processes that this one starts inherit the setting.
    """
    if CHOSEN_BY_USERS.isdisjoint(os.environ):
        os.environ["GOMP_SPINCOUNT"] = "0" if is_machine_busy() else str(SPINS)


def is_machine_busy() -> bool:
    """Tell whether other processes want the cores that this one would use.

    False where the system does not count the processes that run.
    """
    try:
        running = int(LOAD.read_text().split()[3].split("/")[0])
        usable = len(os.sched_getaffinity(0))
    except (OSError, ValueError, IndexError, AttributeError):
        return False
    others = running - 1
    return others > (os.cpu_count() or usable) - usable
