"""Everything that a request may need, made once for a server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from impasto.studio import logs
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.http.intake import Intake
from impasto.studio.http.schema import Job
from impasto.studio.http.views import job_view
from impasto.studio.problems import Problem
from impasto.studio.queue.folder import Folder
from impasto.studio.queue.job_records import read_records
from impasto.studio.queue.queue import Queue
from impasto.studio.queue.rows import Row
from impasto.studio.settings import Settings
from impasto.studio.workers.supervisor import Supervisor

STREAMS = 100
"""Clients that may follow jobs at a time."""
UPLOADS = 16
"""Requests with pictures that may come in at a time: each takes memory or disk, and a thread while
it waits for the decoder.
"""


class Studio:
    """The data folder, the queue, the decoder and the workers."""

    def __init__(self, settings: Settings, log_format: logs.Format = "json") -> None:
        """Open the data folder and take it for this server.

        Raises:
            InputError: another server has it, or it is not the studio's.
            ResourceError: it cannot be used.
        """
        self.settings = settings
        self.log_format: logs.Format = log_format
        self.folder = Folder(settings.data)
        self._lock = self.folder.lock()
        self.queue = Queue(self.folder.table)
        self.decoder = Decoder(settings.limits, settings.decode_memory, settings.decode_seconds)
        self.intake = Intake(settings, self.folder, self.queue, self.decoder)
        self.supervisor = Supervisor(settings, self.folder, self.queue, log_format)
        self.ending = threading.Event()
        self.streams = threading.BoundedSemaphore(STREAMS)
        self._uploads = threading.BoundedSemaphore(UPLOADS)

    def start(self) -> None:
        """Have the workers work."""
        self.supervisor.start()

    def close(self) -> None:
        """Have them put their jobs back; let go of the folder."""
        self.ending.set()
        self.supervisor.close()
        self.decoder.close()
        self.queue.close()
        self._lock.close()

    def write_record(self, job: str) -> None:
        """Keep a job's row in its folder as well, in case the table is lost."""
        for record in read_records(self.queue, job).values():
            self.folder.write_record(job, record)

    def delete(self, job: str, *, whatever: bool) -> None:
        """Delete a job that has ended, or ``whatever`` its state, for good, with its files."""
        self.folder.mark_deleted(job)
        if self.queue.remove(job, whatever=whatever):
            self.folder.delete(job)
        else:
            self.folder.mark_deleted(job, is_deleted=False)

    @contextlib.contextmanager
    def uploading(self) -> Iterator[None]:
        """One of the places for requests with pictures.

        Raises:
            Problem: all are taken.
        """
        if not self._uploads.acquire(blocking=False):
            raise Problem("too_many_uploads", "come again in a while", {"retry-after": "5"})
        try:
            yield
        finally:
            self._uploads.release()

    def seconds_until_room(self) -> int:
        """Until the next job is likely to leave the queue; 1 to 600."""
        left = [row.progress["seconds_left"] for row in self.queue.running() if row.progress]
        return max(1, min(600, round(min(left, default=5.0)) + 1))

    def view(self, row: Row) -> Job:
        """What is told of a job."""
        return job_view(row, self.queue.position(row), self.folder.of(row.id))

    def told(self, job: str) -> tuple[Row, dict[str, Any]]:
        """A job and what is told of it, as JSON.

        Raises:
            Problem: there is none.
        """
        row = self.queue.get(job)
        return row, self.view(row).model_dump(mode="json")
