"""Make a film or its preview: the engine, the folder of frames, progress and output."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from impasto._version import __version__
from impasto.cli import INTERRUPTED
from impasto.cli.jobs.film_request import FilmRequest
from impasto.cli.jobs.stop_signals import StopRequest, catch_stop_signals
from impasto.cli.options.arguments import choose_hardware, choose_notice, say
from impasto.cli.reports.progress import format_duration
from impasto.engine.machine.allocation import keep_freed_memory
from impasto.engine.machine.hardware import measure_peak_memory_mb, resolve_device
from impasto.errors import ImpastoError, InputError, format_count
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import check_target, write_picture
from impasto.image.files.result_file import ResultFile, WriteFile
from impasto.video.clip.film_writer import FilmExtras, write_raw_frame
from impasto.video.clip.reading import (
    NUMBER_PATTERN,
    find_numbered_files,
    name_numbered_file,
    names_numbered_files,
)
from impasto.video.clip.selection import choose_sheet_places, select_preview
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.frame_engines import make_frame_engine
from impasto.video.job.film_output import RECORD_KEY, write_painted_film
from impasto.video.job.film_preview import make_sheet, paint_sheet_frames, place_on_sheet
from impasto.video.job.film_run import FilmProgress, paint_film, repaint_backwards
from impasto.video.job.frame_store import FrameStore
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.stabilizer import FrameEngine, Stabilizer

LINE_EVERY_S = 5.0
CONTINUES = "; the same command continues"


def make_film(film: FilmRequest, prepare: Callable[[FrameStore], bool] = lambda _: True) -> int:
    """Make a film.

    Args:
        film: the request.
        prepare: is called first, with the folder of the frames. It returns whether to continue.

    Returns:
        The exit code: 0, or 130 if the user stopped the run.
    """
    with _open_work(film) as work:
        _check_output(film, work)
        if not prepare(work):
            return INTERRUPTED
        try:
            return _paint_film(film, work)
        except ImpastoError:
            if work.frame_count and film.has_lasting_folder:
                say(f"{work.folder} contains {format_count(work.frame_count, 'frame')}{CONTINUES}")
            raise


def _paint_film(film: FilmRequest, work: FrameStore) -> int:
    began, quiet = time.monotonic(), film.options.quiet
    before = work.frame_count
    if before and not quiet:
        say(f"continuing at frame {before}; earlier frames are in {work.folder}")
    elif not quiet:
        total = film.source.count_frames()
        many = "" if total is None else f"{format_count(total, 'frame')} of "
        place = f"; frames are stored in {work.folder}" if film.has_lasting_folder else ""
        say(f"{many}{film.size[0]}x{film.size[1]} px{place}")
    is_stopped = False
    with catch_stop_signals() as stop:
        lines = FilmProgressLines(quiet=quiet)
        try:
            for progress in _paint_frames(film, work, make_film_engine(film, stop)):
                lines.update(progress)
                if stop:
                    raise StopRequest
        except StopRequest:
            is_stopped = True
        seconds = time.monotonic() - began
        if film.output is not None and work.frame_count:
            write = partial(_write_film, film, work)
            film = replace(film, output=save_film(film, work, film.output, write))
    _report_film(film, work, seconds, work.frame_count - before, is_stopped=is_stopped)
    return INTERRUPTED if is_stopped else 0


def _paint_frames(
    film: FilmRequest, work: FrameStore, engine: FrameEngine
) -> Iterator[FilmProgress]:
    """Paint the remaining frames in all passes, and write them to a pipe if there is one."""
    stabilizer = Stabilizer(engine, DisEstimator(), film.options.stability)
    twice = film.options.passes == 2
    pipe = sys.stdout.buffer if film.output is None else None
    if pipe:
        for timed in work.read_film_frames():
            write_raw_frame(pipe, timed.load())
    for progress in paint_film(film.source, stabilizer, work, repaint=twice):
        if pipe:
            write_raw_frame(pipe, work.read_pixels(progress.index))
            if not film.has_lasting_folder:
                work.drop(progress.index)  # no later command can continue from a temporary folder
        yield progress
    if twice:
        yield from repaint_backwards(stabilizer, work)


def make_film_engine(film: FilmRequest, stop: list[int]) -> FrameEngine:
    """Make the engine that paints the frames of a film.

    Args:
        film: the request.
        stop: the engine raises StopRequest once this list has an entry.
    """
    options = film.options
    if options.max_memory is None:
        keep_freed_memory()

    def check_stop(_: object) -> None:
        if stop:
            raise StopRequest

    return make_frame_engine(
        FrameContext(
            film.recipe,
            film.paintings,
            film.size,
            FrameSettings(options.stability, options.later, options.statistics == "shot"),
            choose_hardware(options).resolve(),
            on_step=check_stop,
        )
    )


@contextmanager
def _open_work(film: FilmRequest) -> Iterator[FrameStore]:
    """Open the folder of the frames, and remove it at the end if it is temporary or empty."""
    options, output = film.options, film.output
    if options.work is not None:
        work = FrameStore(
            Path(options.work), film.describe(), restart=options.restart, exclusive=True
        )
        with closing(work):
            yield work
    elif output is None:
        with tempfile.TemporaryDirectory() as folder:
            yield FrameStore(Path(folder), film.describe())
    else:
        name = output.name
        if names_numbered_files(output):
            name = NUMBER_PATTERN.sub("0", name)
        work = FrameStore(
            output.with_name(f"{name}.frames"),
            film.describe(),
            restart=options.restart,
            exclusive=True,
        )
        try:
            yield work
        finally:
            if work.folder.exists() and not work.frame_count:
                with suppress(OSError):  # empty, or an error is on its way already
                    work.remove()
            work.close()


def _check_output(film: FilmRequest, work: FrameStore) -> None:
    """Check before the work that the film may be written."""
    output, overwrite = film.output, film.options.force
    if output is None:
        return
    target = _name_first_file(output)
    may_replace = overwrite or work.is_own_output(target)
    check_target(target, overwrite=may_replace)
    if not may_replace and names_numbered_files(output):
        existing = find_numbered_files(str(output))
        if existing:
            raise InputError("exists already; --force replaces it", where=existing[min(existing)])


def save_film(film: FilmRequest, work: FrameStore, output: Path, write: WriteFile) -> Path:
    """Write a film under its name, or under a free one if that was taken while it was painted.

    Args:
        film: the request.
        work: the folder of its frames.
        output: the file, or the pattern of numbered pictures.
        write: writes it.

    Returns:
        Where the film is.
    """
    overwrite = film.options.force
    if not names_numbered_files(output):
        file = ResultFile(output, overwrite=overwrite, notice=say, what="the film")
        if work.is_own_output(output):
            file.adopt()
        return file.write(write)
    overwrite = overwrite or work.is_own_output(_name_first_file(output))
    place, number = output, 1
    while not _try_to_write(write, place, overwrite=overwrite):
        number += 1
        place = output.with_name(f"{number}-{output.name}")
    if place != output:
        say(f"{output} was created during the run and is kept; the film is in {place}")
    return place


def _try_to_write(write: WriteFile, pattern: Path, *, overwrite: bool) -> bool:
    """Write numbered pictures unless some are there, and return whether that was possible."""
    if not overwrite and find_numbered_files(str(pattern)):
        return False
    try:
        write(pattern, overwrite=overwrite)
    except InputError as error:
        if error.field != "overwrite":
            raise
        return False
    return True


def _name_first_file(output: Path) -> Path:
    return name_numbered_file(output, 1) if names_numbered_files(output) else output


def _write_film(film: FilmRequest, work: FrameStore, output: Path, /, *, overwrite: bool) -> None:
    """Write the film from the finished frames."""
    options = film.options
    if names_numbered_files(output):
        work.note_output(_name_first_file(output))  # if the process is killed, some of them exist
    write_painted_film(
        output,
        work,
        film.source,
        sound=not options.no_sound,
        texts={} if options.no_embed else {RECORD_KEY: json.dumps(_make_record(film))},
        notice=choose_notice(quiet=options.quiet) or (lambda _: None),
        # After a kill at any moment, the next run may replace what this one has written.
        extras=FilmExtras(overwrite=overwrite, seal=lambda file: work.note_output(output, file)),
    )


def _make_record(film: FilmRequest) -> dict[str, Any]:
    """Return the record to embed: the recipe, as in pictures, and the choices of the film."""
    facts = {
        key: value for key, value in film.describe().items() if key not in ("recipe", "version")
    }
    recipe = film.recipe.model_dump(mode="json")
    return {"impasto": __version__, "recipe": recipe, "video": facts}


def _report_film(
    film: FilmRequest, work: FrameStore, seconds: float, new_frames: int, *, is_stopped: bool
) -> None:
    options, frames = film.options, work.frame_count
    where = film.output or "standard output"
    if is_stopped:
        what = f"; {where} contains them" if frames and film.output else ""
        remedy = CONTINUES if film.has_lasting_folder else ""
        say(f"stopped after {format_count(frames, 'frame')}{what}{remedy}")
        if film.output is not None and frames:
            work.note_output(_name_first_file(film.output))
    elif not options.quiet:
        pace = f", {seconds / new_frames:.2f} s per frame" if new_frames else ""
        say(f"{where} ({film.size[0]}x{film.size[1]}, {format_count(frames, 'frame')}{pace})")
    if options.json:
        print(json.dumps(_make_json(film, frames, seconds, is_stopped=is_stopped)))
    if not is_stopped and options.work is None:
        try:
            work.remove()
        except OSError as error:  # the film is complete
            say(f"{work.folder} cannot be removed ({error.strerror})")


def _make_json(
    film: FilmRequest, frames: int, seconds: float, *, is_stopped: bool
) -> dict[str, Any]:
    device = resolve_device(film.options.device)
    return {
        "output": str(film.output),
        "width": film.size[0],
        "height": film.size[1],
        "frames": frames,
        "seconds": round(seconds, 3),
        "recipe": film.recipe.model_dump(mode="json"),
        "device": str(device),
        "peak_memory_mb": round(measure_peak_memory_mb(device), 1),
        "interrupted": is_stopped,
    }


class FilmProgressLines:
    """The progress of a film as a line every few seconds."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._clock = clock
        self._last = -LINE_EVERY_S

    def update(self, progress: FilmProgress) -> None:
        """Show the progress after a frame."""
        now = self._clock()
        if self._quiet or now - self._last < LINE_EVERY_S:
            return
        self._last = now
        of = "" if progress.total is None else f"/{progress.total}"
        left = "" if progress.eta_s is None else f"  {format_duration(progress.eta_s)} left"
        new = "  new shot" if progress.shot == progress.index else ""
        print(
            f"{progress.index + 1:6d}{of}  {progress.seconds:.2f} s{left}{new}",
            file=sys.stderr,
            flush=True,
        )


