"""The work itself, for the commands that make one picture: steps, signals, result, report."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from impasto.cli import INTERRUPTED
from impasto.cli.options.arguments import notice_for, say
from impasto.cli.reports.plan_text import in_short
from impasto.cli.reports.progress import progress_for
from impasto.errors import format_count

if TYPE_CHECKING:
    from impasto.api.stylize import Result
    from impasto.engine.inputs import Inputs
    from impasto.engine.plan import Plan
    from impasto.engine.protocol import PictureEngine
    from impasto.engine.step import Step
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe
    from impasto.record.provenance import Provenance


@dataclass(frozen=True)
class Job:
    """One picture to make.

    Attributes:
        recipe: what to do, size included.
        photo, paintings: what to do it with.
        masks, style_masks: of the photo, and of the paintings.
        sources: where the photo and the paintings came from; none: standard input.
        output: none: standard output.
        device, weights, max_memory, scratch: as :class:`Stylizer` takes them.
        depth: bits a channel of the result.
        overwrite: whether an existing output may be replaced.
        embed, keep_metadata: whether the recipe, and the photo's EXIF, go into the result.
        record: embedded in place of the run's own, for a replay of the very same inputs.
        checkpoint, resume: as :meth:`Stylizer.run` takes them.
        quiet, json: what is said meanwhile, and at the end.
    """

    recipe: Recipe
    photo: Picture
    paintings: list[Picture]
    sources: list[str | None]
    output: Path | None
    device: str
    weights: str | None
    depth: int
    overwrite: bool
    quiet: bool
    json: bool
    max_memory: int | None = None
    scratch: str | None = None
    embed: bool = True
    keep_metadata: bool = True
    masks: Sequence[Mask] = ()
    style_masks: Sequence[Mask | None] = ()
    record: Provenance | None = None
    checkpoint: str | None = None
    resume: str | None = None


def paint(job: Job, recorders: Sequence[Any] = (), films: Sequence[Any] = ()) -> int:
    """Do the job, show progress, write the result; 0, or 130 if it was stopped.

    ``recorders`` record every step, ``films`` are written at the end.
    """
    from impasto.api.stylize import make_result
    from impasto.engine.hardware import Hardware
    from impasto.engine.inputs import Inputs
    from impasto.engine.registry import make_engine
    from impasto.image.files.encode import write_picture

    hardware = Hardware.resolve(job.device, job.weights, job.max_memory, job.scratch)
    engine = make_engine(job.recipe, hardware)
    _tell_reduced(job, engine.size_for(job.photo))
    inputs = Inputs.read(job.recipe, job.photo, job.paintings, job.masks, job.style_masks)
    plan = engine.plan(inputs)
    if not job.quiet:
        say(in_short(plan))
    began = time.monotonic()
    # A first signal ends the steps, never the writing of what they made.
    with stoppable() as stop:
        last, stopped = _steps(engine, job, inputs, recorders, plan, stop)
        seconds = time.monotonic() - began
        result = make_result(engine, last, inputs, job.sources, seconds)
        made = job.record or replace(result.provenance, keeps_metadata=job.keep_metadata)
        write_picture(
            result.picture,
            job.output or sys.stdout.buffer,
            # A picture cut short is not what its recipe makes: a replay would be another one.
            record=made.to_json() if job.embed and not stopped else None,
            depth=job.depth,
            dpi=job.recipe.dpi,
            keep_metadata=job.keep_metadata,
            overwrite=job.overwrite,
            notice=notice_for(quiet=job.quiet),
        )
        for film in films:
            film.write()
    _tell(job, result, last, stopped=stopped)
    return INTERRUPTED if stopped else 0


def _tell_reduced(job: Job, size: tuple[int, int]) -> None:
    longer = max(job.photo.width, job.photo.height)
    if job.recipe.size is None and max(size) < longer and not job.quiet:
        say(
            f"the photo's {job.photo.width}x{job.photo.height} px are reduced to "
            f"{size[0]}x{size[1]}; --size {longer} keeps them"
        )


def _tell(job: Job, result: Result, last: Step, *, stopped: bool) -> None:
    where = job.output or "standard output"
    if stopped:
        go_on = f"; the same command with --resume {job.checkpoint} --force goes on"
        say(
            f"stopped after {last.iteration} of {last.total} iterations; "
            f"the best picture so far is {'on ' if job.output is None else ''}{where}, "
            "without its recipe" + (go_on if job.checkpoint else "")
        )
    elif not job.quiet:
        size = f"{result.picture.width}x{result.picture.height}"
        early = f", converged after {format_count(last.iteration, 'iteration')}"
        say(f"{where} ({size}{early if last.iteration < last.total else ''})")
    if job.json:
        print(json.dumps(_report(result, job.output, stopped=stopped)))


def _steps(
    engine: PictureEngine,
    job: Job,
    inputs: Inputs,
    recorders: Sequence[Any],
    plan: Plan,
    stop: list[int],
) -> tuple[Step, bool]:
    """The last step, and whether the user ended the run before its time."""
    from impasto.engine.allocation import give_freed_memory_back, keep_freed_memory

    steps = engine.run(
        inputs,
        checkpoint=None if job.checkpoint is None else Path(job.checkpoint),
        resume=None if job.resume is None else Path(job.resume),
        plan=plan,
    )
    if plan.is_roomy or engine.capabilities.reuses_memory:
        keep_freed_memory()
    if job.resume and not job.quiet:
        say(f"{job.resume} has a part of it")
    told = False
    with progress_for(sys.stderr, quiet=job.quiet) as progress:
        for step in steps:  # at least one
            if step.fell_back and not told:
                told = True
                give_freed_memory_back()
                say(f"memory ran out: going on in tiles of {step.tile} px")
            progress.see(step)
            for recorder in recorders:
                recorder.record(step)
            if stop and not step.last:
                steps.close()  # writes the checkpoint
                return step, True
    return step, False


@contextmanager
def stoppable(tell: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """A list that SIGINT and SIGTERM fill once; a second signal interrupts at once.

    ``tell`` is called at the first one, wherever the program is.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        tell()

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _report(result: Result, output: Path | None, *, stopped: bool) -> dict[str, Any]:
    return {
        "output": str(output),
        "width": result.picture.width,
        "height": result.picture.height,
        "seconds": round(result.seconds, 3),
        "iterations": result.iterations,
        "losses": result.losses,
        "recipe": result.recipe.model_dump(mode="json"),
        "device": result.device,
        "peak_memory_mb": round(result.peak_memory_mb, 1),
        "interrupted": stopped,
    }
