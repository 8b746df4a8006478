"""Write films, frame by frame: to a video file, to numbered pictures, or to a stream of pixels."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import replace_atomically
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.video.clip.container import read_start_time
from impasto.video.clip.frames import FULL_RANGE, Format, Levels, Notice, choose_matrix
from impasto.video.clip.reading import NUMBER_PATTERN

CODECS = {
    ".mp4": "libx264",
    ".m4v": "libx264",
    ".mov": "libx264",
    ".mkv": "libx264",
    ".webm": "libvpx-vp9",
}
OPTIONS = {
    # With the processor's own instructions, x264's results depend on the alignment of memory: the
    # same frames would not always give the same film.
    "libx264": {"crf": "17", "preset": "medium", "x264-params": "cpu-independent=1"},
    "libvpx-vp9": {"crf": "24", "b": "0", "row-mt": "1", "cpu-used": "4"},
}
CONTAINERS = {".m4v": "mp4", ".mkv": "matroska"}
"""FFmpeg's name of the container, where it is not the suffix."""
GIF = ".gif"
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class FilmFrame:
    """One frame to write.

    Attributes:
        time: time in seconds.
        load: returns the pixels, [H, W, 3] uint8 sRGB; called when the frame is written.
    """

    time: Fraction
    load: Callable[[], Levels]


@dataclass(frozen=True)
class FilmSound:
    """Sound to copy into a film without encoding it again.

    Attributes:
        path: a file with sound.
        begin, end: part of that file, in seconds. None: to its end.
    """

    path: Path
    begin: Fraction = Fraction(0)
    end: Fraction | None = None


def check_film_target(target: Path) -> None:
    """Check that a film can be written under a name.

    Raises:
        InputError: the suffix is not supported.
    """
    if NUMBER_PATTERN.search(target.name):
        if target.suffix.lower() not in PICTURE_SUFFIXES:
            raise InputError("numbered frames must be .png, .jpg, .webp or .tif", where=target)
        return
    suffixes = (*CODECS, GIF)
    if target.suffix.lower() not in suffixes:
        raise InputError(
            where=target,
            expected=f"one of {', '.join(suffixes)}, or numbered frames such as frames/%05d.png",
        )


def needs_even_sides(target: Path | None) -> bool:
    """Tell whether a film stores colors at half size, so that both of its sides must be even."""
    return target is not None and target.suffix.lower() in CODECS


def write_film(
    target: Path,
    frames: Iterable[FilmFrame],
    form: Format,
    sound: FilmSound | None = None,
    notice: Notice = lambda _: None,
    record: str | None = None,
    metadata: Mapping[str, str] = MappingProxyType({}),
    seal: Callable[[Path], None] = lambda _: None,
) -> None:
    """Write a film completely or not at all.

    Args:
        target: file with a suffix that :func:`check_film_target` accepts. For numbered pictures,
            use :func:`write_numbered_frames`.
        frames: at least one frame, in order.
        form: format of the film. The sides must be even if :func:`needs_even_sides` says so.
        sound: sound to add. None: the film is silent.
        notice: called with a message if the sound does not fit into the kind of file.
        record: text to embed, where the kind of film has a place for it.
        metadata: other metadata to embed.
        seal: called with the complete file before it gets its name.

    Raises:
        ResourceError: the disk is full or the folder is not writable. An existing file is kept.
    """
    texts = {**metadata} if record is None else {**metadata, "comment": record}
    with replace_atomically(target) as temporary, _translate_errors(target):
        if target.suffix.lower() == GIF:
            _write_gif(temporary, frames, form)
        else:
            _write_container(temporary, target.suffix.lower(), frames, form, sound, notice, texts)
        seal(temporary)


@contextmanager
def _translate_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.errno and error.errno > 0:
            # `replace_atomically` adds the name of the file.
            raise OSError(error.errno, error.strerror) from None
        raise ResourceError(f"cannot be written ({error})", where=target) from None


def _write_container(
    path: Path,
    suffix: str,
    frames: Iterable[FilmFrame],
    form: Format,
    sound: FilmSound | None,
    notice: Notice,
    metadata: dict[str, str],
) -> None:
    with ExitStack() as open_files:
        kind = CONTAINERS.get(suffix, suffix[1:])
        container: Any = open_files.enter_context(av.open(str(path), "w", format=kind))
        container.metadata.update(metadata)
        video = _add_video_stream(container, suffix, form)
        packets: Iterator[tuple[Fraction, Any]] = iter(())
        if sound is not None:
            source = open_files.enter_context(av.open(str(sound.path.absolute())))
            packets = _add_sound_streams(source, container, sound, notice)
        timed = ((frame.time, frame) for frame in frames)
        for _, each in heapq.merge(timed, packets, key=itemgetter(0)):
            coded = (
                video.encode(_convert_frame(each, form)) if isinstance(each, FilmFrame) else each
            )
            container.mux(coded)
        container.mux(video.encode())


