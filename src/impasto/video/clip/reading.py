"""Open clips: video files, numbered pictures, encoded streams, and streams of raw pixels."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path
from typing import BinaryIO

import numpy as np

from impasto.errors import ClipError
from impasto.image.files.decode import EXTENSIONS, read_picture
from impasto.image.files.limits import Limits
from impasto.image.picture import to_levels
from impasto.video.clip.animated_webp import AnimatedWebp, is_webp
from impasto.video.clip.container import ContainerClip
from impasto.video.clip.frames import RATE, Clip, Format, Frame, Levels, Notice

NUMBER_PATTERN = re.compile(r"%(0\d+)?d")
"""Where the frame number stands in the name of numbered pictures, as in ``%05d.png``."""


def names_numbered_files(target: Path) -> bool:
    """Tell whether the name of an output stands for numbered pictures.

    A number in the name of a film, such as ``50%d.mp4``, is only a name.
    """
    suffix = target.suffix.lower()
    is_picture = any(suffix in suffixes for suffixes in EXTENSIONS.values())
    return is_picture and NUMBER_PATTERN.search(target.name) is not None


def name_numbered_file(pattern: Path, number: int) -> Path:
    """Return the path of a numbered picture."""
    return pattern.with_name(NUMBER_PATTERN.sub(lambda match: match[0] % number, pattern.name, 1))


def names_numbered_clip(source: str) -> bool:
    """Tell whether a path stands for numbered pictures, and is not that of an existing file."""
    return names_numbered_files(Path(source)) and not os.path.exists(source)  # noqa: PTH110


def open_clip(
    source: str | Path | BinaryIO,
    *,
    raw: Format | None = None,
    rate: Fraction | None = None,
    notice: Notice = lambda _: None,
) -> Clip:
    """Open a clip from a path, a pattern of numbered pictures, or a binary stream.

    Args:
        source: a video, GIF or picture; a pattern such as ``frames/%05d.png``; or a stream.
        raw: format of a stream that holds nothing but rgb24 pixels. None: the stream is encoded.
        rate: frames per second of numbered pictures. None: 25.
        notice: called with a one-line message for everything that is adapted or ignored.

    Raises:
        ClipError: the source cannot be read, has no video, or is of a refused kind.
        LimitError: the frames are too large or too small.
    """
    if isinstance(source, str | Path):
        if raw is not None:
            raise ClipError("raw frames can only be read from standard input", where=source)
        if names_numbered_clip(str(source)):
            return NumberedClip(str(source), rate or RATE, notice)
        if is_webp(Path(source)):
            return AnimatedWebp(Path(source), notice)
        return ContainerClip(Path(source), notice)
    if raw is not None:
        return RawClip(source, raw)
    return ContainerClip(source, notice)


class NumberedClip:
    """Numbered pictures, each of which is a frame: ``frames/%05d.png``."""

    sound = None

    def __init__(self, pattern: str, rate: Fraction, notice: Notice) -> None:
        """List the pictures, and read the first one for the size.

        Raises:
            ClipError: there are no pictures, or a number is missing.
        """
        self._paths = list_numbered_files(pattern)
        first = read_picture(self._paths[0], notice=notice)
        self.format = Format(first.width, first.height, rate, 1 / rate, len(self._paths))

    def read_frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Yield the frames, see :class:`Clip`. All pictures must have the same size."""
        for index in range(ceil(begin * self.format.rate), len(self._paths)):
            yield Frame(index / self.format.rate, partial(self._load, self._paths[index]))

    def _load(self, path: Path) -> Levels:
        picture = read_picture(path)
        if (picture.width, picture.height) != (self.format.width, self.format.height):
            raise ClipError(
                f"is {picture.width}x{picture.height} px, but the first frame is "
                f"{self.format.width}x{self.format.height}; all frames must have the same size",
                where=path,
            )
        return to_levels(picture.pixels, 8)


class RawClip:
    """A stream of nothing but rgb24 pixels."""

    sound = None

    def __init__(self, stream: BinaryIO, form: Format) -> None:
        """Check the size of the frames; reading begins later.

        Raises:
            LimitError: the frames are too large or too small.
        """
        Limits().check_size(form.width, form.height, "raw frames")
        self._stream = stream
        self.format = form

    def read_frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Yield the frames, see :class:`Clip`. An incomplete last frame is a ClipError."""
        height, width = self.format.height, self.format.width
        size, index = height * width * 3, 0
        while data := self._stream.read(size):
            if len(data) < size:
                raise ClipError(
                    f"ends within frame {index}, after {len(data)} of {size} bytes",
                    where="standard input",
                    expected=f"frames of {width}x{height} px",
                )
            pixels = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            if index / self.format.rate >= begin:
                yield Frame(index / self.format.rate, partial(np.copy, pixels))
            index += 1
        if not index:
            raise ClipError("contains no frame", where="standard input")


def list_numbered_files(pattern: str) -> list[Path]:
    """List the files that a pattern with one ``%d`` names, in the order of their numbers.

    Raises:
        ClipError: there are no files, a number is missing, or the pattern is invalid.
    """
    files = find_numbered_files(pattern)
    if not files:
        folder = Path(pattern).parent
        absent = "files" if folder.is_dir() else f"folder {folder}"
        raise ClipError(f"no such {absent}", where=pattern)
    first, last = min(files), max(files)
    if len(files) <= last - first:
        missing = next(n for n in range(first, last) if n not in files)
        raise ClipError(
            "missing from the numbered pictures",
            where=Path(name_numbered_file(Path(pattern), missing)),
        )
    return [files[n] for n in range(first, last + 1)]


def find_numbered_files(pattern: str) -> dict[int, Path]:
    """Find the existing files that a pattern with one ``%d`` names, by number.

    Raises:
        ClipError: the pattern has no number, several, or one outside the file name.
    """
    number = NUMBER_PATTERN.search(pattern)
    if number is None or NUMBER_PATTERN.search(pattern, number.end()):
        raise ClipError(where=pattern, expected="exactly one %d or %05d for the frame number")
    before, after = Path(pattern[: number.start()] + "x"), pattern[number.end() :]
    if "/" in after:
        raise ClipError(
            "the frame number must be in the file name, not in a folder's", where=pattern
        )
    head = before.name[:-1]
    name = re.compile(re.escape(head) + r"(\d+)" + re.escape(after))
    folder = before.parent
    files = folder.iterdir() if folder.is_dir() else ()
    matches = ((name.fullmatch(each.name), each) for each in files)
    numbers = {int(match[1]): path for match, path in matches if match}
    # Of 003.png and 3.png only one belongs to the pattern.
    return {
        n: path
        for n, path in numbers.items()
        if path.name == name_numbered_file(Path(pattern), n).name
    }
