"""Run a worker process, which keeps the networks loaded and does one job after the other.

A job continues from its checkpoint if it has one, so that a worker may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from typing import TypeVar

from impasto.batch.processes.local_machine import exit_with_parent
from impasto.errors import ImpastoError, InputError, ResourceError
from impasto.recipe.recipe import load_recipe
from impasto.studio.decoding.conversation import remove_boxes
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.decoding.linux_calls import set_not_dumpable
from impasto.studio.log_lines import LogFormat, start_logging
from impasto.studio.problems import Problem, is_disk_fault, make_problem
from impasto.studio.queue import job_files
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.housekeeping import finish_deletions
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.settings import StudioSettings
from impasto.studio.workers.job_context import EngineShelf, JobContext, StudioJob, WorkerServices

IDLE_S = 0.1
MAX_PAUSE_S = 30.0
"""Longest pause between two tries while the queue cannot be used."""
MAX_JOBS = 250
"""Jobs after which a fresh process takes over, whatever memory may have leaked until then."""

log = logging.getLogger("impasto.studio")
T = TypeVar("T")


def _make_picture_job(context: JobContext) -> StudioJob:
    from impasto.studio.workers.picture_job import PictureJob

    return PictureJob(context)


def _make_film_job(context: JobContext) -> StudioJob:
    from impasto.studio.workers.film_job import FilmJob

    film = context.row.spec.film
    assert film is not None
    return FilmJob(context, film)


JOB_KINDS: dict[str, Callable[[JobContext], StudioJob]] = {
    "picture": _make_picture_job,
    "film": _make_film_job,
}
"""How a job is made, by :attr:`JobSpec.kind`; the modules of a kind load with its first job."""


def run_worker(settings: StudioSettings, name: str, threads: int, log_format: LogFormat) -> None:
    """Work until SIGTERM comes, or until the server is gone.

    Args:
        settings: the server's settings.
        name: name of this worker, which no other worker has ever had.
        threads: number of threads for PyTorch.
        log_format: format of the log.
    """
    ending = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    set_not_dumpable()
    threading.Thread(target=exit_with_parent, daemon=True).start()
    start_logging(log_format)
    import torch

    torch.set_num_threads(threads)
    try:
        worker = StudioWorker(settings, name, ending)
    except (ImpastoError, sqlite3.Error) as error:
        log.error("worker cannot start", extra={"worker": name, "reason": _describe_error(error)})
        raise SystemExit(1) from None
    try:
        worker.warm_up()
        worker.work()
    finally:
        worker.close()


class StudioWorker:
    """One process's work on the queue.

    Attributes:
        services: what its jobs need.
    """

    def __init__(self, settings: StudioSettings, name: str, ending: threading.Event) -> None:
        """Open the queue without taking a job.

        Args:
            settings: the server's settings.
            name: name of this worker, which no other worker has ever had.
            ending: set when the job at hand is to be queued again and no other one started.

        Raises:
            ImpastoError, sqlite3.Error: the queue cannot be opened.
        """
        self._name = name
        self._settings = settings
        folder = DataFolder(settings.data)
        self.services = WorkerServices(
            settings=settings,
            folder=folder,
            queue=JobQueue(folder.table, durable=False),
            decoder=Decoder(settings.limits, settings.decode_memory, settings.decode_seconds),
            ending=ending,
            engines=EngineShelf(settings),
        )

    def warm_up(self) -> None:
        """Load what every first job would wait for; the first job reports what is missing."""
        for name in ("standard", "draft"):
            with contextlib.suppress(ImpastoError, sqlite3.Error):
                device = self.services.engines.load(load_recipe(name)).hardware.device.type
                self.services.queue.write_fact("device", device)

    def work(self) -> None:
        """Take jobs until the worker has to end, or until a fresh process is due."""
        count, ending = 0, self.services.ending
        pause, reason = IDLE_S, ""
        while count < MAX_JOBS and not ending.is_set():
            try:
                has_worked = self.take()
            except (sqlite3.Error, OSError, ImpastoError) as error:
                pause = min(2 * pause, MAX_PAUSE_S)
                if _describe_error(error) != reason:
                    reason = _describe_error(error)
                    log.error("cannot take jobs", extra={"worker": self._name, "reason": reason})
                ending.wait(pause)
                continue
            pause, reason = IDLE_S, ""
            if has_worked:
                count += 1
            else:
                ending.wait(IDLE_S)

    def take(self) -> bool:
        """Take the next job and do it, and tell whether there was one."""
        row = self.services.queue.claim(self._name)
        if row is None:
            return False
        self._attempt(JobContext(self.services, row))
        self._retry(self._finish_deletions)
        return True

    def _finish_deletions(self) -> None:
        """Let go of the job if a client has deleted it meanwhile, and delete its files."""
        queue = self.services.queue
        queue.acknowledge_deletions(self._name)
        finish_deletions(self.services.folder, queue)

    def _retry(self, action: Callable[[], T]) -> T:
        """Do what has to be written down, and wait for the disk or the queue if that fails.

        Args:
            action: may be done several times.

        Raises:
            sqlite3.Error, ResourceError: it still fails, and the worker has to end.
        """
        pause, reason = IDLE_S, ""
        while True:
            try:
                return action()
            except (sqlite3.Error, ResourceError) as error:
                if self.services.ending.is_set():
                    raise
                pause = min(2 * pause, MAX_PAUSE_S)
                if _describe_error(error) != reason:
                    reason = _describe_error(error)
                    log.error("outcome not stored", extra={"worker": self._name, "reason": reason})
                self.services.ending.wait(pause)

    def _attempt(self, context: JobContext) -> None:
        """Do a job and store its outcome; whatever the job raises becomes its problem."""
        row, problem = context.row, None
        try:
            state = self._run(context)
        except Exception as error:  # no job may end the work on the others
            problem, state = make_problem(error, self._settings.data), "failed"
            if problem.code == "internal":
                log.exception("job failed", extra={"job": row.id})
            elif is_disk_fault(error):
                log.error("job failed", extra={"job": row.id, "reason": _describe_error(error)})
        final = self._retry(lambda: self._store_outcome(context, state, problem))
        log.info(
            "job",
            extra={
                "job": row.id,
                "state": final,
                "attempt": row.attempt,
                "seconds": round(context.seconds, 3),
                "code": problem and problem.code,
            },
        )

    def _run(self, context: JobContext) -> str:
        if self.services.folder.read_mark(context.place) is None:
            # Nothing is written into it, or removed.
            raise InputError("is missing, or is not the studio's own", what="the job's folder")
        remove_boxes(context.place)  # of a worker that was killed
        return JOB_KINDS[context.row.spec.kind](context).run()

    def _store_outcome(self, context: JobContext, state: str, problem: Problem | None) -> str:
        """Store how an attempt ended, and return the state of the job.

        Args:
            context: context of the attempt.
            state: the state that the job should have.
            problem: why it failed. None: it did not fail.
        """
        row, queue, folder = context.row, self.services.queue, self.services.folder
        if state == "queued":
            queue.requeue(row, context.used)
            return state
        if state == "gone" or not queue.end(row, state, context.used, problem, context.size):
            return "gone"
        for record in queue.read_records(row.id).values():
            folder.write_record(row.id, record)
        if state == "done" and folder.read_mark(context.place) is not None:
            (context.place / job_files.CHECKPOINT).unlink(missing_ok=True)
            shutil.rmtree(context.place / job_files.FRAMES, ignore_errors=True)
        return state

    def close(self) -> None:
        """End the decoder and close the queue."""
        self.services.decoder.close()
        self.services.queue.close()


def _describe_error(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
