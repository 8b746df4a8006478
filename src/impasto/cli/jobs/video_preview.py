"""``impasto video --preview``: what a film would look like, before hours are spent on it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from impasto.cli.jobs.film_request import Film
from impasto.cli.jobs.paint import stoppable
from impasto.cli.jobs.video_work import Stopped, engine_of, make
from impasto.cli.options.arguments import say
from impasto.errors import InputError
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import check_target, write_picture
from impasto.video.clip.reading import NUMBER_PATTERN
from impasto.video.clip.selection import choose_sheet_places, select_preview
from impasto.video.job.film_preview import make_sheet, paint_sheet_frames, place_on_sheet
from impasto.video.job.frame_store import FrameStore


def preview(film: Film) -> int:
    """A contact sheet of frames painted by themselves, and five seconds of the film."""
    output = film.output
    if output is None or NUMBER_PATTERN.search(output.name):
        raise InputError("--preview needs an OUT that is one file")
    target = output.with_name(f"{output.stem}-preview{output.suffix}")
    short = select_preview(film.selection)
    options = argparse.Namespace(
        **{**vars(film.options), "preview": False, "range": (short.begin, short.end)}
    )
    sheet = target.with_suffix(".png")
    return make(
        replace(film, options=options, output=target), lambda work: _sheet(film, work, sheet)
    )


def _sheet(film: Film, work: FrameStore, target: Path) -> bool:
    """Frames painted by themselves, unless they are from an earlier run; whether all are there."""
    if work.is_own_output(target) and target.exists():
        return True
    check_target(target, overwrite=film.options.force)
    sheet = make_sheet(film.size, len(choose_sheet_places(film.source.count_frames())))
    placed = 0
    with stoppable() as stop:
        engine = engine_of(film, stop)
        try:
            for place, time, frame in paint_sheet_frames(film.source, engine):
                place_on_sheet(sheet, place, time, frame)
                placed += 1
                if stop:
                    return False
        except Stopped:
            return False
    write_picture(read_picture(sheet.image), target, overwrite=film.options.force)
    work.note_output(target)
    if not film.options.quiet:
        say(f"{target} ({placed} frames, each by itself)")
    return True
