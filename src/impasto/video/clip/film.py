"""Films: frames with their times, written as they come, to a file, numbered pictures or a pipe."""

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
from impasto.video.clip.clip import NUMBERED, Format, Levels, Notice
from impasto.video.clip.container import FULL, matrix_of, start_of

CODECS = {
    ".mp4": "libx264",
    ".m4v": "libx264",
    ".mov": "libx264",
    ".mkv": "libx264",
    ".webm": "libvpx-vp9",
}
OPTIONS = {
    # Else what x264 reckons with the processor's own instructions hangs on where memory happens to
    # lie, and the same frames do not always make the same film.
    "libx264": {"crf": "17", "preset": "medium", "x264-params": "cpu-independent=1"},
    "libvpx-vp9": {"crf": "24", "b": "0", "row-mt": "1", "cpu-used": "4"},
}
PALETTED = ".gif"


@dataclass(frozen=True)
class Timed:
    """A frame to be written.

    Attributes:
        time: in seconds.
        pixels: [H, W, 3] uint8 sRGB, read when it is wanted.
    """

    time: Fraction
    pixels: Callable[[], Levels]


@dataclass(frozen=True)
class Sound:
    """To go with a film, as it is.

    Attributes:
        path: of a file that has it.
        begin, end: seconds of that file; an end of none is its own.
    """

    path: Path
    begin: Fraction = Fraction(0)
    end: Fraction | None = None


def check_film(target: Path) -> None:
    """See that something can be written under a name.

    Raises:
        InputError: of no known kind.
    """
    if NUMBERED.search(target.name):
        if target.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"):
            raise InputError(f"{target}: numbered frames are .png, .jpg, .webp or .tif")
        return
    known = (*CODECS, PALETTED)
    if target.suffix.lower() not in known:
        raise InputError(
            f"{target}: a film is one of {', '.join(known)}, or numbered frames: frames/%05d.png"
        )


def is_halved(target: Path | None) -> bool:
    """Whether a film has its colors at half size, so that its sides have to be even."""
    return target is not None and target.suffix.lower() in CODECS


