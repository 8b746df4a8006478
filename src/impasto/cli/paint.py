"""The work itself, for the commands that make one picture: steps, signals, result, report."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from impasto.cli import INTERRUPTED
from impasto.cli.arguments import notice_for, say
from impasto.cli.progress import progress_for

if TYPE_CHECKING:
    from impasto._stylize import Result
    from impasto.media.picture import Picture
    from impasto.optimize.loop import Step, Stylizer
    from impasto.recipe import Recipe
    from impasto.record.provenance import Provenance


def paint(
    options: argparse.Namespace,
    recipe: Recipe,
    photo: Picture,
    paintings: list[Picture],
    output: Path | None,
    recorders: list[Any],
    films: list[Any],
    record: Provenance | None = None,
) -> int:
    """Run the recipe, show progress, write the result; 0, or 130 if it was stopped.

    ``record`` is embedded in place of the run's own, for a replay of the very same inputs.
    """
    from impasto._stylize import finished
    from impasto.media.encode import write_picture
    from impasto.optimize.loop import Stylizer

    engine = Stylizer(recipe, device=options.device, weights=options.weights)
    began = time.monotonic()
    # A first signal ends the steps, never the writing of what they made.
    with _stoppable() as stop:
        last, stopped = _steps(engine, photo, paintings, options, recorders, stop)
        sources = [None if each == "-" else each for each in (options.photo, *options.style)]
        result = finished(engine, last, photo, paintings, sources, time.monotonic() - began)
        # A picture cut short is not what its recipe makes: a replay would be another one.
        embed = not options.no_embed and not stopped
        write_picture(
            result.picture,
            output or sys.stdout.buffer,
            record=(record or _record(result, options)).to_json() if embed else None,
            depth=options.depth,
            keep_metadata=not options.no_metadata,
            overwrite=options.force,
            notice=notice_for(options),
        )
        for film in films:
            film.write()
    _tell(options, result, last, output, stopped=stopped)
    return INTERRUPTED if stopped else 0


def _record(result: Result, options: argparse.Namespace) -> Provenance:
    from impasto.record.provenance import weights_used

    network = result.recipe.encoder.network
    weights = weights_used(network, options.weights)
    keeps = not options.no_metadata
    return replace(result.provenance, weights=weights, keeps_metadata=keeps)


def _tell(
    options: argparse.Namespace, result: Result, last: Step, output: Path | None, *, stopped: bool
) -> None:
    if stopped:
        say(
            f"stopped after {last.iteration} of {last.total} iterations; "
            f"the best picture so far is {output or 'on standard output'}"
            + (f"; --resume {options.checkpoint} goes on" if options.checkpoint else "")
        )
    elif not options.quiet:
        say(f"{output or 'standard output'} ({result.picture.width}x{result.picture.height})")
    if options.json:
        print(json.dumps(_report(result, output, stopped=stopped)))


def _steps(
    engine: Stylizer,
    photo: Picture,
    paintings: list[Picture],
    options: argparse.Namespace,
    recorders: list[Any],
    stop: list[int],
) -> tuple[Step, bool]:
    """The last step, and whether the user ended the run before its time."""
    steps = engine.run(photo, paintings, checkpoint=options.checkpoint, resume=options.resume)
    last = None
    with progress_for(sys.stderr, quiet=options.quiet) as progress:
        for step in steps:
            last = step
            progress.see(step)
            for recorder in recorders:
                recorder.see(step)
            if stop and step.iteration < step.total:
                steps.close()  # writes the checkpoint
                return step, True
    if last is None:
        from impasto.errors import InputError

        raise InputError(f"{options.resume}: that run was finished already")
    return last, False


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """A list that SIGINT and SIGTERM fill once; a second signal interrupts at once."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

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
