"""Paint prepared jobs: one at a time, or several in one pass of a network."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.batch.batch_job import BatchJob, WorkerShare
from impasto.batch.sources import places
from impasto.batch.sources.manifest import NO_MASK
from impasto.errors import ImpastoError, InputError
from impasto.image.files.atomic import make_folder

if TYPE_CHECKING:
    from impasto.api.stylize import Result
    from impasto.engine.inputs import Inputs
    from impasto.engine.protocol import PictureEngine
    from impasto.engine.step import Step
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture

LONGEST_NAME = 255
"""Bytes that a file name may have."""
CHECKPOINT_S = 120.0
"""Seconds between checkpoints. Pictures that take less time have none."""


@dataclass(frozen=True)
class PreparedJob:
    """A job whose pictures have been read.

    Attributes:
        job: the job.
        digest: SHA-256 of the photo's file.
        engine: the engine of the job's recipe.
        inputs: the pictures and their regions.
        size: (width, height) of the output.
        seconds: time that reading took.
    """

    job: BatchJob
    digest: str
    engine: PictureEngine
    inputs: Inputs
    size: tuple[int, int]
    seconds: float

    @property
    def checkpoint(self) -> Path | None:
        """The file that keeps the state of a long run.

        None: the job cannot have checkpoints, or another file has that name.
        """
        from impasto.optimize.checkpoint import is_checkpoint

        job = self.job
        if not job.recipe.capabilities.checkpoints or places.is_url(job.output):
            return None
        output = Path(job.output)
        name = f".{output.name}.checkpoint"
        if len(os.fsencode(name)) > LONGEST_NAME:
            return None
        path = output.with_name(name)
        return path if is_checkpoint(path) or not os.path.lexists(path) else None


PaintedJob = tuple["Result", float]
"""A result, and its share in seconds of a pass that painted several pictures."""


def prepare_masks(
    job: BatchJob, photo: Picture, paintings: list[Picture]
) -> tuple[list[Mask], list[Mask | None]]:
    """Read the masks of a job, or find the regions that its words describe.

    Returns:
        The masks of the photo and of the paintings.
    """
    from impasto.image.masks import read_mask
    from impasto.segment.mask_words import find_masks

    def open_mask(mask: str) -> Mask | str:
        if not places.is_url(mask):
            return mask
        return read_mask(places.read(mask), name=mask.rsplit("/", 1)[-1])

    masks = [open_mask(each) for each in job.masks]
    style_masks = [None if each == NO_MASK else open_mask(each) for each in job.style_masks]
    return find_masks(photo, paintings, masks, style_masks)


def group_by_size(jobs: Sequence[PreparedJob]) -> list[list[PreparedJob]]:
    """Group the jobs that a network can paint in one pass; groups of one are omitted."""
    groups: dict[tuple[int, tuple[str, ...], tuple[int, int]], list[PreparedJob]] = {}
    for each in jobs:
        regions = each.inputs.regions
        is_masked = bool(regions.masks or regions.style_masks)
        if each.engine.capabilities.batches and not is_masked:
            key = id(each.engine), each.job.styles, each.size
            groups.setdefault(key, []).append(each)
    return [group for group in groups.values() if len(group) > 1]


def paint_together(jobs: Sequence[PreparedJob]) -> dict[str, PaintedJob]:
    """Paint jobs in one pass of their network.

    Returns:
        The results by the keys of the jobs. Nothing if the pass fails: each job is then painted
        alone and reports its own error.
    """
    start = time.monotonic()
    try:
        steps = jobs[0].engine.run_together([each.inputs for each in jobs])
    except (ImpastoError, MemoryError, RuntimeError):
        return {}
    seconds = (time.monotonic() - start) / len(jobs)
    pairs = zip(jobs, steps, strict=True)
    return {each.job.key: (_make_result(each, step), seconds) for each, step in pairs}


def paint_alone(prepared: PreparedJob, share: WorkerShare) -> PaintedJob:
    """Paint one job, resuming from the checkpoint of a worker that died."""
    from impasto.engine.machine.allocation import give_freed_memory_back, keep_freed_memory

    if share.roomy:
        keep_freed_memory()
    for step in _run_engine(prepared):  # at least one step
        if step.tile and share.roomy:
            give_freed_memory_back()
    return _make_result(prepared, step), 0.0


def _run_engine(prepared: PreparedJob) -> Iterable[Step]:
    run: Callable[..., Iterable[Step]] = partial(prepared.engine.run, prepared.inputs)
    checkpoint = prepared.checkpoint
    if checkpoint is None:
        return run()
    make_folder(checkpoint.parent)
    if checkpoint.exists():
        try:
            return run(checkpoint=checkpoint, every_s=CHECKPOINT_S, resume=checkpoint)
        except InputError:  # the checkpoint is of another recipe or photo, or damaged
            checkpoint.unlink()
    return run(checkpoint=checkpoint, every_s=CHECKPOINT_S)


def _make_result(prepared: PreparedJob, step: Step) -> Result:
    from impasto.api.stylize import make_result

    sources = [prepared.job.photo, *prepared.job.styles]
    return make_result(prepared.engine, step, prepared.inputs, sources, step.elapsed_s)
