"""What a film would look like, before hours are spent on it: a contact sheet, a few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from impasto.media.picture import Picture
from impasto.record.contact_sheet import ContactSheet
from impasto.video.clip import Clip, Levels, from_levels
from impasto.video.job import sized
from impasto.video.selection import Selection
from impasto.video.stabilize import Engine

SECONDS = 5
CELLS = 8
"""Frames on the sheet."""
_COLUMNS = 4


def beginning(selection: Selection) -> Selection:
    """The first seconds of what is selected."""
    short = selection.begin + SECONDS
    return replace(selection, end=short if selection.end is None else min(selection.end, short))


def sheet_places(total: int | None) -> list[int]:
    """Which of so many frames are on the sheet: evenly over them, and each once."""
    total = total or CELLS
    return sorted({round((place + 0.5) * total / CELLS - 0.5) for place in range(CELLS)})


def sheet_of(size: tuple[int, int], count: int) -> ContactSheet:
    """With room for so many frames of a (width, height), and nothing on it yet."""
    return ContactSheet(size, _COLUMNS, count)


def put(sheet: ContactSheet, place: int, time: Fraction, frame: Picture) -> None:
    """A frame on its place on the sheet."""
    sheet.place(place, f"{float(time):.2f} s", frame.to_pil())


def painted_alone(
    clip: Clip, selection: Selection, size: tuple[int, int], engine: Engine, done: int = 0
) -> Iterator[tuple[int, Fraction, Picture, Levels]]:
    """The frames of the sheet, each painted by itself.

    Args:
        clip: the source.
        selection: of its frames.
        size: (width, height) that they are worked on at.
        engine: that paints them.
        done: how many are known already, and left out.

    Yields:
        The place on the sheet, the time in seconds, the frame painted, and what the clip shows.

    Raises:
        ImpastoError: whatever reading and stylising raise.
    """
    wanted = sheet_places(selection.count(clip))
    for index, frame in enumerate(selection.of(clip)):
        if index > wanted[-1]:
            break
        if index not in wanted[done:]:
            continue
        source = sized(frame, size)
        pixels = from_levels(source)
        engine.begin(pixels)
        made = engine.finished(engine.painted(pixels, None), pixels)
        yield wanted.index(index), frame.time, Picture(made), source
