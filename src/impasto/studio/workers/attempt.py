"""A worker at a job: what is told and asked meanwhile, and whatever ends it."""

from __future__ import annotations

import logging
import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import InputError
from impasto.image.files.atomic import replace_atomically
from impasto.image.picture import Picture, fit_within
from impasto.studio.problems import Problem, problem_of
from impasto.studio.queue import folder as files
from impasto.studio.queue.job_records import read_records
from impasto.studio.queue.rows import Row

if TYPE_CHECKING:
    from PIL import Image

    from impasto.studio.workers.studio_worker import Worker

REPORT_S = 0.2
PREVIEW_S = 0.5
PREVIEW_SHARE = 0.05
"""Of the time that previews may take."""
PREVIEW_SIDE = 1024
THUMBNAIL_SIDE = 320

SCRATCH = re.compile(r".+\.\d+\.npy")
"""Names of the decoder's scratch files."""
log = logging.getLogger("impasto.studio")


class Attempt:
    """A worker at a job.

    Attributes:
        worker: whose it is.
        row: as it was claimed.
        place: the job's folder.
        size: (width, height) of the result; none: there is none yet.
    """

    def __init__(self, worker: Worker, row: Row) -> None:
        """Nothing is done yet."""
        self.worker = worker
        self.row = row
        self.place = worker.folder.of(row.id)
        self.size: tuple[int, int] | None = None
        self._began = time.monotonic()
        self._reported = self._shown = -math.inf

    @property
    def used(self) -> float:
        """Seconds that the job has been worked at."""
        return self.row.used + time.monotonic() - self._began

    def make(self) -> None:
        """Do the job, and note what came of it; what the job raises is what it fails with."""
        problem: Problem | None = None
        try:
            state = self._made()
        except Exception as error:  # no job may end the work on the others
            problem, state = problem_of(error), "failed"
            if problem.code == "internal":
                log.exception("job failed", extra={"job": self.row.id})
        if state == "queued":
            self.worker.queue.put_back(self.row, self.used)
        elif state != "gone":
            if not self.worker.queue.end(self.row, state, self.used, problem, self.size):
                state = "gone"
            for record in read_records(self.worker.queue, self.row.id).values():
                self.worker.folder.write_record(self.row.id, record)
            if state == "done" and self.worker.folder.read_mark(self.place) is not None:
                (self.place / files.CHECKPOINT).unlink(missing_ok=True)
                shutil.rmtree(self.place / files.FRAMES, ignore_errors=True)
        log.info(
            "job",
            extra={
                "job": self.row.id,
                "state": state,
                "attempt": self.row.attempt,
                "seconds": round(time.monotonic() - self._began, 3),
                "code": problem and problem.code,
            },
        )

    def _made(self) -> str:
        if (
            self.worker.folder.read_mark(self.place) is None
        ):  # nothing is written into it, or removed
            raise InputError("the job's folder is missing, or is not the studio's own")
        for scratch in self.place.glob("*.npy"):  # of a worker that was killed
            if SCRATCH.fullmatch(scratch.name):
                scratch.unlink()
        if self.row.spec.film is not None:
            from impasto.studio.workers.film_job import FilmJob

            return FilmJob(self, self.row.spec.film).made()
        from impasto.studio.workers.picture_job import PictureJob

        return PictureJob(self).made()

    def read(self, file: str, name: str) -> Picture:
        """A picture of the job's."""
        return self.worker.decoder.read(self.place / file, name)

    def paintings(self) -> list[Picture]:
        """All of them."""
        names = self.row.spec.names[1:]
        return [self.read(files.style_file(place), name) for place, name in enumerate(names)]

    def check_time(self) -> None:
        """See that there is some left.

        Raises:
            Problem: there is none.
        """
        limit = self.worker.settings.job_seconds
        if self.used > limit:
            raise Problem("time_limit", f"the job has worked for {limit:g} s, as long as one may")

    def fresh(self) -> None:
        """Have the next of what is told and shown come at once."""
        self._shown = self._reported = -math.inf

    def is_due(self) -> bool:
        """Whether it is time to tell again."""
        return time.monotonic() >= self._reported + REPORT_S

    def tell(
        self, progress: dict[str, Any], picture: Callable[[], Image.Image] | None = None
    ) -> str | None:
        """Say how far the job is, with a preview if one is due; what is to become of it instead of
        going on, if anything.
        """
        shown = None if picture is None else self._preview(picture, progress["iteration"])
        asked = self.worker.queue.report(self.row, progress, shown, self.used)
        self._reported = time.monotonic()
        if asked is not None:
            return {"cancel": "cancelled", "stop": "stopped"}.get(asked, asked)
        yields = self.worker.queue.makes_way(self.row, self.worker.settings.workers)
        return "queued" if yields or self.worker.ending.is_set() else None

    def _preview(self, picture: Callable[[], Image.Image], iteration: int) -> int | None:
        """The iteration of a preview, if one was due."""
        began = time.monotonic()
        if began < self._shown:
            return None
        image = picture().convert("RGB")
        image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        with replace_atomically(self.place / files.PREVIEW) as path:
            image.save(path, "JPEG", quality=88)
        now = time.monotonic()
        self._shown = now + max(PREVIEW_S, (now - began) / PREVIEW_SHARE)
        return iteration

    def result_written(self, target: Path, image: Image.Image) -> None:
        """A result is there: make it small, and remove what an earlier stop made of the job."""
        self.size = image.size
        for path in self.place.glob("result.*"):
            if path != target:
                path.unlink()
        size = fit_within(*image.size, THUMBNAIL_SIDE)
        with replace_atomically(self.place / files.THUMBNAIL) as path:
            image.convert("RGB").resize(size).save(path, "JPEG", quality=85)
