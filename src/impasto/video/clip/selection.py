"""Some frames of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from impasto.errors import ClipError
from impasto.video.clip.clip import Clip, Frame

PREVIEW_S = 5
CELLS = 8
"""Frames on the contact sheet of a preview."""


@dataclass(frozen=True)
class Selection:
    """Which frames of a clip.

    Attributes:
        begin, end: in seconds; an end of none is the clip's.
        every: of how many one is taken.
    """

    begin: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1

    def of(self, clip: Clip) -> Iterator[Frame]:
        """The frames.

        Raises:
            ClipError: there is none.
        """
        count = 0
        for frame in clip.frames(self.begin):
            if self.end is not None and frame.time >= self.end:
                break
            if frame.time >= self.begin:
                if count % self.every == 0:
                    yield frame
                count += 1
        if not count:
            raise ClipError(f"no frame at {float(self.begin):g} s or later: the clip is shorter")

    def count(self, clip: Clip) -> int | None:
        """How many there will be, about; none: nobody knows."""
        form = clip.format
        if form.frames is None:
            return None
        last = form.frames / form.rate
        end = last if self.end is None else min(self.end, last)
        taken = ceil(end * form.rate) - ceil(self.begin * form.rate)  # one is at every n / rate
        return max(1, ceil(Fraction(taken, self.every)))


def beginning(selection: Selection) -> Selection:
    """The first seconds of what is selected."""
    short = selection.begin + PREVIEW_S
    return replace(selection, end=short if selection.end is None else min(selection.end, short))


def sheet_places(total: int | None) -> list[int]:
    """Which of so many frames are on the sheet: evenly over them, and each once."""
    total = total or CELLS
    return sorted({round((place + 0.5) * total / CELLS - 0.5) for place in range(CELLS)})