def write_film(
    target: Path,
    frames: Iterable[Timed],
    form: Format,
    sound: Sound | None = None,
    notice: Notice = lambda _: None,
    record: str | None = None,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A film, whole or not at all.

    Args:
        target: of a kind that :func:`check_film` knows, but numbered pictures.
        frames: in order; at least one.
        form: of the film; for :func:`is_halved` ones of even sides.
        sound: to go with it.
        notice: called if the sound cannot.
        record: text to embed where the kind of film has a place for it.
        metadata: what else it says of itself, likewise.

    Raises:
        ResourceError: the disk is full or the folder cannot be written; what was there stays.
    """
    texts = {**metadata} if record is None else {**metadata, "comment": record}
    with replace_atomically(target) as temporary, _disk_errors(target):
        if target.suffix.lower() == PALETTED:
            _write_gif(temporary, frames, form)
        else:
            _write_coded(temporary, target.suffix.lower(), frames, form, sound, notice, texts)


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.errno and error.errno > 0:
            raise OSError(error.errno, error.strerror) from None  # named by whoever replaces
        raise ResourceError(f"{target}: cannot be written ({error})") from None


KINDS = {".m4v": "mp4", ".mkv": "matroska"}


def _write_coded(
    path: Path,
    suffix: str,
    frames: Iterable[Timed],
    form: Format,
    sound: Sound | None,
    notice: Notice,
    metadata: dict[str, str],
) -> None:
    with ExitStack() as open_files:
        kind = KINDS.get(suffix, suffix[1:])
        container: Any = open_files.enter_context(av.open(str(path), "w", format=kind))
        container.metadata.update(metadata)
        video = _video_stream(container, suffix, form)
        packets: Iterator[tuple[Fraction, Any]] = iter(())
        if sound is not None:
            source = open_files.enter_context(av.open(str(sound.path.absolute())))
            packets = _sound(source, container, sound, notice)
        timed = ((frame.time, frame) for frame in frames)
        for _, each in heapq.merge(timed, packets, key=itemgetter(0)):
            coded = video.encode(_frame(each, form)) if isinstance(each, Timed) else each
            container.mux(coded)
        container.mux(video.encode())


def _video_stream(container: Any, suffix: str, form: Format) -> Any:
    video = container.add_stream(CODECS[suffix], rate=form.rate.limit_denominator(65_535))
    video.width, video.height, video.pix_fmt = form.width, form.height, "yuv420p"
    video.options = OPTIONS[CODECS[suffix]]
    context = video.codec_context
    context.time_base = form.time_base
    if form.pixel_aspect != 1:
        context.sample_aspect_ratio = form.pixel_aspect
    for name, value in _tags(form).items():
        setattr(context, name, value)
    return video


def _sound(
    source: Any, container: Any, sound: Sound, notice: Notice
) -> Iterator[tuple[Fraction, Any]]:
    """Packets as they are, timed; streams for them are made at once."""
    made = {}
    for stream in source.streams.audio:
        if stream.codec_context.name in container.supported_codecs:
            made[stream.index] = container.add_stream_from_template(stream)
        else:
            notice(
                f"sound: {stream.codec_context.name} does not go into {container.format.name}, "
                "it is left out; .mkv takes everything"
            )
    return _packets(source, made, sound)


def _packets(source: Any, made: dict[int, Any], sound: Sound) -> Iterator[tuple[Fraction, Any]]:
    if not made:
        return
    with suppress(av.error.FFmpegError):  # a broken tail
        for packet in source.demux([source.streams[index] for index in made]):
            if packet.pts is None or packet.dts is None:
                continue
            time = packet.pts * packet.time_base - start_of(source)
            if sound.begin and time < sound.begin:  # the clip's own begins a little before 0
                continue
            if sound.end is not None and time >= sound.end:
                return
            shift = round((sound.begin + start_of(source)) / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = made[packet.stream.index]
            yield time - sound.begin, packet


def _tags(form: Format) -> dict[str, int]:
    colors = form.colors
    tags = {
        "color_primaries": colors.primaries,
        "color_trc": colors.transfer,
        "colorspace": colors.matrix if colors.matrix else 2,  # 0 is RGB, which this is no longer
        "color_range": colors.range,
    }
    return {name: value for name, value in tags.items() if value}


def _frame(each: Timed, form: Format) -> Any:
    rgb: Any = av.VideoFrame.from_ndarray(each.pixels(), "rgb24")
    full = form.colors.range == FULL
    frame = rgb.reformat(
        format="yuv420p",
        dst_colorspace=matrix_of(form),
        dst_color_range="JPEG" if full else "MPEG",
        interpolation="AREA",
    )
    frame.time_base = form.time_base
    frame.pts = round(each.time / form.time_base)
    return frame


def _write_gif(path: Path, frames: Iterable[Timed], form: Format) -> None:
    with av.open(str(path), "w", format="gif") as container:
        video: Any = container.add_stream("gif", rate=form.rate.limit_denominator(65_535))
        video.width, video.height, video.pix_fmt = form.width, form.height, "pal8"
        video.codec_context.time_base = Fraction(1, 100)
        for each in frames:
            few = Image.fromarray(each.pixels()).quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
            palette = np.full((256, 4), 255, np.uint8)
            known = np.array(few.getpalette(), np.uint8).reshape(-1, 3)
            palette[: len(known), 1:] = known
            both: Any = (np.asarray(few), palette)
            frame = av.VideoFrame.from_ndarray(both, "pal8")
            frame.time_base = Fraction(1, 100)
            frame.pts = round(each.time * 100)
            container.mux(video.encode(frame))
        container.mux(video.encode())


def write_raw(stream: BinaryIO, pixels: Levels) -> None:
    """A frame to a pipe, rgb24."""
    stream.write(np.ascontiguousarray(pixels).tobytes())
    stream.flush()


def write_numbered(pattern: Path, frames: Iterable[Timed]) -> None:
    """Frames as pictures, numbered from 1.

    Raises:
        ResourceError: the disk is full or the folder cannot be written.
    """
    for index, frame in enumerate(frames, 1):
        picture = read_picture(frame.pixels())
        write_picture(picture, Path(str(pattern) % index), overwrite=True)