def _add_video_stream(container: Any, suffix: str, form: Format) -> Any:
    video = container.add_stream(CODECS[suffix], rate=form.rate.limit_denominator(65_535))
    video.width, video.height, video.pix_fmt = form.width, form.height, "yuv420p"
    video.options = OPTIONS[CODECS[suffix]]
    context = video.codec_context
    context.time_base = form.time_base
    if form.pixel_aspect != 1:
        context.sample_aspect_ratio = form.pixel_aspect
    for name, value in _list_color_tags(form).items():
        setattr(context, name, value)
    return video


def _add_sound_streams(
    source: Any, container: Any, sound: FilmSound, notice: Notice
) -> Iterator[tuple[Fraction, Any]]:
    """Add a stream for each sound track that fits, and yield their packets with their times."""
    streams = {}
    for stream in source.streams.audio:
        if stream.codec_context.name in container.supported_codecs:
            streams[stream.index] = container.add_stream_from_template(stream)
        else:
            notice(
                f"sound: {stream.codec_context.name} cannot be stored in {container.format.name} "
                "and is omitted; .mkv files accept every codec"
            )
    return _copy_packets(source, streams, sound)


def _copy_packets(
    source: Any, streams: dict[int, Any], sound: FilmSound
) -> Iterator[tuple[Fraction, Any]]:
    if not streams:
        return
    with suppress(av.error.FFmpegError):  # the end of the file is damaged
        for packet in source.demux([source.streams[index] for index in streams]):
            if packet.pts is None or packet.dts is None:
                continue
            time = packet.pts * packet.time_base - read_start_time(source)
            # From the very beginning, packets just before 0 are kept: decoders need them.
            if sound.begin and time < sound.begin:
                continue
            if sound.end is not None and time >= sound.end:
                return
            shift = round((sound.begin + read_start_time(source)) / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream.index]
            yield time - sound.begin, packet


def _list_color_tags(form: Format) -> dict[str, int]:
    colors = form.colors
    tags = {
        "color_primaries": colors.primaries,
        "color_trc": colors.transfer,
        "colorspace": colors.matrix if colors.matrix else 2,  # 0 means RGB, but the film is YCbCr
        "color_range": colors.range,
    }
    return {name: value for name, value in tags.items() if value}


def _convert_frame(each: FilmFrame, form: Format) -> Any:
    """Convert a frame to YCbCr with colors at half size."""
    rgb: Any = av.VideoFrame.from_ndarray(each.load(), "rgb24")
    full = form.colors.range == FULL_RANGE
    frame = rgb.reformat(
        format="yuv420p",
        dst_colorspace=choose_matrix(form),
        dst_color_range="JPEG" if full else "MPEG",
        interpolation="AREA",
    )
    frame.time_base = form.time_base
    frame.pts = round(each.time / form.time_base)
    return frame


def _write_gif(path: Path, frames: Iterable[FilmFrame], form: Format) -> None:
    with av.open(str(path), "w", format="gif") as container:
        video: Any = container.add_stream("gif", rate=form.rate.limit_denominator(65_535))
        video.width, video.height, video.pix_fmt = form.width, form.height, "pal8"
        video.codec_context.time_base = Fraction(1, 100)
        for each in frames:
            indexed = Image.fromarray(each.load()).quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
            palette = np.full((256, 4), 255, np.uint8)
            colors = np.array(indexed.getpalette(), np.uint8).reshape(-1, 3)
            palette[: len(colors), 1:] = colors
            planes: Any = (np.asarray(indexed), palette)
            frame = av.VideoFrame.from_ndarray(planes, "pal8")
            frame.time_base = Fraction(1, 100)
            frame.pts = round(each.time * 100)
            container.mux(video.encode(frame))
        container.mux(video.encode())


def write_raw_frame(stream: BinaryIO, pixels: Levels) -> None:
    """Write a frame to a stream as rgb24 pixels.

    Args:
        stream: the stream; it is flushed.
        pixels: [H, W, 3] uint8.
    """
    stream.write(np.ascontiguousarray(pixels).tobytes())
    stream.flush()


def write_numbered_frames(pattern: Path, frames: Iterable[FilmFrame]) -> None:
    """Write frames as pictures that are numbered from 1, replacing existing ones.

    Raises:
        ResourceError: the disk is full or the folder is not writable.
    """
    for index, frame in enumerate(frames, 1):
        picture = read_picture(frame.load())
        write_picture(picture, Path(str(pattern) % index), overwrite=True)
