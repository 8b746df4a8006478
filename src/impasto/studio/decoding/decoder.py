"""Decode pictures and clips of clients in processes of their own.

Each process has few rights, limits of memory and time, and one job's folder. If a file kills the
process or takes too long, that file is refused, and nothing else happens.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ClipError, ImageError
from impasto.image.files.headers import read_extents
from impasto.image.files.limits import MIB, Limits
from impasto.image.files.sniff import HEAD, sniff_format
from impasto.image.packed import PackedPixels
from impasto.image.picture import Metadata, Picture
from impasto.studio.decoding.conversation import (
    Conversation,
    choose_launcher,
    is_regular_file,
    name_box,
)
from impasto.studio.decoding.sandbox import Confinement, Restrictions
from impasto.video.clip.frames import MAX_FRAMES, Format, Frame, Levels

SMALL_PIXELS = 8_000_000
LANES = {"small": 8, "large": 2, "clip": 2}
"""Processes that decode at the same time: pictures up to :data:`SMALL_PIXELS`, larger ones, and
clips. A file that takes long delays only those of its own kind."""
BASE_BYTES = 512 * MIB
"""Address space of a process without any picture."""
DECODED_PIXEL_BYTES = 96
"""Bytes per pixel in the worst case: 74 were measured for eight bits with alpha."""
CONVERSION_FACTOR = 6
"""Multiple of the time for decoding that decoding and encoding may take."""
PIXEL_BYTES = 16
"""Bytes of a pixel as four floats, which a process writes at most for each pixel."""
FILM_BYTES = 16 << 30
FASTEST = 1_000_000
"""Frames per second of a clip at most; the slowest clip has as many seconds per frame."""
FILM_SUFFIXES = (".gif", ".webm", ".mp4")
_KINDS = ("uint8", "uint16", "float32")
"""Types in which a process may write a picture."""
_OUTPUT = "output"
"""Name in the box of what a process writes, before a suffix."""


@dataclass(frozen=True)
class FilmOrder:
    """A film to be written.

    Attributes:
        target: file of the film.
        store: folder of the painted frames.
        facts: what the frames depend on, as the folder has it.
        size: (width, height) of the frames.
        end: end of the selected frames, in seconds as a fraction. None: the end of the clip.
        record: text to embed. None: none.
        keep_metadata: whether the clip's metadata is copied into the film.
    """

    target: str
    store: str
    facts: dict[str, Any]
    size: tuple[int, int]
    end: str | None
    record: str | None
    keep_metadata: bool


def examine_sandbox() -> Confinement:
    """Return which restrictions of decoder processes are in force on this machine.

    Raises:
        ResourceError: no process starts.
    """
    decoder = Decoder(Limits(), 4096 * MIB, 10.0)
    try:
        return decoder.examine()
    finally:
        decoder.close()


class Decoder:
    """Asks decoder processes, several at a time."""

    def __init__(self, limits: Limits, memory: int, seconds: float) -> None:
        """Prepare; processes start with the first question.

        Args:
            limits: limits of a picture.
            memory: bytes of address space that a process may use.
            seconds: longest time of a processor for a picture.
        """
        self._limits = limits
        self._memory = memory
        self._seconds = seconds
        self._launcher = choose_launcher()
        self._lanes = {lane: threading.BoundedSemaphore(count) for lane, count in LANES.items()}
        self._clip: Conversation | None = None

    def examine(self) -> Confinement:
        """Start a process, and return which restrictions are in force.

        Raises:
            ResourceError: it does not start.
        """
        with (
            tempfile.TemporaryDirectory(prefix="impasto-") as folder,
            self._converse(Path(folder) / "none") as conversation,
        ):
            return conversation.confinement

    def check(self, path: Path, name: str, view: Path | None = None) -> tuple[int, int]:
        """Decode a picture, and return its upright (width, height).

        Args:
            path: file of the picture.
            name: name in messages.
            view: where to write a picture for browsers. None: none is written.

        Raises:
            ImageError, LimitError: it cannot be read, or exceeds a limit.
        """
        with self._converse(path) as conversation:
            output = None if view is None else str(conversation.box / _OUTPUT)
            answer = conversation.ask("check", path, name, output)
            size = self._read_size(answer, name)
            if view is not None:
                conversation.take(_OUTPUT, view)
        return size

    def check_mask(self, path: Path, name: str, view: Path) -> None:
        """Decode a mask, and write a picture of it for browsers.

        Args:
            path: file of the picture.
            name: name in messages.
            view: where to write the picture.

        Raises:
            ImageError, LimitError, InputError: it cannot be read, or is black all over.
        """
        with self._converse(path) as conversation:
            conversation.ask("check_mask", path, name, str(conversation.box / _OUTPUT))
            conversation.take(_OUTPUT, view)

    def convert(
        self, source: Path, target: Path, name: str, *, depth: int = 8, keep: bool = True
    ) -> None:
        """Write a picture in another format, with its record.

        Args:
            source: file of the picture.
            target: file of the copy; its suffix names the format.
            name: name in messages.
            depth: bits per channel.
            keep: whether the EXIF is copied.

        Raises:
            ImageError, LimitError, ResourceError: it cannot be read or written.
        """
        file = f"{_OUTPUT}{target.suffix}"
        with self._converse(source, CONVERSION_FACTOR * self._seconds) as conversation:
            output = str(conversation.box / file)
            conversation.ask("convert", source, name, output, depth, keep)
            conversation.take(file, target)

    def read_record(self, path: Path) -> str | None:
        """Read the record inside a picture. None: there is none.

        Raises:
            ImageError: not a picture.
        """
        with self._converse(path) as conversation:
            text = conversation.ask("read_record", path, path.name).get("record")
        return None if text is None else str(text)

    def read(self, path: Path, name: str) -> Picture:
        """Read a picture.

        Args:
            path: file of the picture.
            name: name in messages.

        Raises:
            ImageError, LimitError: it cannot be read, or exceeds a limit.
        """
        with self._converse(path) as conversation:
            output = conversation.box / _OUTPUT
            answer = conversation.ask("read", path, name, str(output))
            width, height = self._read_size(answer, name)
            conversation.end_process()
            shape = (height, width, 4 if answer.get("has_alpha") else 3)
            if answer.get("kind") not in _KINDS:
                raise ImageError("damaged", where=name)
            values = _load_array(output, shape, np.dtype(str(answer["kind"])), name)
        alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
        pixels: Any = np.ascontiguousarray(values[..., :3])
        del values  # as large as both
        try:
            if answer["kind"] != "float32":
                hidden = None if answer["hidden"] is None else _read_color(answer["hidden"])
                pixels = PackedPixels(pixels, alpha, hidden)
            exif = None if answer["exif"] is None else bytes.fromhex(answer["exif"])
            rights = tuple((str(key), str(text)) for key, text in answer["rights"])
            metadata = Metadata(exif, str(answer["format"]), int(answer["depth"]), rights)
        except (KeyError, TypeError, ValueError):
            raise ImageError("damaged", where=name) from None
        return Picture(pixels, alpha, metadata)

    def check_clip(self, path: Path, name: str, view: Path) -> dict[str, Any]:
        """Describe a clip whose beginning can be read.

        Args:
            path: file of the picture.
            name: name in messages.
            view: where to write the first frame for browsers.

        Returns:
            The upright ``width`` and ``height``, the number of ``frames``, the ``rate`` as a
            fraction, and the ``suffix`` of its film.

        Raises:
            ClipError, LimitError: it cannot be read, or its frames exceed a limit.
        """
        seconds = CONVERSION_FACTOR * self._seconds
        with self._converse(path, seconds, is_clip=True) as conversation:
            output = str(conversation.box / _OUTPUT)
            answer = conversation.ask("check_clip", path, name, output)
            form, suffix = self._read_format(answer, name), answer.get("suffix")
            if suffix not in FILM_SUFFIXES:  # it becomes part of a file's name
                raise ClipError("damaged", where=name)
            conversation.take(_OUTPUT, view)
        return {
            "width": form.width,
            "height": form.height,
            "frames": form.frames,
            "rate": str(form.rate),
            "suffix": suffix,
        }

    def open_clip(self, path: Path, name: str) -> DecodedClip:
        """Open a clip; only one can be read at a time.

        Args:
            path: file of the picture.
            name: name in messages.

        Raises:
            ClipError, LimitError: as :meth:`check_clip`.
        """
        self.close_clip()
        seconds = CONVERSION_FACTOR * self._seconds
        conversation = self._open(path.parent, seconds, self._memory, is_film=True)
        try:
            form = self._read_format(conversation.ask("open_clip", path, name), name)
        except BaseException:
            conversation.close()
            raise
        self._clip = conversation

        def ask(question: str, *rest: Any) -> dict[str, Any]:
            return conversation.ask(question, path, name, *rest)

        return DecodedClip(form, ask, conversation.box / _OUTPUT, name)

    def close_clip(self) -> None:
        """Close the clip that is being read, if there is one."""
        if self._clip is not None:
            self._clip.close()
        self._clip = None

    def write_film(self, path: Path, name: str, order: FilmOrder, *, seconds: float) -> None:
        """Write the film of a clip; a process does it because it reads the clip's sound.

        Args:
            path: file of the clip.
            name: name in messages.
            order: what to write.
            seconds: longest time for the film.

        Raises:
            ClipError, ResourceError: the clip is damaged, or the film cannot be written.
        """
        target = Path(order.target)
        file = f"{_OUTPUT}{target.suffix}"
        conversation = self._open(path.parent, seconds, self._memory, is_film=True)
        try:
            fields = asdict(order) | {"target": str(conversation.box / file)}
            conversation.ask("write_film", path, name, fields)
            conversation.take(file, target)
        finally:
            conversation.close()

    def close(self) -> None:
        """End the processes."""
        self.close_clip()
        self._launcher.close()

    @contextlib.contextmanager
    def _converse(
        self, path: Path, seconds: float | None = None, *, is_clip: bool = False
    ) -> Iterator[Conversation]:
        """Wait for a place, and start a process for a file and its folder.

        Args:
            path: the file.
            seconds: longest time for an answer. None: that for a picture.
            is_clip: whether it is no picture.
        """
        pixels = None if is_clip else _read_pixels(path)
        memory, lane = self._memory, "clip" if is_clip else "large"
        if pixels is not None:
            memory = BASE_BYTES + path.stat().st_size + DECODED_PIXEL_BYTES * pixels
            lane = "small" if pixels <= SMALL_PIXELS else "large"
        with self._lanes[lane]:
            conversation = self._open(path.parent, seconds or self._seconds, memory)
            try:
                yield conversation
            finally:
                conversation.close()

    def _open(
        self, folder: Path, seconds: float, memory: int, *, is_film: bool = False
    ) -> Conversation:
        """Start a process.

        Args:
            folder: folder of the files.
            seconds: longest time for an answer.
            memory: bytes of address space.
            is_film: whether there is no limit to the time of all answers together.
        """
        folder = folder.resolve()
        restrictions = Restrictions(
            folder=str(folder),
            box=str(name_box(folder)),
            memory=min(memory, self._memory),
            seconds=None if is_film else max(1, round(seconds)),
            file_bytes=FILM_BYTES if is_film else 64 * MIB + PIXEL_BYTES * self._limits.max_pixels,
        )
        return Conversation(self._launcher, self._limits, restrictions, seconds=seconds)

    def _read_size(self, answer: dict[str, Any], name: str) -> tuple[int, int]:
        """Return the size in an answer, which may be a lie of a process that was taken over."""
        width, height = answer.get("width"), answer.get("height")
        if not (isinstance(width, int) and isinstance(height, int)):
            raise ImageError("damaged", where=name)
        self._limits.check_size(width, height, name)
        return width, height

    def _read_format(self, answer: dict[str, Any], name: str) -> Format:
        width, height = self._read_size(answer, name)
        try:
            rate, base = Fraction(str(answer["rate"])), Fraction(str(answer.get("time_base", 1)))
            frames = int(answer["frames"])
        except (KeyError, TypeError, ValueError, ArithmeticError):
            raise ClipError("damaged", where=name) from None
        is_credible = 1 / FASTEST <= rate <= FASTEST and base > 0 and 1 <= frames <= MAX_FRAMES
        if not is_credible:
            raise ClipError("damaged", where=name)
        return Format(width, height, rate, base, frames)


class DecodedClip:
    """A clip whose frames come from a decoder process.

    See :class:`impasto.video.clip.frames.Clip`.
    """

    sound = None
    """The process that writes the film copies the sound by itself."""

    def __init__(
        self, form: Format, ask: Callable[..., dict[str, Any]], output: Path, name: str
    ) -> None:
        """Prepare to read.

        Args:
            form: format of the clip.
            ask: asks the process about this clip.
            output: the file that passes the pixels of a frame.
            name: name of the clip in messages.
        """
        self.format = form
        self._ask = ask
        self._output = output
        self._name = name

    def read_frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See :class:`impasto.video.clip.frames.Clip`."""
        self._ask("begin_clip", str(begin))
        while (time := self._ask("next_frame").get("time")) is not None:
            try:
                when = Fraction(str(time))
            except (ValueError, ArithmeticError):
                raise ClipError("damaged", where=self._name) from None
            yield Frame(when, self._load)

    def _load(self) -> Levels:
        self._ask("load_frame", str(self._output))
        shape = (self.format.height, self.format.width, 3)
        return _load_array(self._output, shape, np.dtype(np.uint8), self._name)


