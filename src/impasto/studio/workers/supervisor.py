"""Supervise the workers: start them, replace dead ones, enforce limits, and tidy up."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import sqlite3
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from impasto.batch.processes.local_machine import block_interrupts, count_cores
from impasto.studio.log_lines import LogFormat
from impasto.studio.problems import Problem, is_disk_fault
from impasto.studio.queue.clock import TrustedClock
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.housekeeping import finish_deletions, sweep, tidy_up
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.job_rows import JobRow
from impasto.studio.settings import StudioSettings
from impasto.studio.workers import studio_worker

LOOK_S = 0.25
SWEEP_S = 60.0
GRACE_S = 15.0
"""Seconds for workers to write their checkpoints when the server ends."""
OVERTIME_S = 60.0
"""Seconds beyond a job's time until its worker is killed, which should have ended by itself."""
MEMORY_SLACK = 1.25
"""Multiple of a job's memory at which its worker is killed."""
PAUSE_S = 5.0
"""Seconds between two starts of a worker that dies young; the pause doubles each time."""
MAX_PAUSE_S = 60.0
"""Longest pause after failures."""

log = logging.getLogger("impasto.studio")


class Supervisor:
    """A thread, and the worker processes that it has started."""

    def __init__(
        self, settings: StudioSettings, folder: DataFolder, queue: JobQueue, log_format: LogFormat
    ) -> None:
        """Prepare without starting anything.

        Args:
            settings: the server's settings.
            folder: the data folder.
            queue: the queue in that folder.
            log_format: format of the workers' logs.
        """
        self._settings = settings
        self._folder = folder
        self._queue = queue
        self._log_format: LogFormat = log_format
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._slots: list[_WorkerSlot] = [_WorkerSlot() for _ in range(settings.workers)]
        self._start_count = 0
        self._last_sweep = 0.0
        self._clock: TrustedClock

    def start(self) -> None:
        """Take over what the last server left, and start the workers."""
        self._clock = TrustedClock(self._folder.clock, self._queue.read_latest_time())
        reserve = self._folder.reserve
        reserve.run(lambda: tidy_up(self._folder, self._queue, self._clock))
        # These workers died with a server that was killed, perhaps because of the job itself.
        workers = [row.worker for row in self._queue.list_running()]
        recovered = [reserve.run(partial(self._queue.release_lost, name)) for name in workers]
        log.info("started", extra={"recovered": len(recovered), "data": str(self._folder.path)})
        self._thread.start()

    def close(self) -> None:
        """Have the workers put their jobs back, and end them."""
        self._ending.set()
        self._thread.join()
        running = [slot for slot in self._slots if slot.is_alive()]
        for slot in running:
            slot.process.terminate()
        until = time.monotonic() + GRACE_S
        for slot in running:
            slot.process.join(max(0.0, until - time.monotonic()))
            if slot.is_alive():
                slot.process.kill()
                slot.process.join()
        try:
            self._queue.requeue_all()
        except sqlite3.Error as error:  # the next server does it
            log.warning("jobs not queued again", extra={"reason": str(error)})

    def count_alive(self) -> int:
        """Count the workers that are alive."""
        return sum(slot.is_alive() for slot in self._slots)

    def list_processes(self) -> list[int]:
        """Return the process ids of the workers."""
        return [slot.pid for slot in self._slots if slot.is_alive()]

    def _supervise(self) -> None:
        pause, reason = LOOK_S, ""
        while not self._ending.is_set():
            try:
                self._check_workers()
                pause, reason = LOOK_S, ""
            except Exception as error:  # whatever it is, the workers must stay supervised
                pause = min(2 * pause, MAX_PAUSE_S)
                if repr(error) != reason:
                    reason = repr(error)
                    if is_disk_fault(error):
                        log.error("supervisor waits for the disk", extra={"reason": str(error)})
                    else:
                        log.exception("supervisor failed, retrying")
            self._ending.wait(pause)

    def _check_workers(self) -> None:
        for slot in self._slots:
            if not slot.is_alive():
                self._replace(slot)
        self._enforce_limits()
        if time.monotonic() > self._last_sweep + SWEEP_S:
            self._last_sweep = time.monotonic()
            sweep(self._settings, self._folder, self._queue, self._clock)

    def _replace(self, slot: _WorkerSlot) -> None:
        """Start a worker in a place whose worker has ended, if it is time for that."""
        if slot.process is not None:
            self._release_worker(slot)
        if time.monotonic() < slot.start_after:
            return
        self._start_count += 1
        slot.name = f"{os.getpid()}-{self._start_count}"
        slot.start = time.monotonic()
        threads = self._settings.threads or max(1, count_cores() // self._settings.workers)
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=studio_worker.run_worker,
            args=(replace(self._settings, token=None), slot.name, threads, self._log_format),
            name=f"worker {slot.name}",
        )
        with block_interrupts():
            process.start()
        slot.pid, slot.process = process.pid or 0, process

    def _release_worker(self, slot: _WorkerSlot) -> None:
        """Release the job of a worker that has ended, and decide when the next one starts."""
        code = slot.process.exitcode
        row = self._queue.release_lost(slot.name)
        self._queue.acknowledge_deletions(slot.name)
        finish_deletions(self._folder, self._queue)
        if code or row:
            self._queue.add_to_total("workers_lost")
            job = None if row is None else row.id
            log.warning("worker lost", extra={"worker": slot.name, "code": code, "job": job})
        slot.process.close()
        slot.process = None
        is_young = time.monotonic() < slot.start + MAX_PAUSE_S
        slot.deaths = slot.deaths + 1 if code and is_young else 0
        pause = min(PAUSE_S * 2 ** max(0, slot.deaths - 1), MAX_PAUSE_S)
        slot.start_after = slot.start + pause if slot.deaths else 0.0

    def _enforce_limits(self) -> None:
        """Kill the workers that exceed a limit which they could not, or did not, keep."""
        slots = {slot.name: slot for slot in self._slots}
        for row in self._queue.list_running():
            slot = slots.get(row.worker or "")
            if slot is None or not slot.is_alive():
                continue
            slot.watch(row.id, row.attempt)
            problem = self._find_excess(row, slot)
            if problem is not None and self._queue.end(row, "failed", row.used, problem):
                slot.kill()
        for job, worker in self._queue.list_held_deletions():
            slot = slots.get(worker)
            if slot is None:  # a worker of an earlier server
                self._queue.acknowledge_deletions(worker)
                finish_deletions(self._folder, self._queue)
                continue
            slot.watch(job, None)
            if slot.measure_seconds() > OVERTIME_S:
                slot.kill()

    def _find_excess(self, row: JobRow, slot: _WorkerSlot) -> Problem | None:
        """Return the limit that a running job exceeds, as a problem. None: it exceeds none."""
        settings = self._settings
        if row.used_before + slot.measure_seconds() > settings.job_seconds + OVERTIME_S:
            return Problem(
                "time_limit", f"the job exceeded the limit of {settings.job_seconds:g} s"
            )
        limit = settings.hardware.max_memory
        if limit is not None and measure_memory(slot.pid) > MEMORY_SLACK * limit:
            detail = f"the job exceeded the limit of {limit / 2**30:g} GiB of memory"
            return Problem("no_resources", detail)
        return None


class _WorkerSlot:
    """A place for a worker, and the worker in it."""

    def __init__(self) -> None:
        self.process: Any = None
        self.pid = 0
        self.name = ""
        self.start = 0.0
        self.start_after = 0.0
        self.deaths = 0
        self._job: tuple[str, int | None] | None = None
        self._since = 0.0

    def is_alive(self) -> bool:
        process = self.process
        try:
            return process is not None and process.is_alive()
        except ValueError:  # the supervisor's thread has closed it meanwhile
            return False

    def kill(self) -> None:
        """End the worker at once."""
        if self.is_alive():
            self.process.kill()
            self.process.join()

    def watch(self, job: str, attempt: int | None) -> None:
        """Remember since when the worker has had its job.

        Args:
            job: id of the job.
            attempt: at the job. None: the job was deleted, and the worker has to let go of it.
        """
        if self._job != (job, attempt):
            self._job, self._since = (job, attempt), time.monotonic()

    def measure_seconds(self) -> float:
        """Return for how long the worker has had its job."""
        return time.monotonic() - self._since


def measure_memory(process: int) -> int:
    """Return the resident bytes of a process. 0: the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
