"""Read clips from video files and encoded streams, with FFmpeg's libraries through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from itertools import chain
from math import floor
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from impasto.errors import ClipError, LimitError
from impasto.image.color.coded import HDR_NAMES, SDR_WHITE, CodedColor, CodedConversion
from impasto.image.files.limits import Limits
from impasto.image.rows import split_rows
from impasto.video.clip.frames import (
    FULL_RANGE,
    RATE,
    SDR_TAGS,
    ColorTags,
    Format,
    Frame,
    Levels,
    Notice,
    choose_matrix,
)
from impasto.video.clip.streams.deinterlace import deinterlace_frames
from impasto.video.clip.streams.display_matrix import read_placement
from impasto.video.clip.streams.loops import read_loops
from impasto.video.clip.streams.stream_choice import choose_by_codec, choose_by_length, list_films

HDR_PEAK = 1000 / SDR_WHITE
"""Brightest light of HDR films, relative to SDR white: that of the displays they are made for. A
film has one for all its frames, so that its brightness does not flicker."""
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
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that also decode transparency, by the codec's name."""


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
        self._index: int | None = None
        self._is_interlaced = False
        stream = self._choose_stream(self._container)
        context, limits = stream.codec_context, limits or Limits()
        if context.width and context.height:
            limits.check_size(context.width, context.height, self._name)
        self._codec = context.name
        self._decoded = self._decode_all(self._container.demux(stream))
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
        self._placement = read_placement(self._first)
        self.format = self._read_format(stream)
        self.sound = None
        if isinstance(source, Path) and self._container.streams.audio:
            self.sound = source

    @property
    def path(self) -> Path | None:
        """The file. None: the clip is a stream."""
        return self._source if isinstance(self._source, Path) else None

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata about the contents, such as the title and the place of recording."""
        metadata: dict[str, str] = self._container.metadata
        return {key: value for key, value in metadata.items() if key not in FILE_METADATA}

    def read_frames(self, begin: Fraction = Fraction(0)) -> Iterator[Frame]:
        """Yield the frames, see :class:`Clip`. Files are decoded from the last keyframe before."""
        index, last, end = 0, Fraction(-1), Fraction(-1)
        decoded = self._decode_from(begin)
        with self._container:
            for frame in decoded:
                time = self._read_time(frame, index)
                if time > last:  # of two frames with the same time, only one can be shown
                    alpha = partial(self._read_alpha, frame) if self.has_alpha else None
                    yield Frame(time, partial(self._convert_frame, frame), alpha)
                    index, last = index + 1, time
                    end = time + self._read_duration_of(frame)
        self._report_early_end(float(last), float(end))

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
            self._decoded = self._decode_all(self._reopen())
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
        if first is None or first.pts != key.pts:
            return None
        return deinterlace_frames(chain([first], later), self._report_interlaced)

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
                if not source.exists() and set(source.name) & set("*?%#"):
                    what += "; numbered pictures are named by a pattern such as frames/%05d.png"
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
        """Return the stream of the film; after the first time, always the same."""
        if self._index is None:
            films = list_films(container, self._name)
            if len(films) == 1:
                self._index = films[0].index
            elif isinstance(self._source, Path):
                self._index = choose_by_length(container, films)
                container.close()
                self._container = container = self._open_container()
            else:
                self._index = choose_by_codec(films)
        stream = container.streams[self._index]
        stream.thread_type = "AUTO"
        tags = {key.lower(): value for key, value in stream.metadata.items()}
        is_transparent = tags.get("alpha_mode") == "1"
        decoder = ALPHA_DECODERS.get(stream.codec_context.name) if is_transparent else None
        self._alpha_decoder: Any = None if decoder is None else av.CodecContext.create(decoder, "r")
        return stream

    def _report_interlaced(self) -> None:
        if not self._is_interlaced:
            self._is_interlaced = True
            self._notice(f"{self._name}: is interlaced, and is deinterlaced")

    def _decode_all(self, packets: Iterator[Any]) -> Iterator[Any]:
        return deinterlace_frames(self._decode_packets(packets), self._report_interlaced)

    def _decode_packet(self, packet: Any) -> list[Any]:
        if self._alpha_decoder is None:
            return list(packet.decode())
        return list(self._alpha_decoder.decode(packet if packet.size else None))

    def _decode_packets(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Yield every frame that can be decoded, and report damage once."""
        reported, count, last = False, 0, None
        while True:
            try:
                packet = next(packets, None)
                decoded = [] if packet is None else self._decode_packet(packet)
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
        self.has_alpha = any(each.is_alpha for each in frame.format.components)
        self._color = CodedColor.from_code_points(colors.primaries, colors.transfer)
        self._report_depth(frame)
        stored = Format(frame.width, frame.height, RATE, 1 / RATE, colors=colors)
        self._matrix = choose_matrix(stored)
        rate = stream.average_rate or stream.guessed_rate or RATE
        width, height = frame.width, frame.height
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        if self._placement.transposes:
            width, height, aspect = height, width, 1 / aspect if aspect else aspect
        self._duration, self._is_exact = _read_duration(self._container, stream)
        return Format(
            width=width,
            height=height,
            rate=Fraction(rate),
            time_base=stream.time_base or 1 / rate,
            frames=stream.frames or (round(self._duration * rate) if self._duration else None),
            colors=SDR_TAGS if self._color.is_hdr else colors,
            pixel_aspect=aspect or Fraction(1),
            loops=read_loops(self._source) if isinstance(self._source, Path) else None,
        )

    def _report_early_end(self, last: float, end: float) -> None:
        """Report a file whose frames end well before its stated duration.

        Args:
            last: time of the last frame in seconds.
            end: when the last frame ends.
        """
        duration = float(self._duration)
        missing = duration - max(end, last + 1 / float(self.format.rate))
        tolerance = 2 / float(self.format.rate) if self._is_exact else max(0.5, duration / 10)
        if missing > tolerance:
            self._notice(f"{self._name}: ends early, {last:.2f} of {duration:.2f} s can be decoded")

    def find_end(self) -> Fraction | None:
        """Find when the last frame ends, in seconds, without decoding.

        Returns:
            The time. None: the clip is a stream, or the file does not say.
        """
        if not isinstance(self._source, Path):
            return None
        ends: list[Fraction] = []
        with self._open_container() as container, suppress(av.error.FFmpegError):
            start = read_start_time(container)
            ends.extend(
                (packet.pts + packet.duration) * packet.time_base - start
                for packet in container.demux(self._choose_stream(container))
                if packet.size and packet.pts is not None and packet.duration
            )
        return Fraction(max(ends)) if ends else None

    def _report_depth(self, frame: Any) -> None:
        if self._color.is_hdr:
            self._notice(
                f"{self._name}: is HDR ({HDR_NAMES[self._color.transfer]}): {SDR_WHITE:.0f} cd/m2 "
                "is shown as white, and brighter light is compressed"
            )
            return
        depth = max((each.bits for each in frame.format.components), default=8)
        if depth > 8:
            self._notice(f"{self._name}: its {depth} bits per channel are reduced to 8")

    def _read_duration_of(self, frame: Any) -> Fraction:
        """Return how long a frame is shown, in seconds; 0 if it does not say."""
        if not frame.duration or frame.time_base is None:
            return Fraction(0)
        return Fraction(frame.duration) * Fraction(frame.time_base)

    def _read_time(self, frame: Any, index: int) -> Fraction:
        if frame.pts is None or frame.time_base is None:
            return Fraction(index) / self.format.rate
        return Fraction(frame.pts) * Fraction(frame.time_base) - read_start_time(self._container)

    def _convert_frame(self, frame: Any) -> Levels:
        """Convert a decoded frame to [H, W, 3] uint8 sRGB, upright."""
        target = "rgb48le" if self._color.is_hdr else "rgb24"
        if frame.format.is_rgb or frame.format.name.startswith(("gray", "pal", "yuvj")):
            rgb = frame.reformat(format=target)
        else:
            rgb = frame.reformat(
                format=target,
                src_colorspace=self._matrix,
                src_color_range="JPEG" if int(frame.color_range) == FULL_RANGE else "MPEG",
            )
        pixels = self._placement.apply(rgb.to_ndarray())
        height, width = pixels.shape[:2]
        if (width, height) != (self.format.width, self.format.height):
            raise LimitError(
                f"the size changes from {self.format.width}x{self.format.height} to "
                f"{width}x{height} px within the clip, which is not supported",
                where=self._name,
            )
        if self._color.is_hdr:
            return self._map_tones(pixels)
        return np.ascontiguousarray(pixels)

    def _map_tones(self, pixels: NDArray[np.uint16]) -> Levels:
        conversion = CodedConversion(self._color, HDR_PEAK)
        result = np.empty(pixels.shape, np.uint8)
        for rows in split_rows(*pixels.shape[:2]):
            values = (pixels[rows] / np.float32(65_535)).astype(np.float32)
            result[rows] = np.rint(conversion.convert(values) * 255)
        return result

    def _read_alpha(self, frame: Any) -> Levels:
        """Return the alpha of a decoded frame, [H, W] uint8, upright."""
        alpha = frame.reformat(format="rgba").to_ndarray()[..., 3]
        return np.ascontiguousarray(self._placement.apply(alpha))


def _read_duration(container: Any, stream: Any) -> tuple[Fraction, bool]:
    """Return the stated duration in seconds, 0 if there is none, and whether it is the stream's."""
    if stream.duration and stream.time_base:
        return Fraction(stream.duration) * stream.time_base, True
    return Fraction(container.duration or 0, av.time_base), False


def read_start_time(container: Any) -> Fraction:
    """Return the time in seconds at which a file begins; for broadcast streams it is far from 0."""
    return Fraction(container.start_time or 0, av.time_base)
