"""Preview a film: a contact sheet of frames, each of them painted independently."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from impasto.image.picture import Floats, Picture
from impasto.record.contact_sheet import ContactSheet
from impasto.video.clip.frames import levels_to_floats
from impasto.video.clip.selection import FrameSource, choose_sheet_places
from impasto.video.stabilize.stabilizer import FrameEngine

_COLUMNS = 4


def make_sheet(size: tuple[int, int], count: int) -> ContactSheet:
    """Make an empty contact sheet for a number of frames of a (width, height)."""
    return ContactSheet(size, _COLUMNS, count)


def place_on_sheet(sheet: ContactSheet, place: int, time: Fraction, frame: Floats) -> None:
    """Put a frame on its place on the sheet, labeled with its time in seconds."""
    sheet.place(place, f"{float(time):.2f} s", Picture(frame).to_pil())


def paint_sheet_frames(
    source: FrameSource, engine: FrameEngine, skip: int = 0
) -> Iterator[tuple[int, Fraction, Floats]]:
    """Paint the frames of the sheet independently of each other.

    Args:
        source: the frames of the clip.
        engine: paints the frames.
        skip: number of places whose frames have already been painted.

    Yields:
        The place on the sheet, the time in seconds, and the painted frame.

    Raises:
        ImpastoError: reading or painting failed.
    """
    places = choose_sheet_places(source.count_frames())
    for index, frame in enumerate(source.read_frames()):
        if index > places[-1]:
            break
        if index not in places[skip:]:
            continue
        pixels = levels_to_floats(source.load_pixels(frame))
        engine.begin_shot(pixels)
        yield places.index(index), frame.time, engine.finish(engine.paint(pixels, None), pixels)
