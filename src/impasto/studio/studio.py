"""Make everything that requests need, once per server."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

from impasto.errors import ResourceError
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.http.connections import ConnectionBook
from impasto.studio.http.conversions import ConversionQueue
from impasto.studio.http.request.intake import Intake
from impasto.studio.http.routes.job_views import describe_job
from impasto.studio.http.schema import JobMessage
from impasto.studio.log_lines import LogFormat
from impasto.studio.page.browser_opening import CodeExchange
from impasto.studio.problems import Problem
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.housekeeping import finish_deletions
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.job_rows import JobRow
from impasto.studio.settings import StudioSettings
from impasto.studio.workers.supervisor import Supervisor

STREAMS = 100
"""Clients that may follow jobs at once."""
UPLOADS = 16
"""Requests with pictures that may arrive at once: each takes memory or disk space, and a thread
while it waits for the decoder.
"""


class Studio:
    """The data folder, the queue, the decoder and the workers."""

    def __init__(self, settings: StudioSettings, log_format: LogFormat = "json") -> None:
        """Open the data folder and lock it for this server.

        Args:
            settings: the server's settings.
            log_format: format of the server's and the workers' logs.

        Raises:
            InputError: another server has it, it is not the studio's, or its table is damaged.
            ResourceError: it cannot be used.
        """
        self.settings = settings
        self.log_format: LogFormat = log_format
        self.folder = DataFolder(settings.data)
        self._lock = self.folder.lock()
        try:
            self.folder.check_integrity()
            self.queue = JobQueue(self.folder.table)
        except sqlite3.Error as error:
            self._lock.close()
            raise ResourceError(f"cannot be opened ({error})", where=self.folder.table) from None
        except BaseException:
            self._lock.close()
            raise
        self.decoder = Decoder(settings.limits, settings.decode_memory, settings.decode_seconds)
        self.intake = Intake(settings, self.folder, self.queue, self.decoder)
        self.supervisor = Supervisor(settings, self.folder, self.queue, log_format)
        self.connections = ConnectionBook()
        self.exchange = CodeExchange()
        self.conversions = ConversionQueue()
        self._is_started = False
        self.ending = threading.Event()
        self.streams = threading.BoundedSemaphore(STREAMS)
        self._uploads = threading.BoundedSemaphore(UPLOADS)

    def start(self) -> None:
        """Start the workers, unless that was done.

        Raises:
            ResourceError: the data folder cannot be used.
        """
        if self._is_started:
            return
        try:
            self.supervisor.start()
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ResourceError(f"cannot be used ({reason})", where=self.folder.path) from error
        self._is_started = True

    def close(self) -> None:
        """End the workers, who put their jobs back, and release the folder."""
        self.ending.set()
        self.supervisor.close()
        self.decoder.close()
        self.queue.close()
        self._lock.close()

    def write_record(self, job: str) -> None:
        """Store a job's row in its folder as well, in case the table is lost."""
        for record in self.queue.read_records(job).values():
            self.folder.write_record(job, record)

    def delete(self, job: str, *, in_any_state: bool) -> None:
        """Delete a job and its files for good; a worker that has the job lets go of it first.

        Args:
            job: id of the job.
            in_any_state: whether it may still wait or run.
        """
        self.folder.mark_deleted(job)
        if not self.queue.begin_deletion(job, in_any_state=in_any_state):
            self.folder.mark_deleted(job, is_deleted=False)
        with contextlib.suppress(sqlite3.Error, OSError):  # the next sweep finishes it
            finish_deletions(self.folder, self.queue)

    @contextlib.contextmanager
    def reserve_upload(self) -> Iterator[None]:
        """Hold one of the places for requests with pictures.

        Raises:
            Problem: all places are taken.
        """
        if not self._uploads.acquire(blocking=False):
            raise Problem(
                "too_many_uploads", "too many uploads; retry in 5 seconds", {"retry-after": "5"}
            )
        try:
            yield
        finally:
            self._uploads.release()

    def estimate_wait(self) -> int:
        """Estimate the seconds until the next job leaves the queue, in [1, 600]."""
        left = [
            float(row.progress.get("seconds_left", 5.0))
            for row in self.queue.list_running()
            if row.progress
        ]
        return max(1, min(600, round(min(left, default=5.0)) + 1))

    def describe(self, row: JobRow) -> JobMessage:
        """Return what clients see of a job."""
        return describe_job(row, self.queue.find_position(row), self.folder.locate(row.id))

    def read_job(self, job: str) -> tuple[JobRow, dict[str, Any]]:
        """Return a job's row, and what clients see of it as JSON.

        Raises:
            Problem: there is no such job.
        """
        row = self.queue.get(job)
        return row, self.describe(row).model_dump(mode="json")
