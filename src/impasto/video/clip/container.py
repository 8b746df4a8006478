"""Read clips from video files and encoded streams, with FFmpeg's libraries through PyAV."""

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
from impasto.video.clip.frames import (
    FULL_RANGE,
    RATE,
    ColorTags,
    Format,
    Frame,
    Levels,
    Notice,
    choose_matrix,
)

HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of HDR video, by code point; a painting's colors have no such brightness."""
FILE_METADATA = ("encoder", "major_brand", "minor_version", "compatible_brands")
"""Metadata about how a file was made, which does not describe its contents."""
SEEKABLE_CODECS = frozenset(
    [
        "av1",
        "dnxhd",
        "ffv1",
        "h264",
        "hevc",
        "mjpeg",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "prores",
        "vp8",
        "vp9",
    ]
)
"""Codecs whose keyframes can be decoded alone. GIF marks every frame as a keyframe wrongly."""
SEEK_STEPS_S = (0, Fraction(1, 2), 2, 10, 60)
"""Seconds to go back, one after another, until a usable keyframe is found: containers seek by
decoding time, and some of them only approximately."""
REFUSED_DECODERS = ("ansi", "xbin", "idf")
"""Decoders that turn any text file into a film."""


class ContainerClip:
    """A video file, or an encoded stream read from its beginning.

    See :class:`impasto.video.clip.frames.Clip`.
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
        """Read the header and the first frame.

        Args:
            source: path of the file, or the stream.
            notice: called with a one-line message for everything that is adapted or ignored.
            kind: FFmpeg's name of the only format to try. None: FFmpeg detects the format.
            limits: limits for the size of a frame. None: those for pictures.
            name: name of the clip in messages. None: the path, or "standard input".

        Raises:
            ClipError: the source cannot be read, has no video, or is of a refused kind.
            LimitError: the frames are too large or too small.
        """
        self._source = source
        self._name = name or (str(source) if isinstance(source, Path) else "standard input")
        notices: list[str] = []
        self._notice: Notice = (
            notices.append
        )  # dropped if the file has no frame: the error suffices
        self._kind = kind
        self._container = self._open_container()
        stream = self._choose_stream(self._container)
        context, limits = stream.codec_context, limits or Limits()
        if context.width and context.height:
            limits.check_size(context.width, context.height, self._name)
        self._codec = context.name
        self._decoded = self._decode_packets(self._container.demux(stream))
        try:
            self._first: Any = next(self._decoded, None)
        except Exception:
            self._container.close()
            raise
        if self._first is None:
            hint = self._explain_missing_frames()
            raise ClipError(f"contains no frame that can be decoded{hint}", where=self._name)
        limits.check_size(self._first.width, self._first.height, self._name)
        self._notice = notice
        for line in notices:
            notice(line)
        self._turns = round(self._first.rotation / 90) % 4
        self.format = self._read_format(stream)
        self.sound = None
        if isinstance(source, Path) and self._container.streams.audio:
            self.sound = source

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata about the contents, such as the title and the place of recording."""
        metadata: dict[str, str] = self._container.metadata
        return {key: value for key, value in metadata.items() if key not in FILE_METADATA}

    def read_frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Yield the frames, see :class:`Clip`. Files are decoded from the last keyframe before."""
        index, last = 0, Fraction(-1)
        decoded = self._decode_from(begin)
        with self._container:
            for frame in decoded:
                time = self._read_time(frame, index)
                if time > last:  # of two frames with the same time, only one can be shown
                    yield Frame(time, partial(self._convert_frame, frame))
                    index, last = index + 1, time
        self._report_early_end(float(last))

    def _decode_from(self, begin: Fraction) -> Iterator[Any]:
        """Decode all frames from a time on, perhaps preceded by some earlier ones."""
        seekable = isinstance(self._source, Path) and self._codec in SEEKABLE_CODECS
        for step in SEEK_STEPS_S:
            if seekable and begin > step:
                frames = self._seek(begin - step, begin)
                if frames is not None:
                    return frames
        if self._first is None:
            if not isinstance(self._source, Path):
                raise ClipError("a stream can be read only once", where=self._name)
            self._decoded = self._decode_packets(self._reopen())
            self._first = next(self._decoded)
        first, self._first = self._first, None
        return chain([first], self._decoded)

    def _seek(self, target: Fraction, begin: Fraction) -> Iterator[Any] | None:
        """Decode from the last keyframe before ``target``.

        Returns:
            The frames. None: there is no keyframe before ``begin``, or the one that was found
            cannot be decoded alone.
        """
        packets = self._reopen()
        try:
            # In time of the whole file: seeking in the stream fails where that has no index.
            self._container.seek(floor((target + read_start_time(self._container)) * av.time_base))
            key = next((packet for packet in packets if packet.is_keyframe), None)
        except (av.error.FFmpegError, OSError):
            return None
        if key is None or key.pts is None or self._read_time(key, 0) > begin:
            return None
        decoded = self._decode_packets(chain([key], packets))
        # Frames that follow a keyframe but are shown before it depend on what is not decoded.
        later = (each for each in decoded if each.pts is None or each.pts >= key.pts)
        first = next(later, None)
        return chain([first], later) if first is not None and first.pts == key.pts else None

    def _open_container(self) -> Any:
        source = self._source
        if isinstance(source, Path):
            if source.is_dir():
                raise ClipError(
                    f"is a folder; name its pictures with a pattern: {source}/%05d.png",
                    where=source,
                )
            if not source.is_file():
                what = "is not a regular file" if source.exists() else "no such file"
                raise ClipError(what, where=source)
        try:
            file = str(source.absolute()) if isinstance(source, Path) else source
            return av.open(file, format=self._kind)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ClipError(f"not a readable clip ({reason})", where=self._name) from None

    def _reopen(self) -> Iterator[Any]:
        """Open the file again and return its packets from the beginning."""
        self._container.close()
        self._container, self._first = self._open_container(), None
        packets: Iterator[Any] = self._container.demux(self._choose_stream(self._container))
        return packets

    def _choose_stream(self, container: Any) -> Any:
        if not container.streams.video:
            what = ", only sound" if container.streams.audio else " and no sound"
            raise ClipError(f"contains no video{what}", where=self._name)
        stream = container.streams.video[0]
        # The cover of an album is a video stream of one picture.
        covers = [s for s in container.streams.video if s.disposition & s.disposition.attached_pic]
        if stream in covers:
            raise ClipError("contains no video, only sound and a cover picture", where=self._name)
        if stream.codec_context is None or stream.codec_context.name in REFUSED_DECODERS:
            raise ClipError("not a readable clip", where=self._name)
        stream.thread_type = "AUTO"
        return stream

    def _decode_packets(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Yield every frame that can be decoded, and report damage once."""
        reported, count, last = False, 0, None
        while True:
            try:
                packet = next(packets, None)
                decoded = [] if packet is None else list(packet.decode())
            except (av.error.FFmpegError, OSError) as error:
                if isinstance(error, av.error.EOFError):
                    return
                if not reported:
                    reported = True
                    reason = getattr(error, "strerror", None) or str(error)
                    after = float(self._read_time(last, count)) if last else 0
                    self._notice(
                        f"{self._name}: damaged after {after:.2f} s ({reason}); "
                        "frames that can be decoded are used"
                    )
                if not isinstance(error, av.error.InvalidDataError):
                    return
                continue
            yield from decoded
            count, last = count + len(decoded), decoded[-1] if decoded else last
            if packet is None:
                return

    def _explain_missing_frames(self) -> str:
        if isinstance(self._source, Path) or "mp4" not in self._container.format.name:
            return ""
        return "; an MP4 with its index at the end cannot be piped, pass its path instead"

    def _read_format(self, stream: Any) -> Format:
        frame = self._first
        colors = ColorTags(
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
            matrix=int(frame.colorspace),
            range=int(frame.color_range),
        )
        self._check_depth(frame, colors)
        rate = stream.average_rate or stream.guessed_rate or RATE
        width, height = frame.width, frame.height
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        if self._turns % 2:
            width, height, aspect = height, width, 1 / aspect if aspect else aspect
        self._duration, self._is_exact = _read_duration(self._container, stream)
        return Format(
            width=width,
            height=height,
            rate=Fraction(rate),
            time_base=stream.time_base or 1 / rate,
            frames=stream.frames or (round(self._duration * rate) if self._duration else None),
            colors=colors,
            pixel_aspect=aspect or Fraction(1),
        )

    def _report_early_end(self, last: float) -> None:
        """Report a file whose frames end well before its stated duration.

        Args:
            last: time of the last frame in seconds.
        """
        duration = float(self._duration)
        missing = duration - last - 1 / float(self.format.rate)
        tolerance = 2 / float(self.format.rate) if self._is_exact else max(0.5, duration / 10)
        if missing > tolerance:
            self._notice(f"{self._name}: ends early, {last:.2f} of {duration:.2f} s can be decoded")

    def _check_depth(self, frame: Any, colors: ColorTags) -> None:
        if colors.transfer in HDR:
            raise ClipError(
                f"is HDR ({HDR[colors.transfer]}); convert it to BT.709 first, for "
                "example with FFmpeg's filters zscale and tonemap",
                where=self._name,
            )
        depth = max((each.bits for each in frame.format.components), default=8)
        if depth > 8:
            self._notice(f"{self._name}: its {depth} bits per channel are reduced to 8")

    def _read_time(self, frame: Any, index: int) -> Fraction:
        if frame.pts is None or frame.time_base is None:
            return Fraction(index) / self.format.rate
        return Fraction(frame.pts) * Fraction(frame.time_base) - read_start_time(self._container)

    def _convert_frame(self, frame: Any) -> Levels:
        """Convert a decoded frame to [H, W, 3] uint8 sRGB, upright."""
        if frame.format.is_rgb or frame.format.name.startswith(("gray", "pal", "yuvj")):
            rgb = frame.reformat(format="rgb24")
        else:
            rgb = frame.reformat(
                format="rgb24",
                src_colorspace=choose_matrix(self.format),
                src_color_range="JPEG" if int(frame.color_range) == FULL_RANGE else "MPEG",
            )
        pixels = np.rot90(rgb.to_ndarray(), self._turns)
        height, width = pixels.shape[:2]
        if (width, height) != (self.format.width, self.format.height):
            raise LimitError(
                f"the size changes from {self.format.width}x{self.format.height} to "
                f"{width}x{height} px within the clip, which is not supported",
                where=self._name,
            )
        return np.ascontiguousarray(pixels)


def _read_duration(container: Any, stream: Any) -> tuple[Fraction, bool]:
    """Return the stated duration in seconds, 0 if there is none, and whether it is the stream's."""
    if stream.duration and stream.time_base:
        return Fraction(stream.duration) * stream.time_base, True
    return Fraction(container.duration or 0, av.time_base), False


def read_start_time(container: Any) -> Fraction:
    """Return the time in seconds at which a file begins; for broadcast streams it is far from 0."""
    return Fraction(container.start_time or 0, av.time_base)
