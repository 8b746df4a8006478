"""How many cores there are for this process, and how workers share them."""

from __future__ import annotations

import os
from pathlib import Path

from impasto.batch.batch_job import Probe, Share

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Those that this process may run on, within its container's quota; at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # neither on macOS nor on Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text("ascii").split()
        cores = min(cores, round(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return max(1, cores)


def shares_for(probe: Probe | None, workers: int | None, max_memory: int | None) -> list[Share]:
    """Of one machine, by worker.

    One thread a worker makes most pictures an hour (`benchmarks/RESULTS.md`), so that there are as
    many workers as cores; fewer, with more threads each, where memory is short. A GPU has one.

    Args:
        probe: of a picture; none: nothing is known.
        workers: how many were asked for; none: as many as suit.
        max_memory: bytes for all workers together; none: what is free.
    """
    cores = available_cores()
    if probe is None:
        workers = workers or cores
        each = None if max_memory is None else max_memory // workers
        return [Share(max(1, cores // workers), each)] * workers
    room = probe.available if max_memory is None else max_memory
    on_cpu = probe.device == "cpu"
    if workers is None:
        workers = cores if on_cpu else probe.devices
        if on_cpu and room is not None:
            workers = max(1, min(workers, room // max(1, probe.memory)))
    threads = max(1, cores // workers)
    each = room // workers if on_cpu and room is not None else max_memory
    return [
        Share(
            threads,
            each,
            f"{probe.device}:{place % probe.devices}" if probe.devices > 1 else None,
            not on_cpu or each is None or probe.comfort <= each,
        )
        for place in range(workers)
    ]
