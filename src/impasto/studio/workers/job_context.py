"""Give a job what it needs from its worker: services, its pictures, and a place to report."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from impasto.image.files.atomic import replace_atomically
from impasto.image.picture import Picture, fit_within
from impasto.recipe.recipe import Recipe
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.problems import Problem
from impasto.studio.queue import job_files
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.job_rows import JobRow
from impasto.studio.settings import StudioSettings

if TYPE_CHECKING:
    from PIL import Image

    from impasto.engine.cache import EngineCache
    from impasto.engine.machine.hardware import Hardware
    from impasto.engine.protocol import PictureEngine

REPORT_S = 0.2
PREVIEW_S = 0.5
PREVIEW_SHARE = 0.05
"""Share of the time that previews may take."""
PREVIEW_SIDE = 1024
THUMBNAIL_SIDE = 320


class StudioJob(Protocol):
    """One kind of job."""

    def run(self) -> str:
        """Do the job, and return the state that it is in then.

        Raises:
            Problem, ImpastoError: the job fails.
        """


class EngineShelf:
    """The engines of a worker, which share their loaded networks."""

    def __init__(self, settings: StudioSettings) -> None:
        self._settings = settings
        self._engines: dict[str, PictureEngine] = {}
        self._cache: EngineCache | None = None

    @property
    def hardware(self) -> Hardware:
        """What the engines may use of the machine."""
        return self._settings.hardware.resolve()

    @property
    def cache(self) -> EngineCache:
        """The loaded networks."""
        from impasto.engine.cache import EngineCache

        if self._cache is None:
            self._cache = EngineCache()
        return self._cache

    def load(self, recipe: Recipe) -> PictureEngine:
        """Return the engine of a recipe."""
        from impasto.engine.factory import make_engine

        latest = self._engines.get(recipe.engine.kind)
        if latest is None or latest.recipe != recipe:
            latest = make_engine(recipe, self.hardware, self.cache)
            self._engines[recipe.engine.kind] = latest
        return latest


@dataclass
class WorkerServices:
    """What a worker has for all of its jobs.

    Attributes:
        settings: the server's settings.
        folder: the data folder.
        queue: the queue in that folder.
        decoder: decodes files that clients sent.
        ending: set when the job at hand is to be queued again and no other one started.
        engines: the engines and their loaded networks.
    """

    settings: StudioSettings
    folder: DataFolder
    queue: JobQueue
    decoder: Decoder
    ending: threading.Event
    engines: EngineShelf


class JobContext:
    """One attempt of a worker at a job.

    Attributes:
        services: the worker's services.
        settings: the server's settings.
        row: the job as it was claimed.
        place: the job's folder.
        size: (width, height) of the result. None: there is no result yet.
    """

    def __init__(self, services: WorkerServices, row: JobRow) -> None:
        """Start to measure the job's time."""
        self.services = services
        self.settings = services.settings
        self.row = row
        self.place = services.folder.locate(row.id)
        self.size: tuple[int, int] | None = None
        self._start = time.monotonic()
        self._last_report = self._next_preview = -math.inf

    @property
    def seconds(self) -> float:
        """Seconds of this attempt."""
        return time.monotonic() - self._start

    @property
    def used(self) -> float:
        """Seconds of all attempts."""
        return self.row.used + self.seconds

    def read_picture(self, file: str, name: str) -> Picture:
        """Read a picture in the job's folder.

        Args:
            file: name of its file.
            name: its name in messages.
        """
        return self.services.decoder.read(self.place / file, name)

    def read_paintings(self) -> list[Picture]:
        """Read the paintings, in their order."""
        names = self.row.spec.names[1:]
        return [
            self.read_picture(job_files.name_style(place), name) for place, name in enumerate(names)
        ]

    def check_time(self) -> None:
        """Check that the job may go on.

        Raises:
            Problem: its time is used up.
        """
        limit = self.settings.job_seconds
        if self.used > limit:
            raise Problem("time_limit", f"the job exceeded the limit of {limit:g} s")

    def make_report_due(self) -> None:
        """Make the next report and the next preview due at once."""
        self._next_preview = self._last_report = -math.inf

    def is_report_due(self) -> bool:
        """Tell whether it is time for a report."""
        return time.monotonic() >= self._last_report + REPORT_S

    def report(
        self, progress: dict[str, Any], render: Callable[[], Image.Image] | None = None
    ) -> str | None:
        """Report progress, with a preview if one is due.

        Args:
            progress: progress as clients see it.
            render: makes the picture so far. None: there is none.

        Returns:
            The state in which the job has to end now. None: it goes on.
        """
        preview = None if render is None else self._write_preview(render, progress["iteration"])
        answer = self.services.queue.report(self.row, progress, preview, self.used)
        self._last_report = time.monotonic()
        if answer is not None:
            return {"cancel": "cancelled", "stop": "stopped"}.get(answer, answer)
        if self.services.ending.is_set():
            return "queued"
        must_yield = self.services.queue.must_yield_to_draft(self.row, self.settings.workers)
        return "queued" if must_yield else None

    def _write_preview(self, render: Callable[[], Image.Image], iteration: int) -> int | None:
        """Write a preview if one is due, and return its iteration. None: none was due."""
        start = time.monotonic()
        if start < self._next_preview:
            return None
        image = render().convert("RGB")
        image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        with replace_atomically(self.place / job_files.PREVIEW) as path:
            image.save(path, "JPEG", quality=88)
        now = time.monotonic()
        self._next_preview = now + max(PREVIEW_S, (now - start) / PREVIEW_SHARE)
        return iteration

    def finish_result(self, target: Path, image: Image.Image) -> None:
        """Write the thumbnail of a result, and remove the results of an earlier stop.

        Args:
            target: file of the result.
            image: the result, or one of its frames.
        """
        self.size = image.size
        for path in self.place.glob("result.*"):
            if path != target:
                path.unlink()
        size = fit_within(*image.size, THUMBNAIL_SIDE)
        with replace_atomically(self.place / job_files.THUMBNAIL) as path:
            image.convert("RGB").resize(size).save(path, "JPEG", quality=85)
