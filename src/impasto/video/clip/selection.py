"""Select frames of a clip by time and number, and read them at the size of the film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np

from impasto.errors import ClipError
from impasto.image.picture import Picture, to_levels
from impasto.image.rows import resize_rows
from impasto.video.clip.frames import Clip, Frame, Levels, levels_to_floats

PREVIEW_S = 5
"""Length of a preview in seconds."""
SHEET_CELLS = 8
"""Number of frames on the contact sheet of a preview."""


@dataclass(frozen=True)
class Selection:
    """A rule that selects frames of a clip.

    Attributes:
        begin, end: times in seconds; the end itself is excluded. None: the end of the clip.
        every: select every n-th frame.
    """

    begin: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1

    def select_frames(self, clip: Clip) -> Iterator[Frame]:
        """Yield the selected frames.

        Raises:
            ClipError: no frame is selected.
        """
        count = 0
        for frame in clip.read_frames(self.begin):
            if self.end is not None and frame.time >= self.end:
                break
            if frame.time >= self.begin:
                if count % self.every == 0:
                    yield frame
                count += 1
        if not count:
            raise ClipError(f"has no frame at {float(self.begin):g} s or later", what="the clip")

    def count_frames(self, clip: Clip) -> int | None:
        """Estimate the number of selected frames. None: the length of the clip is unknown."""
        form = clip.format
        if form.frames is None:
            return None
        last = form.frames / form.rate
        end = last if self.end is None else min(self.end, last)
        count = ceil(end * form.rate) - ceil(self.begin * form.rate)  # frame n is at n / rate
        return max(1, ceil(Fraction(count, self.every)))


@dataclass(frozen=True)
class FrameSource:
    """The selected frames of a clip, at the size at which they are painted.

    Attributes:
        clip: the clip.
        selection: which of its frames are used.
        size: (width, height) in pixels of the film.
    """

    clip: Clip
    selection: Selection
    size: tuple[int, int]

    def read_frames(self) -> Iterator[Frame]:
        """Yield the selected frames; see :meth:`load_pixels` for their pixels.

        Raises:
            ClipError: no frame is selected, or the clip cannot be read.
        """
        return self.selection.select_frames(self.clip)

    def count_frames(self) -> int | None:
        """Estimate the number of selected frames. None: the length of the clip is unknown."""
        return self.selection.count_frames(self.clip)

    def load_pixels(self, frame: Frame) -> Levels:
        """Decode a frame at the size of the film, to [H, W, 3] uint8 sRGB."""
        return resize_frame(frame, self.size)


def select_preview(selection: Selection) -> Selection:
    """Shorten a selection to its first :data:`PREVIEW_S` seconds."""
    end = selection.begin + PREVIEW_S
    return replace(selection, end=end if selection.end is None else min(selection.end, end))


def choose_sheet_places(total: int | None) -> list[int]:
    """Choose the frames of a contact sheet, evenly spaced and without repetition.

    Args:
        total: number of frames of the clip. None: unknown; the first frames are chosen.

    Returns:
        Indices of at most :data:`SHEET_CELLS` frames, ascending.
    """
    total = total or SHEET_CELLS
    cells = range(SHEET_CELLS)
    return sorted({round((cell + 0.5) * total / SHEET_CELLS - 0.5) for cell in cells})


def _is_nearly(pixels: Levels, size: tuple[int, int]) -> bool:
    height, width = pixels.shape[:2]
    return bool(0 <= width - size[0] <= 1 and 0 <= height - size[1] <= 1)


def resize_alpha(alpha: Levels, size: tuple[int, int]) -> Levels:
    """Resize transparency, [H, W] uint8, to the given (width, height) as its frame is."""
    if _is_nearly(alpha, size):
        return np.ascontiguousarray(alpha[: size[1], : size[0]])
    width, height = size
    values = np.asarray(alpha / np.float32(255), np.float32)
    return to_levels(resize_rows(values, width, height, slice(0, height), "lanczos"), 8)


def resize_frame(frame: Frame, size: tuple[int, int]) -> Levels:
    """Decode a frame at the given (width, height), to [H, W, 3] uint8 sRGB.

    A frame that is one pixel too wide or too high is cropped instead of resampled.
    """
    pixels = frame.load()
    if _is_nearly(pixels, size):
        return np.ascontiguousarray(pixels[: size[1], : size[0]])
    return to_levels(Picture(levels_to_floats(pixels)).resize(*size).pixels, 8)
