"""Divide the cores and memory of this machine among workers, and guard their processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from impasto.batch.batch_job import Probe, WorkerShare

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def count_cores() -> int:
    """Count the cores that this process may use, within the quota of its container; at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # missing on macOS and Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text("ascii").split()
        cores = min(cores, round(int(quota) / int(period)))
    except (OSError, ValueError):  # there is no such file, or the quota is "max"
        pass
    return max(1, cores)


def share_machine(
    probe: Probe | None, workers: int | None, max_memory: int | None
) -> list[WorkerShare]:
    """Divide this machine among workers.

    One thread per worker makes the most pictures per hour (``benchmarks/RESULTS.md``), so there is
    a worker for each core. If memory is short there are fewer workers with more threads each. A
    GPU has one worker.

    Args:
        probe: needs of a picture. None: unknown.
        workers: number of workers. None: chosen here.
        max_memory: memory limit in bytes of all workers together. None: the free memory.

    Returns:
        One share for each worker.
    """
    cores = count_cores()
    if probe is None:
        workers = workers or cores
        each = None if max_memory is None else max_memory // workers
        return [WorkerShare(max(1, cores // workers), each)] * workers
    room = probe.available if max_memory is None else max_memory
    on_cpu = probe.device == "cpu"
    if workers is None:
        workers = cores if on_cpu else probe.devices
        if on_cpu and room is not None:
            workers = max(1, min(workers, room // max(1, probe.memory)))
    each = room // workers if on_cpu and room is not None else max_memory
    return [
        WorkerShare(
            threads=max(1, cores // workers),
            max_memory=each,
            device=f"{probe.device}:{place % probe.devices}" if probe.devices > 1 else None,
            roomy=not on_cpu or each is None or probe.comfort <= each,
        )
        for place in range(workers)
    ]


@contextlib.contextmanager
def block_interrupts() -> Iterator[None]:
    """Start processes that never receive a Ctrl-C.

    The parent decides when they end. An interrupt during their imports would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def exit_with_parent() -> None:
    """Wait until the parent process ends, and exit; to be run in a thread of the child."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        with contextlib.suppress(OSError):
            parent.join()
        os._exit(1)
