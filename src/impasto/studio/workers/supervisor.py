"""Looks after the workers: starts them, replaces the dead, kills what is over a limit, tidies."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

from impasto.batch.workers.local_machine import block_interrupts, count_cores
from impasto.studio import logs
from impasto.studio.problems import Problem
from impasto.studio.queue.clock import Clock
from impasto.studio.queue.folder import Folder
from impasto.studio.queue.housekeeping import sweep, tidy_up
from impasto.studio.queue.queue import Queue
from impasto.studio.settings import Settings
from impasto.studio.workers import studio_worker as worker

LOOK_S = 0.25
SWEEP_S = 60.0
GRACE_S = 15.0
"""For workers to write their checkpoints when the server ends."""
HANGING_S = 60.0
"""Beyond a job's time until its worker, which should have ended it by itself, is killed."""
MEMORY_SLACK = 1.25
"""Of a job's memory, before its worker is killed."""
PAUSE_S = 5.0
"""Before a worker that died young is replaced."""

log = logging.getLogger("impasto.studio")


class Supervisor:
    """A thread, and the processes it has started."""

    def __init__(self, settings: Settings, folder: Folder, queue: Queue, form: logs.Format) -> None:
        """Nothing starts yet; ``form`` is of the workers' logs."""
        self._settings = settings
        self._folder = folder
        self._queue = queue
        self._form = form
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="supervisor", daemon=True)
        self._workers: list[_Lane] = [_Lane() for _ in range(settings.workers)]
        self._started = 0
        self._swept = 0.0
        self._clock: Clock

    def start(self) -> None:
        """Take over what the last server left, and start the workers."""
        self._clock = Clock(self._folder.clock, self._queue.latest_time())
        tidy_up(self._folder, self._queue, self._clock)
        # They went with a server that was killed, perhaps by the job itself, with all the memory.
        left = [self._queue.lost(row.worker) for row in self._queue.running()]
        log.info("started", extra={"recovered": len(left), "data": str(self._folder.path)})
        self._thread.start()

    def close(self) -> None:
        """Have the workers put their jobs back, and end them."""
        self._ending.set()
        self._thread.join()
        running = [lane for lane in self._workers if lane.is_alive()]
        for lane in running:
            lane.process.terminate()
        until = time.monotonic() + GRACE_S
        for lane in running:
            lane.process.join(max(0.0, until - time.monotonic()))
            if lane.is_alive():
                lane.process.kill()
                lane.process.join()
        self._queue.recover()

    def alive(self) -> int:
        """Workers that are there."""
        return sum(lane.is_alive() for lane in self._workers)

    def processes(self) -> list[int]:
        """Their ids."""
        return [lane.pid for lane in self._workers if lane.is_alive()]

    def _look_after(self) -> None:
        while not self._ending.is_set():
            try:
                self._look()
            except Exception:  # whatever it is, the workers must not be left alone
                log.exception("supervisor")
            self._ending.wait(LOOK_S)

    def _look(self) -> None:
        for lane in self._workers:
            if not lane.is_alive():
                self._replace(lane)
        self._keep_limits()
        if time.monotonic() > self._swept + SWEEP_S:
            self._swept = time.monotonic()
            sweep(self._settings, self._folder, self._queue, self._clock)

    def _replace(self, lane: _Lane) -> None:
        if lane.process is not None:
            code = lane.process.exitcode
            lost = self._queue.lost(lane.name)
            if code or lost:
                self._queue.count("workers_lost")
                job = None if lost is None else lost.id
                log.warning("worker lost", extra={"worker": lane.name, "code": code, "job": job})
            lane.process.close()
            lane.process = None
            lane.until = lane.began + PAUSE_S if code else 0.0
        if time.monotonic() < lane.until:
            return
        self._started += 1
        lane.name = f"{os.getpid()}-{self._started}"
        lane.began = time.monotonic()
        threads = self._settings.threads or max(1, count_cores() // self._settings.workers)
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=worker.serve,
            args=(self._settings, lane.name, threads, self._form),
            name=f"worker {lane.name}",
        )
        with block_interrupts():
            process.start()
        lane.pid, lane.process = process.pid or 0, process

    def _keep_limits(self) -> None:
        """Kill a worker that is over a limit which it cannot, or did not, keep by itself."""
        settings, lanes = self._settings, {lane.name: lane for lane in self._workers}
        for row in self._queue.running():
            lane = lanes.get(row.worker or "")
            if lane is None or not lane.is_alive():
                continue
            lane.watch(row.id, row.attempt)
            problem = None
            if row.used_before + lane.seconds() > settings.job_seconds + HANGING_S:
                problem = Problem("time_limit", f"a job may work for {settings.job_seconds:g} s")
            limit = settings.job_memory
            if limit is not None and resident_bytes(lane.pid) > MEMORY_SLACK * limit:
                problem = Problem(
                    "no_resources", f"the job took more than {limit / 2**30:g} GiB of memory"
                )
            if problem is not None and self._queue.end(row, "failed", row.used, problem):
                lane.process.kill()
                lane.process.join()


class _Lane:
    """A place for a worker, and the one that has it."""

    def __init__(self) -> None:
        self.process: Any = None
        self.pid = 0
        self.name = ""
        self.began = 0.0
        self.until = 0.0
        self._job: tuple[str, int] | None = None
        self._since = 0.0

    def is_alive(self) -> bool:
        process = self.process
        try:
            return process is not None and process.is_alive()
        except ValueError:  # closed meanwhile, by the supervisor's thread
            return False

    def watch(self, job: str, attempt: int) -> None:
        """Note which job it is at."""
        if self._job != (job, attempt):
            self._job, self._since = (job, attempt), time.monotonic()

    def seconds(self) -> float:
        """It has been at it."""
        return time.monotonic() - self._since


def resident_bytes(process: int) -> int:
    """Memory of a process; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
