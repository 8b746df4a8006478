"""Make pictures one after another, keeping engines and paintings in memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.batch.batch_job import BatchJob, Outcome, Probe, WorkerSettings, WorkerShare
from impasto.batch.processes.job_painting import (
    PaintedJob,
    PreparedJob,
    group_by_size,
    paint_alone,
    paint_together,
    prepare_masks,
)
from impasto.batch.sources import places
from impasto.errors import (
    ImpastoError,
    InputError,
    ResourceError,
    is_disk_full,
    is_out_of_memory,
)
from impasto.image.files.atomic import make_folder

if TYPE_CHECKING:
    from impasto.api.stylize import Result
    from impasto.engine.cache import EngineCache
    from impasto.engine.protocol import PictureEngine
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe

CACHED_ENGINES = 4
"""Number of recipes whose engines are kept. Engines share a network where they can."""
CACHED_PAINTINGS = 16


class BatchWorker:
    """A worker of a batch. It starts quickly and loads networks with its first picture."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Store the settings that all pictures share."""
        self._settings = settings
        self._engines: OrderedDict[tuple[str, WorkerShare], PictureEngine] = OrderedDict()
        self._cache: EngineCache | None = None
        self._paintings: OrderedDict[str, Picture] = OrderedDict()
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def probe(self, job: BatchJob) -> Probe:
        """Estimate what a job needs, by timing one small iteration.

        Raises:
            ImpastoError: the job cannot be started.
        """
        import torch

        from impasto.engine.inputs import Inputs
        from impasto.engine.machine.capacity import measure_free_memory, measure_taken_memory
        from impasto.engine.plan import RETENTION

        with limit_torch_threads(WorkerShare().threads):
            engine, photo = self._open_job(job, places.read(job.photo), WorkerShare())
            paintings = [self._load_painting(each, engine, photo) for each in job.styles]
            plan = engine.plan(Inputs.read(engine.recipe, photo, paintings))
        free, device = measure_free_memory(), engine.hardware.device
        shares_gpus = device.type == "cuda" and device.index is None
        return Probe(
            seconds=plan.seconds,
            memory=plan.bytes_needed,
            comfort=round(RETENTION * plan.bytes_needed),
            available=None if free is None else free + measure_taken_memory(torch.device("cpu")),
            width=plan.width,
            height=plan.height,
            device=device.type,
            devices=torch.cuda.device_count() if shares_gpus else 1,
        )

    def work(self, jobs: Sequence[BatchJob], share: WorkerShare) -> list[Outcome]:
        """Make the pictures of some jobs and return their outcomes; nothing is raised.

        Jobs for the same network whose outputs have one size are painted together.

        Args:
            jobs: the jobs.
            share: what this worker may use.
        """
        with limit_torch_threads(share.threads):
            prepared = [self._prepare(job, share) for job in jobs]
            results: dict[str, PaintedJob] = {}
            for group in group_by_size([p for p in prepared if isinstance(p, PreparedJob)]):
                results |= paint_together(group)
            outcomes = [
                each if isinstance(each, Outcome) else self._finish(each, results, share)
                for each in prepared
            ]
        return [replace(outcome, worker=self._name) for outcome in outcomes]

    def _prepare(self, job: BatchJob, share: WorkerShare) -> PreparedJob | Outcome:
        from impasto.engine.inputs import Inputs

        start, digest = time.monotonic(), None
        try:
            data = places.read(job.photo)
            digest = hashlib.sha256(data).hexdigest()
            if job.again and not job.replaces and (size := places.read_size(job.output)):
                return Outcome(job, sha256=digest, bytes=size)  # written by the worker that died
            engine, photo = self._open_job(job, data, share)
            paintings = [self._load_painting(each, engine, photo) for each in job.styles]
            masks, style_masks = prepare_masks(job, photo, paintings)
            inputs = Inputs.read(engine.recipe, photo, paintings, masks, style_masks)
            return PreparedJob(
                job=job,
                digest=digest,
                engine=engine,
                inputs=inputs,
                size=engine.choose_size(photo),
                seconds=time.monotonic() - start,
            )
        except Exception as error:  # one picture must not end the work on the others
            return self._describe_failure(job, error, digest, time.monotonic() - start)

    def _describe_failure(
        self, job: BatchJob, error: Exception, digest: str | None, seconds: float
    ) -> Outcome:
        if is_out_of_memory(error):
            message = "out of memory; use a smaller size or fewer workers"
        elif isinstance(error, ImpastoError):
            message = error.describe(self._settings.name_field)
        else:
            message = f"{type(error).__name__}: {error}"
        full = isinstance(error, ResourceError) and is_disk_full(error)
        return Outcome(job, message, digest, seconds, full=full)

    def _finish(
        self, prepared: PreparedJob, results: dict[str, PaintedJob], share: WorkerShare
    ) -> Outcome:
        """Paint a job unless that has been done together with others, and write the output."""
        job, digest = prepared.job, prepared.digest
        start = time.monotonic() - prepared.seconds
        try:
            # Results are popped so that each is freed once it is written.
            if job.key in results:
                result, seconds = results.pop(job.key)
            else:
                result, seconds = paint_alone(prepared, share)
            start -= seconds
            self._save(result, job)
            if prepared.checkpoint is not None:
                prepared.checkpoint.unlink(missing_ok=True)
        except Exception as error:  # one picture must not end the work on the others
            return self._describe_failure(job, error, digest, time.monotonic() - start)
        return Outcome(
            job,
            sha256=digest,
            seconds=time.monotonic() - start,
            bytes=places.read_size(job.output) or 0,
            width=result.picture.width,
            height=result.picture.height,
        )

    def _save(self, result: Result, job: BatchJob) -> None:
        from io import BytesIO

        from impasto.image.files.encode import choose_format, write_picture
        from impasto.image.files.result_file import ResultFile

        settings, output = self._settings, Path(job.output)
        provenance = replace(result.provenance, keeps_metadata=settings.keep_metadata)
        remote = BytesIO() if places.is_url(job.output) else None
        if remote is None:
            make_folder(output.parent)
        write = partial(
            write_picture,
            result.picture,
            format=choose_format(output, settings.depth),
            record=provenance.to_json() if settings.embed else None,
            depth=settings.depth,
            dpi=result.recipe.dpi,
            keep_metadata=settings.keep_metadata,
        )
        if remote is not None:
            write(remote)
            places.write(job.output, remote.getvalue())
            return
        saved = ResultFile(output, overwrite=job.replaces or job.again).write(write)
        if saved != output:
            raise InputError(
                f"was created during the run and is kept; the picture is in {saved}", where=output
            )

    def _open_job(
        self, job: BatchJob, data: bytes, share: WorkerShare
    ) -> tuple[PictureEngine, Picture]:
        """Decode the photo of a job, and load its engine."""
        from impasto.image.files.decode import read_picture

        limit = share.limit(self._settings.hardware).resolve().reading_limit
        photo = read_picture(data, name=job.photo, max_memory=limit)
        recipe, size = job.recipe, self._settings.print_size
        if size is not None:
            side = size.compute_longer_side(photo.width, photo.height)
            recipe = recipe.with_changes({"size": side, "dpi": size.dpi})
        return self._load_engine(recipe, share), photo

    def _load_engine(self, recipe: Recipe, share: WorkerShare) -> PictureEngine:
        from impasto.engine.cache import EngineCache
        from impasto.engine.factory import make_engine

        key = (recipe.to_json(), share)
        if key not in self._engines:
            self._cache = self._cache or EngineCache()
            hardware = share.limit(self._settings.hardware).resolve()
            self._engines[key] = make_engine(recipe, hardware, self._cache)
            if len(self._engines) > CACHED_ENGINES:
                self._engines.popitem(last=False)
        self._engines.move_to_end(key)
        return self._engines[key]

    def _load_painting(self, place: str, engine: PictureEngine, photo: Picture) -> Picture:
        """Return a painting, reduced as the run would reduce it."""
        from impasto.engine.sizes import reduce_painting
        from impasto.image.files.decode import read_picture

        longer, scale = max(engine.choose_size(photo)), engine.recipe.style.scale
        key = place if place in self._paintings else f"{place} for {longer} px by {scale}"
        if key not in self._paintings:
            limit = engine.hardware.reading_limit
            whole = read_picture(places.read(place), name=place, max_memory=limit)
            painting = reduce_painting(whole, longer, scale)
            key = place if painting is whole else key
            self._paintings[key] = painting
            if len(self._paintings) > CACHED_PAINTINGS:
                self._paintings.popitem(last=False)
        self._paintings.move_to_end(key)
        return self._paintings[key]


@contextlib.contextmanager
def limit_torch_threads(count: int) -> Iterator[None]:
    """Set the number of PyTorch's threads; restore it afterwards, as other code may use it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
