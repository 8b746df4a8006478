"""Clips in files, as FFmpeg's libraries read them through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from math import floor
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

from impasto.errors import ClipError, LimitError
from impasto.image.files.limits import Limits
from impasto.video.clip.clip import RATE, Colors, Format, Frame, Levels, Notice

HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions by number, whose brightness has no meaning for a painting's colors."""
HIGH = 720
"""Lines from which on players take colors for BT.709's if nothing is said."""
BT709, BT601, UNKNOWN, FULL = 1, 5, 2, 2
OF_FILE = ("encoder", "major_brand", "minor_version", "compatible_brands")
"""What a file says of its own making, and not of what it shows."""
SELF_CONTAINED = (
    *("av1", "dnxhd", "ffv1", "h264", "hevc", "mjpeg"),
    *("mpeg1video", "mpeg2video", "mpeg4", "prores", "vp8", "vp9"),
)
"""Codecs whose keyframes need nothing before them; of a GIF every frame is called one."""
BACK_S = (0, Fraction(1, 2), 2, 10, 60)
"""Seconds before a time at which a keyframe is looked for: files are entered by when frames are
decoded, and some by guess."""
REFUSED = ("ansi", "xbin", "idf")
"""Decoders that make a film of any text."""


class Container:
    """A file, or a stream that begins at its beginning; see
    :class:`impasto.video.clip.clip.Clip`.
    """

    def __init__(
        self,
        source: Path | BinaryIO,
        notice: Notice,
        *,
        kind: str | None = None,
        limits: Limits | None = None,
        name: str | None = None,
    ) -> None:
        """Read the header and the first frame; ``kind``, ``limits`` and ``name`` as of
        :func:`impasto.video.clip.clip.open_clip`.

        Raises:
            ClipError: as :func:`impasto.video.clip.clip.open_clip`.
            LimitError: likewise.
        """
        self._source = source
        self._name = name or (str(source) if isinstance(source, Path) else "standard input")
        held: list[str] = []
        self._notice: Notice = held.append  # of a file without a frame the reason is enough
        self._kind = kind
        self._opened = self._open()
        stream = self._stream(self._opened)
        context, limits = stream.codec_context, limits or Limits()
        if context.width and context.height:
            limits.check_size(context.width, context.height, self._name)
        self._codec = context.name
        self._decoded = self._decode(self._opened.demux(stream))
        try:
            self._first: Any = next(self._decoded, None)
        except Exception:
            self._opened.close()
            raise
        if self._first is None:
            raise ClipError(f"{self._name}: holds no frame that can be decoded{self._why()}")
        limits.check_size(self._first.width, self._first.height, self._name)
        self._notice = notice
        for line in held:
            notice(line)
        self._turns = round(self._first.rotation / 90) % 4
        self.format = self._format(stream)
        self.sound = None
        if isinstance(source, Path) and self._opened.streams.audio:
            self.sound = source

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself, such as its title and where it was taken."""
        said: dict[str, str] = self._opened.metadata
        return {key: value for key, value in said.items() if key not in OF_FILE}

    def frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """See :class:`Clip`; of a file, what is before the last keyframe is not decoded."""
        index, last = 0, Fraction(-1)
        decoded = self._decoded_from(begin)
        with self._opened:
            for frame in decoded:
                time = self._time(frame, index)
                if time > last:  # of two frames at one time only one can be shown
                    yield Frame(time, partial(self._load, frame))
                    index, last = index + 1, time
        self._tell_if_short(float(last))

    def _decoded_from(self, begin: Fraction) -> Iterator[Any]:
        """All frames that are seen from a time on, and perhaps some before it."""
        seekable = isinstance(self._source, Path) and self._codec in SELF_CONTAINED
        for back in BACK_S:
            if seekable and begin > back:
                found = self._entered(begin - back, begin)
                if found is not None:
                    return found
        if self._first is None:
            if not isinstance(self._source, Path):
                raise ClipError(f"{self._name}: a stream can be read once only")
            self._decoded = self._decode(self._reopened())
            self._first = next(self._decoded)
        first, self._first = self._first, None
        return chain([first], self._decoded)

    def _entered(self, target: Fraction, begin: Fraction) -> Iterator[Any] | None:
        """Frames from the keyframe before ``target`` on; none: none is found that is not after
        ``begin``, or it does not stand for itself.
        """
        packets = self._reopened()
        try:
            # In seconds of the whole file: of the stream alone it fails where that has no index.
            self._opened.seek(floor((target + start_of(self._opened)) * av.time_base))
            key = next((packet for packet in packets if packet.is_keyframe), None)
        except (av.error.FFmpegError, OSError):
            return None
        if key is None or key.pts is None or self._time(key, 0) > begin:
            return None
        decoded = self._decode(chain([key], packets))
        # What follows a keyframe but is seen before it needs what is not decoded.
        later = (each for each in decoded if each.pts is None or each.pts >= key.pts)
        first = next(later, None)
        return chain([first], later) if first is not None and first.pts == key.pts else None

    def _open(self) -> Any:
        source = self._source
        if isinstance(source, Path):
            if source.is_dir():
                raise ClipError(f"{source}: is a folder; {source}/%05d.png would name its pictures")
            if not source.is_file():
                what = "is not a regular file" if source.exists() else "no such file"
                raise ClipError(f"{source}: {what}")
        try:
            file = str(source.absolute()) if isinstance(source, Path) else source
            return av.open(file, format=self._kind)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ClipError(f"{self._name}: not a clip that can be read ({reason})") from None

    def _reopened(self) -> Iterator[Any]:
        """Packets of the file from its beginning."""
        self._opened.close()
        self._opened, self._first = self._open(), None
        packets: Iterator[Any] = self._opened.demux(self._stream(self._opened))
        return packets

    def _stream(self, container: Any) -> Any:
        if not container.streams.video:
            what = "only sound" if container.streams.audio else "nothing that can be seen"
            raise ClipError(f"{self._name}: has no moving picture, {what}")
        stream = container.streams.video[0]
        # An album's cover is a stream of one picture.
        covers = [s for s in container.streams.video if s.disposition & s.disposition.attached_pic]
        if stream in covers:
            raise ClipError(f"{self._name}: has no moving picture, only sound and a cover")
        if stream.codec_context is None or stream.codec_context.name in REFUSED:
            raise ClipError(f"{self._name}: not a clip that can be read")
        stream.thread_type = "AUTO"
        return stream

    def _decode(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Every frame that can be decoded; what cannot is told once."""
        told, before, last = False, 0, None
        while True:
            try:
                packet = next(packets, None)
                decoded = [] if packet is None else list(packet.decode())
            except (av.error.FFmpegError, OSError) as error:
                if isinstance(error, av.error.EOFError):
                    return
                if not told:
                    told = True
                    reason = getattr(error, "strerror", None) or str(error)
                    after = float(self._time(last, before)) if last else 0
                    self._notice(
                        f"{self._name}: damaged after {after:.2f} s ({reason}); "
                        "what can be decoded is kept"
                    )
                if not isinstance(error, av.error.InvalidDataError):
                    return
                continue
            yield from decoded
            before, last = before + len(decoded), decoded[-1] if decoded else last
            if packet is None:
                return

    def _why(self) -> str:
        """What may be wrong with a file that has no frame."""
        if isinstance(self._source, Path) or "mp4" not in self._opened.format.name:
            return ""
        return "; an MP4 whose index is at its end cannot come through a pipe: name the file"

    def _format(self, stream: Any) -> Format:
        frame = self._first
        colors = Colors(
            int(frame.color_primaries),
            int(frame.color_trc),
            int(frame.colorspace),
            int(frame.color_range),
        )
        self._refuse(frame, colors)
        rate = stream.average_rate or stream.guessed_rate or RATE
        width, height = frame.width, frame.height
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        if self._turns % 2:
            width, height, aspect = height, width, 1 / aspect if aspect else aspect
        self._lasts, self._exactly = _duration(self._opened, stream)
        frames = stream.frames or (round(self._lasts * rate) if self._lasts else None)
        time_base = stream.time_base or 1 / rate
        return Format(
            width, height, Fraction(rate), time_base, frames, colors, aspect or Fraction(1)
        )

    def _tell_if_short(self, last: float) -> None:
        """Say so where frames end well before the file claims to."""
        missing = float(self._lasts) - last - 1 / float(self.format.rate)
        claimed = float(self._lasts)
        tolerance = 2 / float(self.format.rate) if self._exactly else max(0.5, claimed / 10)
        if missing > tolerance:
            self._notice(
                f"{self._name}: ends early, {last:.2f} of {float(self._lasts):.2f} s can be decoded"
            )

    def _refuse(self, frame: Any, colors: Colors) -> None:
        if colors.transfer in HDR:
            raise ClipError(
                f"{self._name}: is HDR ({HDR[colors.transfer]}); bring it to BT.709 first, for "
                "instance with FFmpeg's filters zscale and tonemap"
            )
        depth = max((each.bits for each in frame.format.components), default=8)
        if depth > 8:
            self._notice(f"{self._name}: its {depth} bits a channel are read as 8")

    def _time(self, frame: Any, index: int) -> Fraction:
        if frame.pts is None or frame.time_base is None:
            return Fraction(index) / self.format.rate
        return Fraction(frame.pts) * Fraction(frame.time_base) - start_of(self._opened)

    def _load(self, frame: Any) -> Levels:
        matrix = matrix_of(self.format)
        full = "JPEG" if int(frame.color_range) == FULL else "MPEG"
        if frame.format.is_rgb or frame.format.name.startswith(("gray", "pal", "yuvj")):
            made = frame.reformat(format="rgb24")
        else:
            made = frame.reformat(format="rgb24", src_colorspace=matrix, src_color_range=full)
        pixels = np.rot90(made.to_ndarray(), self._turns)
        height, width = pixels.shape[:2]
        if (width, height) != (self.format.width, self.format.height):
            raise LimitError(
                f"{self._name}: the size changes from {self.format.width}x{self.format.height} to "
                f"{width}x{height} px on the way, which is not handled"
            )
        return np.ascontiguousarray(pixels)


def _duration(container: Any, stream: Any) -> tuple[Fraction, bool]:
    """Seconds that a file claims to have of a stream, and whether that is of this stream alone; 0
    if it claims nothing.
    """
    if stream.duration and stream.time_base:
        return Fraction(stream.duration) * stream.time_base, True
    return Fraction(container.duration or 0, av.time_base), False


def start_of(container: Any) -> Fraction:
    """Seconds at which a file's times begin; broadcast streams are far from 0."""
    return Fraction(container.start_time or 0, av.time_base)


def matrix_of(form: Format) -> int:
    """The matrix between RGB and YCbCr: what a clip says, or what players take it for."""
    if form.colors.matrix in (BT709, BT601, 4, 6, 7, 9):
        return BT601 if form.colors.matrix == 6 else form.colors.matrix
    return BT709 if min(form.width, form.height) >= HIGH else BT601
