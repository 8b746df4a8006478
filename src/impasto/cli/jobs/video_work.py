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
from impasto.engine.hardware import Hardware, measure_peak_memory_mb, resolve_device
from impasto.errors import ImpastoError, InputError, format_count
from impasto.image.files.encode import check_target
from impasto.video.clip.film_writer import write_raw_frame
from impasto.video.clip.reading import NUMBER_PATTERN, find_numbered_files
from impasto.video.engines.frame_engines import make_frame_engine
from impasto.video.engines.frame_settings import FrameSettings
from impasto.video.job.film_output import write_painted_film
from impasto.video.job.film_run import FilmProgress, paint_film, repaint_backwards
from impasto.video.job.frame_store import FrameStore
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.stabilizer import FrameEngine, Stabilizer

LINE_EVERY_S = 5.0
GOES_ON = "; the same command goes on"


class Stopped(Exception):  # noqa: N818 -- not an error
    """The user wants to stop; raised between two iterations."""


def make(film: Film, first: Callable[[FrameStore], bool] = lambda _: True) -> int:
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
            if work.frame_count and film.is_kept:
                say(f"{work.folder} keeps {format_count(work.frame_count, 'frame')}{GOES_ON}")
            raise


def _made(film: Film, work: FrameStore) -> int:
    began, quiet = time.monotonic(), film.options.quiet
    before = work.frame_count
    if before and not quiet:
        say(f"going on at frame {before}: those before it are in {work.folder}")
    elif not quiet:
        total = film.source.count_frames()
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
        if film.output is not None and work.frame_count:
            _write(film, work, film.output)
    _tell(film, work, seconds, work.frame_count - before, stopped=stopped)
    return INTERRUPTED if stopped else 0


def _frames(film: Film, work: FrameStore, engine: FrameEngine) -> Iterator[FilmProgress]:
    """All passes over the frames that are to be done; those of a pipe are written as they are."""
    stabilizer = Stabilizer(engine, DisEstimator(), film.options.stability)
    twice = film.options.passes == 2
    pipe = sys.stdout.buffer if film.output is None else None
    if pipe:
        for timed in work.read_film_frames():
            write_raw_frame(pipe, timed.load())
    for progress in paint_film(film.source, stabilizer, work, repaint=twice):
        if pipe:
            write_raw_frame(pipe, work.read_pixels(progress.index))
            if not film.is_kept:
                work.drop(progress.index)  # nothing can go on from a temporary folder
        yield progress
    if twice:
        yield from repaint_backwards(stabilizer, work)


def engine_of(film: Film, stop: list[int]) -> FrameEngine:
    """What stylizes the frames of a film; it raises Stopped once there is something in the list."""
    options = film.options

    if options.max_memory is None:
        keep_freed_memory()

    def look(_: object) -> None:
        if stop:
            raise Stopped

    return make_frame_engine(
        film.recipe,
        film.paintings,
        film.size,
        FrameSettings(options.stability, options.later, options.statistics == "shot"),
        Hardware.resolve(options.device, options.weights, options.max_memory, options.scratch),
        on_step=look,
    )


@contextmanager
def _work_of(film: Film) -> Iterator[FrameStore]:
    """The folder of the frames; it goes at the end unless the user named it, or there is more to
    be done with it.
    """
    options, output = film.options, film.output
    if options.work is not None:
        yield FrameStore(Path(options.work), film.facts(), restart=options.restart)
    elif output is None:
        with tempfile.TemporaryDirectory() as folder:
            yield FrameStore(Path(folder), film.facts())
    else:
        name = NUMBER_PATTERN.sub("0", output.name)
        work = FrameStore(output.with_name(f"{name}.frames"), film.facts(), restart=options.restart)
        try:
            yield work
        finally:
            if work.folder.exists() and not work.frame_count:
                work.remove()


def _check_output(film: Film, work: FrameStore) -> None:
    """See that the film may be written, before the work."""
    output, overwrite = film.output, film.options.force
    if output is None:
        return
    target = _first_file(output)
    mine = overwrite or work.is_own_output(target)
    check_target(target, overwrite=mine)
    there = (
        {} if mine or not NUMBER_PATTERN.search(output.name) else find_numbered_files(str(output))
    )
    if there:
        raise InputError(f"{there[min(there)]}: exists already; --force replaces such pictures")


def _first_file(output: Path) -> Path:
    return Path(str(output) % 1) if NUMBER_PATTERN.search(output.name) else output


def _write(film: Film, work: FrameStore, output: Path) -> None:
    """The film of what is done."""
    options = film.options
    if NUMBER_PATTERN.search(output.name):
        work.note_output(_first_file(output))  # a kill may leave some of them
    write_painted_film(
        output,
        work,
        film.source,
        sound=not options.no_sound,
        record=None if options.no_embed else json.dumps(_record(film)),
        notice=notice_for(quiet=options.quiet) or (lambda _: None),
    )


def _record(film: Film) -> dict[str, Any]:
    """What is embedded: the recipe as in pictures, and what is a film's own."""
    facts = {key: value for key, value in film.facts().items() if key not in ("recipe", "version")}
    recipe = film.recipe.model_dump(mode="json")
    return {"impasto": __version__, "recipe": recipe, "video": facts}


def _tell(film: Film, work: FrameStore, seconds: float, made: int, *, stopped: bool) -> None:
    options, done = film.options, work.frame_count
    where = film.output or "standard output"
    if stopped:
        what = f"; {where} has what is done" if done and film.output else ""
        say(f"stopped after {format_count(done, 'frame')}{what}{GOES_ON if film.is_kept else ''}")
        if film.output is not None and done:
            work.note_output(_first_file(film.output))
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
        "peak_memory_mb": round(measure_peak_memory_mb(device), 1),
        "interrupted": stopped,
    }


class Lines:
    """A line every few seconds."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._clock = clock
        self._last = -LINE_EVERY_S

    def see(self, progress: FilmProgress) -> None:
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
