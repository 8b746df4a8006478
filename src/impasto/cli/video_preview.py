"""``impasto video --preview``: what a film would look like, before hours are spent on it."""

from __future__ import annotations

import argparse
from dataclasses import replace

from impasto.cli import INTERRUPTED
from impasto.cli.arguments import say
from impasto.cli.paint import stoppable
from impasto.cli.video_work import Film, Stopped, engine_of, make
from impasto.errors import InputError
from impasto.media.decode import read_picture
from impasto.media.encode import check_target, write_picture
from impasto.video.clip import NUMBERED
from impasto.video.preview import painted_alone, put, sheet_of
from impasto.video.selection import beginning, sheet_places


def preview(film: Film) -> int:
    """A contact sheet of frames painted by themselves, and five seconds of the film."""
    output = film.output
    if output is None or NUMBERED.search(output.name):
        raise InputError("--preview needs an OUT that is one file")
    sheet_path = output.with_name(f"{output.stem}-preview.png")
    check_target(sheet_path, overwrite=film.options.force)
    sheet = sheet_of(film.size, len(sheet_places(film.selection.count(film.clip))))
    placed = 0
    with stoppable() as stop:
        engine = engine_of(film, stop)
        try:
            for place, time, frame in painted_alone(film.clip, film.selection, film.size, engine):
                put(sheet, place, time, frame)
                placed += 1
        except Stopped:
            return INTERRUPTED
    write_picture(read_picture(sheet.image), sheet_path, overwrite=film.options.force)
    if not film.options.quiet:
        say(f"{sheet_path} ({placed} frames, each by itself)")
    short = beginning(film.selection)
    options = argparse.Namespace(
        **{**vars(film.options), "preview": False, "range": (short.begin, short.end)}
    )
    return make(
        replace(
            film, options=options, output=output.with_name(f"{output.stem}-preview{output.suffix}")
        )
    )
