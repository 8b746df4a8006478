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
from impasto.media.picture import Picture
from impasto.record.contact_sheet import ContactSheet
from impasto.video.clip import NUMBERED, from_levels
from impasto.video.job import sized

PREVIEW_S = 5
CELLS = 8
"""Frames on the sheet."""


def preview(film: Film) -> int:
    """A contact sheet of frames painted by themselves, and five seconds of the film."""
    output = film.output
    if output is None or NUMBERED.search(output.name):
        raise InputError("--preview needs an OUT that is one file")
    sheet_path = output.with_name(f"{output.stem}-preview.png")
    check_target(sheet_path, overwrite=film.options.force)
    total = film.selection.count(film.clip) or CELLS
    wanted = {round((place + 0.5) * total / CELLS - 0.5) for place in range(CELLS)}
    sheet = ContactSheet(film.size, 4, len(wanted))
    with stoppable() as stop:
        engine = engine_of(film, stop)
        placed = 0
        try:
            for index, frame in enumerate(film.selection.of(film.clip)):
                if index not in wanted:
                    continue
                pixels = from_levels(sized(frame, film.size))
                engine.begin(pixels)
                made = engine.finished(engine.painted(pixels, None), pixels)
                sheet.place(placed, f"{float(frame.time):.2f} s", Picture(made).to_pil())
                placed += 1
        except Stopped:
            return INTERRUPTED
    write_picture(read_picture(sheet.image), sheet_path, overwrite=film.options.force)
    if not film.options.quiet:
        say(f"{sheet_path} ({placed} frames, each by itself)")
    begin, end = film.selection.begin, film.selection.end
    short = begin + PREVIEW_S if end is None else min(end, begin + PREVIEW_S)
    options = argparse.Namespace(
        **{**vars(film.options), "preview": False, "range": (begin, short)}
    )
    return make(
        replace(
            film, options=options, output=output.with_name(f"{output.stem}-preview{output.suffix}")
        )
    )
