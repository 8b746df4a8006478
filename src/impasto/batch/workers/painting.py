"""From pictures that are read to results: alone, or together in one pass of a network."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.batch.batch_job import Job, Share
from impasto.batch.sources import places
from impasto.batch.sources.manifest import NONE
from impasto.errors import ImpastoError, InputError
from impasto.image.files.atomic import make_folder

if TYPE_CHECKING:
    from impasto.api.stylize import Result
    from impasto.engine.step import Step
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture
    from impasto.network.one_pass import OnePass
    from impasto.optimize.stylizer import Stylizer

LONGEST = 255
"""Bytes of a file's name."""
CHECKPOINT_S = 120.0
"""Between checkpoints of a picture; one that takes less has none."""


@dataclass(frozen=True)
class Begun:
    """A job whose pictures are read."""

    job: Job
    digest: str
    engine: Stylizer | OnePass
    photo: Picture
    paintings: list[Picture]
    masks: tuple[list[Mask], list[Mask | None]]
    """Of the photo and of the paintings."""
    size: tuple[int, int]
    seconds: float
    """That reading took."""

    @property
    def checkpoint(self) -> Path | None:
        """Where the state of a long run is kept; none: nowhere."""
        job = self.job
        if job.recipe.engine.kind != "optimizer" or places.is_url(job.output):
            return None
        output = Path(job.output)
        name = f".{output.name}.checkpoint"
        return output.with_name(name) if len(os.fsencode(name)) <= LONGEST else None


Made = tuple["Result", float]
"""And how many seconds it took that are not counted otherwise."""


def masks_of(
    job: Job, photo: Picture, paintings: list[Picture]
) -> tuple[list[Mask], list[Mask | None]]:
    """Of the photo and of the paintings, read or found."""
    from impasto.image.masks import read_mask
    from impasto.segment.mask_words import find_masks

    def opened(mask: str) -> Mask | str:
        return (
            read_mask(places.read(mask), name=mask.rsplit("/", 1)[-1])
            if places.is_url(mask)
            else mask
        )

    parts = [None if each == NONE else opened(each) for each in job.style_masks]
    return find_masks(photo, paintings, [opened(each) for each in job.masks], parts)


def of_one_size(begun: Sequence[Begun]) -> list[list[Begun]]:
    """Those that one pass of a network can paint, two and more of them."""
    alike: dict[tuple[int, tuple[str, ...], tuple[int, int]], list[Begun]] = {}
    for each in begun:
        if each.job.recipe.engine.kind != "optimizer" and not any(each.masks):
            key = id(each.engine), each.job.styles, each.size
            alike.setdefault(key, []).append(each)
    return [each for each in alike.values() if len(each) > 1]


def together(begun: Sequence[Begun]) -> dict[str, Made]:
    """By the keys of the jobs; nothing if they do not fit together: alone, each tells of itself."""
    from impasto.network.one_pass import OnePass

    engine = begun[0].engine
    assert isinstance(engine, OnePass)
    began = time.monotonic()
    try:
        steps = engine.run_together([each.photo for each in begun], begun[0].paintings)
    except (ImpastoError, MemoryError, RuntimeError):
        return {}
    share = (time.monotonic() - began) / len(begun)
    pairs = zip(begun, steps, strict=True)
    return {each.job.key: (_result(each, step), share) for each, step in pairs}


def alone(begun: Begun, share: Share) -> Made:
    """One of them, from where a worker that died had got to."""
    from impasto.engine.allocation import give_freed_memory_back, keep_freed_memory

    if share.roomy:
        keep_freed_memory()
    for step in _steps(begun):  # at least one
        if step.tile and share.roomy:
            give_freed_memory_back()
    return _result(begun, step), 0.0


def _steps(begun: Begun) -> Iterable[Step]:
    masks, parts = begun.masks
    run: Callable[..., Iterable[Step]] = partial(
        begun.engine.run, begun.photo, begun.paintings, masks=masks, style_masks=parts
    )
    checkpoint = begun.checkpoint
    if checkpoint is None:
        return run()
    make_folder(checkpoint.parent)
    if checkpoint.exists():
        try:
            return run(checkpoint=checkpoint, every_s=CHECKPOINT_S, resume=checkpoint)
        except InputError:  # of another recipe or photo, or damaged
            checkpoint.unlink()
    return run(checkpoint=checkpoint, every_s=CHECKPOINT_S)


def _result(begun: Begun, step: Step) -> Result:
    from impasto.api.stylize import finished

    sources = [begun.job.photo, *begun.job.styles]
    return finished(
        begun.engine, step, begun.photo, begun.paintings, sources, step.elapsed_s, *begun.masks
    )
