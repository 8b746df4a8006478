"""The work of ``impasto video``: engine, folder, progress, signals, and the film at the end."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from impasto._version import __version__
from impasto.cli import INTERRUPTED
from impasto.cli.jobs.film_request import Film
from impasto.cli.jobs.paint import stoppable
from impasto.cli.options.arguments import notice_for, say
from impasto.cli.reports.progress import clock
from impasto.engine.allocation import keep_freed_memory
from impasto.engine.device import peak_memory_mb, resolve_device
from impasto.errors import ImpastoError, InputError, format_count
from impasto.image.files.encode import check_target
from impasto.video.clip.clip import NUMBERED, numbers_there
from impasto.video.clip.film import write_raw
from impasto.video.engines.choice_of_frames import film_engine
from impasto.video.job.film_run import Progress, run, run_backwards
from impasto.video.job.finish import write_done
from impasto.video.job.work import Work
from impasto.video.stabilize.flow import Dis
from impasto.video.stabilize.stabilizer import Engine, Stabilizer

LINE_EVERY_S = 5.0
GOES_ON = "; the same command goes on"


class Stopped(Exception):  # noqa: N818 -- not an error
    """The user wants to stop; raised between two iterations."""


def make(film: Film, first: Callable[[Work], bool] = lambda _: True) -> int:
    """Do the job; 0, or 130 if it was stopped.

    Args:
        film: to be made.
        first: what is to be done before it, told where its frames go; false: stopped.
    """
    with _work_of(film) as work:
        _check_output(film, work)
        if not first(work):
            return INTERRUPTED
        try:
            return _made(film, work)
        except ImpastoError:
            if work.done and film.is_kept:
                say(f"{work.folder} keeps {format_count(work.done, 'frame')}{GOES_ON}")
            raise


def _made(film: Film, work: Work) -> int:
    began, quiet = time.monotonic(), film.options.quiet
    before = work.done
    if before and not quiet:
        say(f"going on at frame {before}: those before it are in {work.folder}")
    elif not quiet:
        total = film.selection.count(film.clip)
        many = "" if total is None else f"{format_count(total, 'frame')} of "
        kept = f"; frames are kept in {work.folder}" if film.is_kept else ""
        say(f"{many}{film.size[0]}x{film.size[1]} px{kept}")
    stopped = False
    with stoppable() as stop:
        told = Lines(quiet=quiet)
        try:
            for progress in _frames(film, work, engine_of(film, stop)):
                told.see(progress)
                if stop:
                    raise Stopped
        except Stopped:
            stopped = True
        seconds = time.monotonic() - began
        if film.output is not None and work.done:
            _write(film, work, film.output)
    _tell(film, work, seconds, work.done - before, stopped=stopped)
    return INTERRUPTED if stopped else 0


def _frames(film: Film, work: Work, engine: Engine) -> Iterator[Progress]:
    """All passes over the frames that are to be done; those of a pipe are written as they are."""
    stabilizer = Stabilizer(engine, Dis(), film.options.stability)
    twice = film.options.passes == 2
    pipe = sys.stdout.buffer if film.output is None else None
    if pipe:
        for timed in work.shown():
            write_raw(pipe, timed.pixels())
    for progress in run(film.clip, film.selection, film.size, stabilizer, work, twice=twice):
        if pipe:
            write_raw(pipe, work.levels(progress.index))
            if not film.is_kept:
                work.forget(progress.index)  # nothing can go on from a temporary folder
        yield progress
    if twice:
        yield from run_backwards(stabilizer, work)


def engine_of(film: Film, stop: list[int]) -> Engine:
    """What stylizes the frames of a film; it raises Stopped once there is something in the list."""
    options = film.options

    if options.max_memory is None:
        keep_freed_memory()

    def look(_: object) -> None:
        if stop:
            raise Stopped

    return film_engine(
        film.recipe,
        film.paintings,
        film.size,
        stability=options.stability,
        iterations=options.later,
        device=options.device,
        weights=options.weights,
        max_memory=options.max_memory,
        scratch=options.scratch,
        on_step=look,
        frozen=options.statistics == "shot",
    )


@contextmanager
def _work_of(film: Film) -> Iterator[Work]:
    """The folder of the frames; it goes at the end unless the user named it, or there is more to
    be done with it.
    """
    options, output = film.options, film.output
    if options.work is not None:
        yield Work(Path(options.work), film.facts(), restart=options.restart)
    elif output is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Work(Path(folder), film.facts())
    else:
        name = NUMBERED.sub("0", output.name)
        work = Work(output.with_name(f"{name}.frames"), film.facts(), restart=options.restart)
        try:
            yield work
        finally:
            if work.folder.exists() and not work.done:
                work.remove()


def _check_output(film: Film, work: Work) -> None:
    """See that the film may be written, before the work."""
    output, overwrite = film.output, film.options.force
    if output is None:
        return
    target = _first_file(output)
    mine = overwrite or work.made_part(target)
    check_target(target, overwrite=mine)
    there = {} if mine or not NUMBERED.search(output.name) else numbers_there(str(output))
    if there:
        raise InputError(f"{there[min(there)]}: exists already; --force replaces such pictures")


def _first_file(output: Path) -> Path:
    return Path(str(output) % 1) if NUMBERED.search(output.name) else output


def _write(film: Film, work: Work, output: Path) -> None:
    """The film of what is done."""
    options = film.options
    if NUMBERED.search(output.name):
        work.note_part(_first_file(output))  # a kill may leave some of them
    write_done(
        output,
        work,
        film.clip,
        film.selection,
        film.size,
        sound=not options.no_sound,
        record=None if options.no_embed else json.dumps(_record(film)),
        notice=notice_for(quiet=options.quiet) or (lambda _: None),
    )


def _record(film: Film) -> dict[str, Any]:
    """What is embedded: the recipe as in pictures, and what is a film's own."""
    facts = {key: value for key, value in film.facts().items() if key not in ("recipe", "version")}
    recipe = film.recipe.model_dump(mode="json")
    return {"impasto": __version__, "recipe": recipe, "video": facts}


