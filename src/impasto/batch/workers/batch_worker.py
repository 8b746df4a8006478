"""A worker: it holds the network and the paintings, and makes one picture after the other."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.batch.batch_job import Job, Outcome, Probe, Settings, Share
from impasto.batch.sources import places
from impasto.batch.workers.painting import Begun, Made, alone, masks_of, of_one_size, together
from impasto.errors import ImpastoError, ResourceError, is_out_of_memory
from impasto.image.files.atomic import make_folder

if TYPE_CHECKING:
    from impasto.api.stylize import Result
    from impasto.image.picture import Picture
    from impasto.network.one_pass import OnePass
    from impasto.optimize.stylizer import Stylizer
    from impasto.recipe.recipe import Recipe

ENGINES = 4
"""Recipes whose engines are kept; they share one network where they can."""
PAINTINGS = 16


class Worker:
    """One process of a batch. Its own start is cheap; the first picture loads what all need."""

    def __init__(self, settings: Settings) -> None:
        """Note what all pictures share."""
        self._settings = settings
        self._engines: OrderedDict[tuple[str, Share], Stylizer | OnePass] = OrderedDict()
        self._paintings: OrderedDict[str, Picture] = OrderedDict()
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def probe(self, job: Job) -> Probe:
        """What a job will take; one small iteration is timed.

        Raises:
            ImpastoError: whatever the job would raise before it starts.
        """
        import torch

        from impasto.engine.capacity import available_memory, taken_memory
        from impasto.engine.plan import KEPT

        with threads_of_torch(Share().threads):
            engine, photo = self._opened(job, places.read(job.photo), Share())
            plan = engine.plan(photo, [self._painting(each) for each in job.styles])
        free = available_memory()
        cuda = engine.device.type == "cuda" and engine.device.index is None
        return Probe(
            seconds=plan.seconds,
            memory=plan.bytes_needed,
            comfort=round(KEPT * plan.bytes_needed),
            available=None if free is None else free + taken_memory(torch.device("cpu")),
            width=plan.width,
            height=plan.height,
            device=engine.device.type,
            devices=torch.cuda.device_count() if cuda else 1,
        )

    def work(self, jobs: Sequence[Job], share: Share) -> list[Outcome]:
        """What came of each job, in turn; nothing is raised.

        Those for a network whose results have one size are painted together.
        """
        with threads_of_torch(share.threads):
            begun = [self._begun(job, share) for job in jobs]
            made: dict[str, Made] = {}
            for alike in of_one_size([each for each in begun if isinstance(each, Begun)]):
                made |= together(alike)
            ended = [
                each if isinstance(each, Outcome) else self._ended(each, made, share)
                for each in begun
            ]
        return [replace(outcome, worker=self._name) for outcome in ended]

    def _begun(self, job: Job, share: Share) -> Begun | Outcome:
        began, digest = time.monotonic(), None
        try:
            data = places.read(job.photo)
            digest = hashlib.sha256(data).hexdigest()
            if job.again and not job.replaces and (there := places.size(job.output)):
                return Outcome(job, sha256=digest, bytes=there)  # written by the worker that died
            engine, photo = self._opened(job, data, share)
            paintings = [self._painting(each) for each in job.styles]
            masks = masks_of(job, photo, paintings)
            size, seconds = engine.size_for(photo), time.monotonic() - began
            return Begun(job, digest, engine, photo, paintings, masks, size, seconds)
        except Exception as error:  # no picture may end the work on the others
            return _failed(job, error, digest, time.monotonic() - began)

    def _ended(self, begun: Begun, made: dict[str, Made], share: Share) -> Outcome:
        job, digest = begun.job, begun.digest
        began = time.monotonic() - begun.seconds
        try:
            # Each is let go of as it is written.
            result, seconds = made.pop(job.key) if job.key in made else alone(begun, share)
            began -= seconds
            self._save(result, job)
            if begun.checkpoint is not None:
                begun.checkpoint.unlink(missing_ok=True)
        except Exception as error:  # no picture may end the work on the others
            return _failed(job, error, digest, time.monotonic() - began)
        return Outcome(
            job,
            sha256=digest,
            seconds=time.monotonic() - began,
            bytes=places.size(job.output) or 0,
            width=result.picture.width,
            height=result.picture.height,
        )

    def _save(self, result: Result, job: Job) -> None:
        from io import BytesIO

        from impasto.image.files.encode import choose_format, write_picture

        settings, output = self._settings, Path(job.output)
        made = replace(result.provenance, keeps_metadata=settings.keep_metadata)
        remote = BytesIO() if places.is_url(job.output) else None
        if remote is None:
            make_folder(output.parent)
        write_picture(
            result.picture,
            remote or output,
            format=choose_format(output, settings.depth),
            record=made.to_json() if settings.embed else None,
            depth=settings.depth,
            dpi=result.recipe.dpi,
            keep_metadata=settings.keep_metadata,
            overwrite=job.replaces or job.again,
        )
        if remote is not None:
            places.write(job.output, remote.getvalue())

    def _opened(self, job: Job, data: bytes, share: Share) -> tuple[Stylizer | OnePass, Picture]:
        """The engine for a job, and its photo."""
        from impasto.image.files.decode import read_picture

        photo = read_picture(data, name=job.photo)
        recipe, size = job.recipe, self._settings.print_size
        if size is not None:
            side = size.compute_longer_side(photo.width, photo.height)
            recipe = recipe.with_changes({"size": side, "dpi": size.dpi})
        return self._engine(recipe, share), photo

    def _engine(self, recipe: Recipe, share: Share) -> Stylizer | OnePass:
        from impasto.network.choice import engine_for

        key = (recipe.to_json(), share)
        if key not in self._engines:
            latest = next(reversed(self._engines.values()), None)
            self._engines[key] = engine_for(
                recipe,
                device=share.device or self._settings.device,
                weights=self._settings.weights,
                max_memory=share.max_memory,
                scratch=self._settings.scratch,
                like=latest,
            )
            if len(self._engines) > ENGINES:
                self._engines.popitem(last=False)
        self._engines.move_to_end(key)
        return self._engines[key]

    def _painting(self, place: str) -> Picture:
        from impasto.image.files.decode import read_picture

        if place not in self._paintings:
            self._paintings[place] = read_picture(places.read(place), name=place)
            if len(self._paintings) > PAINTINGS:
                self._paintings.popitem(last=False)
        self._paintings.move_to_end(place)
        return self._paintings[place]


@contextlib.contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """PyTorch computes with so many threads; afterwards as before, for a process may be shared."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _failed(job: Job, error: Exception, digest: str | None, seconds: float) -> Outcome:
    full = isinstance(error, ResourceError) and "disk is full" in str(error)
    return Outcome(job, _reason(error), digest, seconds, full=full)


def _reason(error: Exception) -> str:
    if is_out_of_memory(error):
        return "out of memory: ask for a smaller size or fewer workers"
    if isinstance(error, ImpastoError):
        return error.describe(lambda field: field.replace("_", " "))
    return f"{type(error).__name__}: {error}"
