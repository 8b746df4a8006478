"""Define frames and what all frames of a clip have in common, for readers and writers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from impasto.image.picture import Floats

Levels = NDArray[np.uint8]
Notice = Callable[[str], None]

RATE = Fraction(25)
"""Frames per second, where neither the user nor the file states a rate."""

MAX_FRAMES = 10**9
"""Frames that a file of a stranger is believed to have at most: a year of 30 frames a second."""

BT709, BT601, FULL_RANGE = 1, 5, 2
"""Code points of ISO 23091-2: two matrices, and the range that uses all 256 levels."""
SMPTE170M = 6
"""Another code point for the coefficients of BT.601."""
OTHER_MATRICES = (4, 7, 9)
"""Matrices that FFmpeg converts as they are: FCC, SMPTE 240M and BT.2020."""
HD_LINES = 720
"""Untagged clips with at least this many lines are played as BT.709, smaller ones as BT.601."""


@dataclass(frozen=True)
class ColorTags:
    """The color description stored in a file, as code points of ISO 23091-2 (H.273).

    The default values mean "unspecified".

    Attributes:
        primaries, transfer, matrix: code points of that standard.
        range: 1 for limited range, 2 for full range.
    """

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    range: int = 0


SDR_TAGS = ColorTags(primaries=1, transfer=1, matrix=1, range=1)
"""Of films whose HDR has been tone-mapped: BT.709."""


@dataclass(frozen=True)
class Format:
    """Properties that all frames of a clip share.

    Attributes:
        width, height: size in pixels, after any rotation stored in the file.
        rate: average number of frames per second.
        time_base: unit in seconds; frame times are multiples of it.
        frames: number of frames. None: unknown until they have been read.
        colors: color description of the file.
        pixel_aspect: width of a pixel divided by its height.
        loops: how often an animated picture is repeated after the first time; 0: without end, -1:
            never. None: the clip is no animated picture.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    frames: int | None = None
    colors: ColorTags = field(default_factory=ColorTags)
    pixel_aspect: Fraction = Fraction(1)
    loops: int | None = None


@dataclass(frozen=True)
class Frame:
    """One frame of a clip.

    Attributes:
        time: seconds since the beginning of the file.
        load: decodes the frame to [H, W, 3] uint8 sRGB. Call it at most once, and before reading
            the next frame.
        load_alpha: decodes its transparency to [H, W] uint8, under the same conditions. None: the
            clip has none.
    """

    time: Fraction
    load: Callable[[], Levels]
    load_alpha: Callable[[], Levels] | None = None


class Clip(Protocol):
    """A source of frames."""

    @property
    def format(self) -> Format:
        """The properties of all frames."""

    @property
    def sound(self) -> Path | None:
        """The file that holds the clip's sound. None: the clip is silent."""

    def read_frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Yield the frames in order. Only a stream cannot be read a second time.

        Args:
            begin: time in seconds. Frames before it may be omitted.

        Raises:
            ClipError: the clip has no frames, or a frame cannot be used.
        """


def levels_to_floats(levels: Levels) -> Floats:
    """Convert 8-bit levels to float32 in [0, 1], keeping the shape [H, W, 3]."""
    return np.asarray(levels.astype(np.float32) / 255, np.float32)


def choose_matrix(form: Format) -> int:
    """Return the code point of the matrix between RGB and YCbCr.

    This is the matrix that the clip states, or else the one that players assume for its size.
    """
    matrix = form.colors.matrix
    if matrix in (BT601, SMPTE170M):
        return BT601
    if matrix in (BT709, *OTHER_MATRICES):
        return matrix
    return BT709 if min(form.width, form.height) >= HD_LINES else BT601