def _tell(film: Film, work: Work, seconds: float, made: int, *, stopped: bool) -> None:
    options, done = film.options, work.done
    where = film.output or "standard output"
    if stopped:
        what = f"; {where} has what is done" if done and film.output else ""
        say(f"stopped after {format_count(done, 'frame')}{what}{GOES_ON if film.is_kept else ''}")
        if film.output is not None and done:
            work.note_part(_first_file(film.output))
    elif not options.quiet:
        pace = f", {seconds / made:.2f} s a frame" if made else ""
        say(f"{where} ({film.size[0]}x{film.size[1]}, {format_count(done, 'frame')}{pace})")
    if options.json:
        print(json.dumps(_report(film, done, seconds, stopped=stopped)))
    if not stopped and options.work is None:
        work.remove()


def _report(film: Film, done: int, seconds: float, *, stopped: bool) -> dict[str, Any]:
    device = resolve_device(film.options.device)
    return {
        "output": str(film.output),
        "width": film.size[0],
        "height": film.size[1],
        "frames": done,
        "seconds": round(seconds, 3),
        "recipe": film.recipe.model_dump(mode="json"),
        "device": str(device),
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "interrupted": stopped,
    }


class Lines:
    """A line every few seconds."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._clock = clock
        self._last = -LINE_EVERY_S

    def see(self, progress: Progress) -> None:
        """Note a frame."""
        now = self._clock()
        if self._quiet or now - self._last < LINE_EVERY_S:
            return
        self._last = now
        of = "" if progress.total is None else f"/{progress.total}"
        left = "" if progress.eta_s is None else f"  {clock(progress.eta_s)} left"
        new = "  a shot begins" if progress.shot == progress.index else ""
        print(
            f"{progress.index + 1:6d}{of}  {progress.seconds:.2f} s{left}{new}",
            file=sys.stderr,
            flush=True,
        )
