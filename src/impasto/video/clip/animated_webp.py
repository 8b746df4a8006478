"""Read animated WebP, which FFmpeg's libraries do not decode, with Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.errors import ClipError
from impasto.image.files.limits import Limits
from impasto.video.clip.frames import RATE, Format, Frame, Levels, Notice
from impasto.video.clip.streams.loops import read_loops

_SHORTEST_S = Fraction(1, 100)
"""Browsers show frames with a shorter duration for :data:`_INSTEAD_S`."""
_INSTEAD_S = Fraction(1, 10)


class AnimatedWebp:
    """An animated WebP; see :class:`impasto.video.clip.frames.Clip`."""

    sound = None

    def __init__(self, path: Path, notice: Notice) -> None:
        """Read the header.

        Raises:
            ClipError: the file is damaged.
            LimitError: the frames are too large or too small.
        """
        self._path = path
        self._notice = notice
        self.metadata: dict[str, str] = {}
        with self._open() as image:
            Limits().check_size(*image.size, str(path))
            self.has_alpha = image.mode == "RGBA"
            frames = getattr(image, "n_frames", 1)
            width, height = image.size
        times = self._read_times()
        self._end = times[-1] if times else Fraction(0)
        rate = len(times[:-1]) / self._end if self._end else RATE
        self.format = Format(
            width=width,
            height=height,
            rate=rate.limit_denominator(1001),
            time_base=Fraction(1, 1000),
            frames=frames,
            loops=read_loops(path),
        )

    def _open(self) -> Image.Image:
        try:
            return Image.open(self._path, formats=["WEBP"])
        except (OSError, SyntaxError, ValueError) as error:
            raise ClipError(f"not a readable clip ({error})", where=self._path) from None

    def _read_times(self) -> list[Fraction]:
        """Read when each frame begins, and when the last one ends, in seconds."""
        times, end = list[Fraction](), Fraction(0)
        with self._open() as image:
            for index in range(getattr(image, "n_frames", 1)):
                times.append(end)
                try:
                    image.seek(index)
                    image.load()
                except (OSError, EOFError, SyntaxError, ValueError):
                    break
                duration = Fraction(int(image.info.get("duration") or 0), 1000)
                end += duration if duration > _SHORTEST_S else _INSTEAD_S
        return [*times, end]

    def read_frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Yield the frames, see :class:`impasto.video.clip.frames.Clip`."""
        times = self._read_times()
        with self._open() as image:
            for index, time in enumerate(times[:-1]):
                try:
                    image.seek(index)
                    rgba = np.asarray(image.convert("RGBA"))
                except (OSError, EOFError, SyntaxError, ValueError) as error:
                    self._notice(f"{self._path}: damaged after {float(time):.2f} s ({error})")
                    return
                if time >= begin:
                    alpha = partial(self._take, rgba, slice(3, 4)) if self.has_alpha else None
                    yield Frame(time, partial(self._take, rgba, slice(0, 3)), alpha)

    def find_end(self) -> Fraction | None:
        """Find when the last frame ends, in seconds."""
        return self._end or None

    @staticmethod
    def _take(rgba: Levels, channels: slice) -> Levels:
        part = np.ascontiguousarray(rgba[..., channels])
        return part[..., 0] if part.shape[2] == 1 else part


def is_webp(path: Path) -> bool:
    """Tell whether a file is a WebP; a still one is a clip of one frame."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head.startswith(b"RIFF") and head[8:] == b"WEBP"