def preview_film(film: FilmRequest) -> int:
    """Make a contact sheet of single frames, and five seconds of the film.

    Returns:
        The exit code: 0, or 130 if the user stopped the run.
    """
    output = film.output
    if output is None or names_numbered_files(output):
        raise InputError("requires an output that is a single file", what="--preview")
    target = output.with_name(f"{output.stem}-preview{output.suffix}")
    short = select_preview(film.selection)
    options = argparse.Namespace(
        **{**vars(film.options), "preview": False, "range": (short.begin, short.end)}
    )
    sheet = target.with_suffix(".png")
    return make_film(
        replace(film, options=options, output=target),
        lambda work: _make_preview_sheet(film, work, sheet),
    )


def _make_preview_sheet(film: FilmRequest, work: FrameStore, target: Path) -> bool:
    """Write the contact sheet, unless an earlier run has, and return whether it is complete."""
    if work.is_own_output(target) and target.exists():
        return True
    check_target(target, overwrite=film.options.force)
    sheet = make_sheet(film.size, len(choose_sheet_places(film.source.count_frames())))
    count = 0
    with catch_stop_signals() as stop:
        engine = make_film_engine(film, stop)
        try:
            for place, time, frame in paint_sheet_frames(film.source, engine):
                place_on_sheet(sheet, place, time, frame)
                count += 1
                if stop:
                    return False
        except StopRequest:
            return False
    file = ResultFile(target, overwrite=film.options.force, notice=say, what="the sheet")
    target = file.write(partial(write_picture, read_picture(sheet.image)))
    work.note_output(target)
    if not film.options.quiet:
        say(f"{target} ({count} frames)")
    return True