def _read_color(numbers: Any) -> NDArray[np.float32]:
    """Return the color that a process has sent.

    Raises:
        TypeError, ValueError: it is none.
    """
    red, green, blue = map(float, numbers)
    color = np.array([red, green, blue], np.float32)
    if not ((color >= 0) & (color <= 1)).all():
        raise ValueError
    return color


def _load_array(
    path: Path, shape: tuple[int, int, int], kind: np.dtype[Any], name: str
) -> NDArray[Any]:
    """Read the values that a process has written, and remove the file.

    Raises:
        ImageError: they are not as many as they should be.
    """
    count = shape[0] * shape[1] * shape[2]
    if not is_regular_file(path) or path.stat().st_size != count * kind.itemsize:
        raise ImageError("damaged; the decoder wrote something else", where=name)
    values = np.fromfile(path, dtype=kind, count=count)
    path.unlink()
    if values.size != count:
        raise ImageError("damaged; the decoder wrote something else", where=name)
    return values.reshape(shape)


def _read_pixels(path: Path) -> int | None:
    """Read the number of pixels from the header of a picture. None: it says nothing credible."""
    try:
        with path.open("rb") as file:
            kind = sniff_format(file.read(HEAD), path.name)
            with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                extents = read_extents(data, kind)
    except (ImageError, OSError, ValueError):
        return None
    pixels = max((extent.byte_count // 4 for extent in extents), default=0)
    pixels = max([pixels, *(extent.width * extent.height for extent in extents)])
    return pixels or None
