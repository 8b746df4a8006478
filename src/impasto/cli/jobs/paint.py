"""Paint one picture: run the steps, write the result, and report."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli import INTERRUPTED
from impasto.cli.jobs.stop_signals import catch_stop_signals
from impasto.cli.options.arguments import choose_notice, say
from impasto.cli.reports.error_text import describe_error
from impasto.cli.reports.plan_text import summarize_plan
from impasto.cli.reports.progress import choose_progress
from impasto.errors import format_count

if TYPE_CHECKING:
    from impasto.api.stylize import Result
    from impasto.engine.inputs import Inputs
    from impasto.engine.machine.hardware_choice import HardwareChoice
    from impasto.engine.plan import Plan
    from impasto.engine.protocol import PictureEngine
    from impasto.engine.step import Step
    from impasto.recipe.recipe import Recipe
    from impasto.record.provenance import Provenance


class RunEnd(Enum):
    """How a run ended: by itself, or by the user, with or without its last state written."""

    FINISHED = "finished"
    RESUMABLE = "resumable"
    STOPPED = "stopped"


@dataclass(frozen=True)
class PaintJob:
    """One picture to paint.

    Attributes:
        recipe: the recipe, with a size if one was given.
        inputs: the pictures and their regions.
        sources: the files of the photo and the paintings. None: standard input.
        output: the file of the result. None: standard output.
        hardware: the hardware to use.
        depth: bits per channel of the result, 8 or 16.
        overwrite: whether an existing output may be replaced.
        embed: whether the result contains its record.
        keep_metadata: whether the result contains the photo's EXIF.
        record: replaces the record of this run, for an exact replay. None: it is not replaced.
        checkpoint, resume: see :meth:`impasto.Stylizer.run`.
        quiet: whether progress is not reported.
        json: whether a JSON object is printed at the end.
    """

    recipe: Recipe
    inputs: Inputs
    sources: list[str | None]
    output: Path | None
    hardware: HardwareChoice
    depth: int
    overwrite: bool
    quiet: bool
    json: bool
    embed: bool = True
    keep_metadata: bool = True
    record: Provenance | None = None
    checkpoint: str | None = None
    resume: str | None = None


def paint(job: PaintJob, recorders: Sequence[Any] = (), films: Sequence[Any] = ()) -> int:
    """Paint a picture, report progress, and write the result.

    Args:
        job: the picture.
        recorders: receive every step.
        films: are written at the end.

    Returns:
        The exit code: 0, or 130 if the user stopped the run.
    """
    from impasto.api.stylize import make_result
    from impasto.engine.factory import make_engine
    from impasto.image.files.encode import write_picture
    from impasto.image.files.result_file import ResultFile

    engine = make_engine(job.recipe, job.hardware.resolve())
    _report_reduction(job, engine.choose_size(job.inputs.photo))
    plan = engine.plan(job.inputs)
    if not job.quiet:
        say(summarize_plan(plan))
    began = time.monotonic()
    # A first signal ends the steps, but never the writing of the result.
    with catch_stop_signals() as stop:
        last, end = _run_steps(engine, job, recorders, plan, stop)
        is_stopped = end is not RunEnd.FINISHED
        seconds = time.monotonic() - began
        result = make_result(engine, last, job.inputs, job.sources, seconds)
        record = job.record or replace(result.provenance, keeps_metadata=job.keep_metadata)
        write = partial(
            write_picture,
            result.picture,
            # A replay of a stopped run would give a different picture.
            record=record.to_json() if job.embed and not is_stopped else None,
            depth=job.depth,
            dpi=job.recipe.dpi,
            keep_metadata=job.keep_metadata,
            notice=choose_notice(quiet=job.quiet),
        )
        if job.output is None:
            write(sys.stdout.buffer)
        else:
            file = ResultFile(job.output, overwrite=job.overwrite, notice=say)
            job = replace(job, output=file.write(write))
        for film in films:
            give_up_on_errors(film.write)
    _report_result(job, result, last, end)
    return INTERRUPTED if is_stopped else 0


def give_up_on_errors(write: Callable[[], None]) -> bool:
    """Write something beside the result, and return whether that was possible."""
    try:
        write()
    except Exception as error:  # whatever happens beside it, the picture is finished
        say(f"not written: {describe_error(error) or type(error).__name__}")
        return False
    return True


def _report_reduction(job: PaintJob, size: tuple[int, int]) -> None:
    photo = job.inputs.photo
    longer = max(photo.width, photo.height)
    if job.recipe.size is None and max(size) < longer and not job.quiet:
        say(
            f"the photo is reduced from {photo.width}x{photo.height} to "
            f"{size[0]}x{size[1]} px; --size {longer} keeps its size"
        )


def _report_result(job: PaintJob, result: Result, last: Step, end: RunEnd) -> None:
    where = job.output or "standard output"
    is_stopped = end is not RunEnd.FINISHED
    if is_stopped:
        resume = f"; to continue, add --resume {job.checkpoint} --force to the command"
        say(
            f"stopped after {last.iteration} of {last.total} iterations; "
            f"the best picture so far is {'on' if job.output is None else 'in'} {where}, "
            "without its recipe" + (resume if job.checkpoint and end is RunEnd.RESUMABLE else "")
        )
    elif not job.quiet:
        size = f"{result.picture.width}x{result.picture.height}"
        early = f", converged after {format_count(last.iteration, 'iteration')}"
        say(f"{where} ({size}{early if last.iteration < last.total else ''})")
    if job.json:
        print(json.dumps(_make_json(result, job.output, is_stopped=is_stopped)))


def _run_steps(
    engine: PictureEngine,
    job: PaintJob,
    recorders: Sequence[Any],
    plan: Plan,
    stop: list[int],
) -> tuple[Step, RunEnd]:
    """Return the last step, and how the run ended."""
    from impasto.engine.machine.allocation import give_freed_memory_back, keep_freed_memory

    steps = engine.run(
        job.inputs,
        checkpoint=None if job.checkpoint is None else Path(job.checkpoint),
        resume=None if job.resume is None else Path(job.resume),
        plan=plan,
    )
    if plan.is_roomy or engine.capabilities.reuses_memory:
        keep_freed_memory()
    if job.resume and not job.quiet:
        say(f"{job.resume} contains a part of this run")
    has_warned, has_failed, active = False, False, list(recorders)
    with choose_progress(sys.stderr, quiet=job.quiet) as progress, close_quietly(steps):
        for step in steps:  # at least one
            if step.fell_back and not has_warned:
                has_warned = True
                give_freed_memory_back()
                say(f"out of memory: continuing in tiles of {step.tile} px")
            progress.update(step)
            active = [each for each in active if give_up_on_errors(partial(each.record, step))]
            if step.checkpoint_failure is not None and not has_failed:
                has_failed = True
                say(f"checkpoint not written: {describe_error(step.checkpoint_failure)}")
            if stop and not step.last:
                is_written = give_up_on_errors(steps.close)  # writes the checkpoint
                return step, RunEnd.RESUMABLE if is_written else RunEnd.STOPPED
    return step, RunEnd.FINISHED


@contextlib.contextmanager
def close_quietly(steps: Generator[Step, None, None]) -> Iterator[None]:
    """Close a run, which writes its checkpoint, if the block fails, and report the first error.

    The interpreter would close it too, but prints a traceback if that fails.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            steps.close()
        raise


def _make_json(result: Result, output: Path | None, *, is_stopped: bool) -> dict[str, Any]:
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
        "interrupted": is_stopped,
    }
