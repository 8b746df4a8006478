"""Choose how threads wait for each other.

PyTorch splits every layer among threads and waits for the last one. By default a waiting thread of
GNU OpenMP spins for about 5 ms. Beside another busy process it spins on the core that the thread
it waits for needs, and a run takes many times as long. Threads that sleep at once are woken late,
which costs an idle machine a tenth. A short spin costs neither. `benchmarks/load.py` measures it.
"""

from __future__ import annotations

import os

SPINS = 1000
"""How often a waiting thread looks before it sleeps."""
CHOSEN_BY_USERS = frozenset({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})


def limit_spinning() -> None:
    """Let waiting threads sleep soon, unless the environment says how they wait.

    OpenMP reads the environment when PyTorch is imported; later calls have no effect. Processes
    that this one starts inherit the setting.
    """
    if CHOSEN_BY_USERS.isdisjoint(os.environ):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
