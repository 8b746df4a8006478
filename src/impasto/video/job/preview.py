"""What a film would look like, before hours are spent on it: a contact sheet, a few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from impasto.image.picture import Floats, Picture
from impasto.record.contact_sheet import ContactSheet
from impasto.video.clip.clip import Clip, from_levels
from impasto.video.clip.selection import Selection, sheet_places
from impasto.video.job.film_run import sized
from impasto.video.stabilize.stabilizer import Engine

_COLUMNS = 4


def sheet_of(size: tuple[int, int], count: int) -> ContactSheet:
    """With room for so many frames of a (width, height), and nothing on it yet."""
    return ContactSheet(size, _COLUMNS, count)


def put(sheet: ContactSheet, place: int, time: Fraction, frame: Floats) -> None:
    """A frame on its place on the sheet."""
    sheet.place(place, f"{float(time):.2f} s", Picture(frame).to_pil())


def painted_alone(
    clip: Clip, selection: Selection, size: tuple[int, int], engine: Engine, done: int = 0
) -> Iterator[tuple[int, Fraction, Floats]]:
    """The frames of the sheet, each painted by itself.

    Args:
        clip: the source.
        selection: of its frames.
        size: (width, height) that they are worked on at.
        engine: that paints them.
        done: how many are known already, and left out.

    Yields:
        The place on the sheet, the time in seconds, and the frame painted.

    Raises:
        ImpastoError: whatever reading and stylizing raise.
    """
    wanted = sheet_places(selection.count(clip))
    for index, frame in enumerate(selection.of(clip)):
        if index > wanted[-1]:
            break
        if index not in wanted[done:]:
            continue
        pixels = from_levels(sized(frame, size))
        engine.begin(pixels)
        made = engine.finished(engine.painted(pixels, None), pixels)
        yield wanted.index(index), frame.time, made
