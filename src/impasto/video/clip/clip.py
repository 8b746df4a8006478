"""A clip: frames with their times, one after another, from files, numbered pictures or a pipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ClipError
from impasto.image.files.decode import read_picture
from impasto.image.files.limits import Limits
from impasto.image.picture import Floats, to_levels

Levels = NDArray[np.uint8]
Notice = Callable[[str], None]

RATE = Fraction(25)
"""Frames a second of numbered pictures that nobody said more about."""
NUMBERED = re.compile(r"%(0\d+)?d")


@dataclass(frozen=True)
class Colors:
    """What a file says of its colors, as the numbers of ISO 23091-2 (H.273); 2 and 0: nothing.

    Attributes:
        primaries, transfer, matrix: as there.
        range: 1 limited, 2 full.
    """

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    range: int = 0


@dataclass(frozen=True)
class Format:
    """Of all frames of a clip.

    Attributes:
        width, height: in pixels, upright.
        rate: frames a second, on average.
        time_base: that times are multiples of.
        frames: how many there are, if that is known before they are counted.
        colors: of the file.
        pixel_aspect: width of a pixel over its height.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    frames: int | None = None
    colors: Colors = field(default_factory=Colors)
    pixel_aspect: Fraction = Fraction(1)


@dataclass(frozen=True)
class Frame:
    """One of a clip.

    Attributes:
        time: seconds from the beginning of the file.
        load: decodes it, [H, W, 3] uint8 sRGB; may be called once, before the next frame is taken.
    """

    time: Fraction
    load: Callable[[], Levels]


class Clip(Protocol):
    """Where frames come from."""

    @property
    def format(self) -> Format:
        """Of all frames."""

    @property
    def sound(self) -> Path | None:
        """A file with sound to be kept; none: there is none."""

    def frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """All of them in order; may be called again unless the clip is a pipe.

        Args:
            begin: in seconds; frames before that may be left out.

        Raises:
            ClipError: there is none.
        """


def open_clip(
    source: str | Path | BinaryIO,
    *,
    raw: Format | None = None,
    rate: Fraction | None = None,
    kind: str | None = None,
    limits: Limits | None = None,
    name: str | None = None,
    notice: Notice = lambda _: None,
) -> Clip:
    """A clip from wherever it is.

    Args:
        source: a video, GIF or picture; ``frames/%05d.png``; or a binary stream.
        raw: of the frames of a stream that is nothing but rgb24 pixels.
        rate: of numbered pictures.
        kind: FFmpeg's name of what a file is, and nothing else is tried; none: whatever it tells.
        limits: of a frame; none: those of pictures.
        name: in messages; none: the file's own.
        notice: called with one line for each thing that was adapted or ignored.

    Raises:
        ClipError: it cannot be read, has no moving picture, or is of a kind that is refused.
        LimitError: its frames are too large, or too small.
    """
    from impasto.video.clip.container import Container

    if isinstance(source, str | Path):
        if raw is not None:
            raise ClipError(f"{source}: raw frames are read from standard input only")
        if NUMBERED.search(str(source)):
            return Numbered(str(source), rate or RATE, notice)
        return Container(Path(source), notice, kind=kind, limits=limits, name=name)
    if raw is not None:
        return Raw(source, raw)
    return Container(source, notice, kind=kind, limits=limits, name=name)


class Numbered:
    """Pictures whose names count, each a frame: ``frames/%05d.png``."""

    sound = None

    def __init__(self, pattern: str, rate: Fraction, notice: Notice) -> None:
        """Find them; one number may be missing nowhere.

        Raises:
            ClipError: there is none, or there is a gap.
        """
        self._paths = numbered_files(pattern)
        self._notice = notice
        first = read_picture(self._paths[0], notice=notice)
        self.format = Format(first.width, first.height, rate, 1 / rate, len(self._paths))

    def frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See :class:`Clip`; a picture of another size is a ClipError."""
        for index in range(ceil(begin * self.format.rate), len(self._paths)):
            yield Frame(index / self.format.rate, partial(self._load, self._paths[index]))

    def _load(self, path: Path) -> Levels:
        picture = read_picture(path)
        if (picture.width, picture.height) != (self.format.width, self.format.height):
            raise ClipError(
                f"{path}: is {picture.width}x{picture.height} px, the first frame "
                f"{self.format.width}x{self.format.height}: all must be of one size"
            )
        return to_levels(picture.pixels, 8)


class Raw:
    """A pipe of nothing but pixels, rgb24."""

    sound = None

    def __init__(self, stream: BinaryIO, form: Format) -> None:
        """Nothing is read yet.

        Raises:
            LimitError: frames of that size are too large, or too small.
        """
        Limits().check_size(form.width, form.height, "raw frames")
        self._stream = stream
        self.format = form

    def frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See :class:`Clip`; a last frame that is not whole is a ClipError."""
        height, width = self.format.height, self.format.width
        size, index = height * width * 3, 0
        while data := self._stream.read(size):
            if len(data) < size:
                raise ClipError(
                    f"standard input: ends within frame {index}: {len(data)} of the {size} bytes "
                    f"that {width}x{height} px take; is that the size?"
                )
            pixels = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            if index / self.format.rate >= begin:
                yield Frame(index / self.format.rate, partial(np.copy, pixels))
            index += 1
        if not index:
            raise ClipError("standard input: no frame came")


def from_levels(levels: Levels) -> Floats:
    """[H, W, 3] float32 in [0, 1] of 8-bit levels."""
    return np.asarray(levels.astype(np.float32) / 255, np.float32)


def numbered_files(pattern: str) -> list[Path]:
    """The files that a pattern with one ``%d`` names, in order.

    Raises:
        ClipError: there is none, a number is missing, or the pattern has two.
    """
    named = numbers_there(pattern)
    if not named:
        raise ClipError(f"{pattern}: no such files")
    first, last = min(named), max(named)
    if len(named) <= last - first:
        missing = next(n for n in range(first, last) if n not in named)
        raise ClipError(f"{Path(pattern % missing)}: is missing between the others")
    return [named[n] for n in range(first, last + 1)]


def numbers_there(pattern: str) -> dict[int, Path]:
    """The files that a pattern with one ``%d`` names, by their numbers, in any order.

    Raises:
        ClipError: the pattern has two.
    """
    found = NUMBERED.search(pattern)
    if found is None or NUMBERED.search(pattern, found.end()):
        raise ClipError(f"{pattern}: one %d or %05d is to stand for the frame's number")
    before, after = Path(pattern[: found.start()] + "x"), pattern[found.end() :]
    if "/" in after:
        raise ClipError(f"{pattern}: the number is to be in the file's name")
    head = before.name[:-1]
    name = re.compile(re.escape(head) + r"(\d+)" + re.escape(after))
    folder = before.parent
    there = folder.iterdir() if folder.is_dir() else ()
    matches = ((name.fullmatch(each.name), each) for each in there)
    numbers = {int(match[1]): path for match, path in matches if match}
    return {n: path for n, path in numbers.items() if str(path) == str(Path(pattern % n))}
