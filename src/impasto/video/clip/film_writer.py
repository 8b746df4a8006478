"""Write films, frame by frame: to a video file, to numbered pictures, or to a stream of pixels."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import replace_atomically
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.video.clip.frames import FULL_RANGE, Format, Levels, Notice, choose_matrix
from impasto.video.clip.reading import name_numbered_file, names_numbered_files
from impasto.video.clip.streams.tracks import FilmSound, add_tracks

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
    "prores_ks": {"profile": "4444"},
}
TRANSPARENT = {".webm": ("libvpx-vp9", "yuva420p"), ".mov": ("prores_ks", "yuva444p10le")}
"""Codec and pixel format of transparent films; GIFs can be transparent too."""
CONTAINERS = {".m4v": "mp4", ".mkv": "matroska"}
"""FFmpeg's name of the container, where it is not the suffix."""
GIF = ".gif"
_LONGEST_DELAY = 65_535
"""In hundredths of a second."""
_VISIBLE = 128
"""Alpha from which a pixel of a GIF is opaque."""
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
class FilmExtras:
    """What a film has besides frames, sound and subtitles, and how its file gets its name.

    Attributes:
        last: time of the last frame in seconds, where it has a duration of its own. None: it is
            shown as long as the others.
        end: when the last frame ends, in seconds.
        is_transparent: frames are [H, W, 4]; the kind of file is one of :data:`TRANSPARENT`.
        origin: the clip, whose subtitles and chapters are copied into Matroska files. None: there
            are none.
        begin: time in the clip at which the film begins, in seconds.
        is_whole: whether the film goes on to the clip's end.
        overwrite: whether an existing file is replaced.
        seal: called with the complete file before it gets its name.
    """

    last: Fraction | None = None
    end: Fraction = Fraction(0)
    is_transparent: bool = False
    origin: Path | None = None
    begin: Fraction = Fraction(0)
    is_whole: bool = True
    overwrite: bool = True
    seal: Callable[[Path], None] = lambda _: None


def can_be_transparent(target: Path) -> bool:
    """Tell whether a kind of film can be transparent."""
    return target.suffix.lower() in (GIF, *TRANSPARENT)


def check_film_target(target: Path) -> None:
    """Check that a film can be written under a name.

    Raises:
        InputError: the suffix is not supported.
    """
    if names_numbered_files(target):
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
    texts: Mapping[str, str] | None = None,
    extras: FilmExtras | None = None,
) -> None:
    """Write a film completely or not at all.

    Args:
        target: file with a suffix that :func:`check_film_target` accepts. For numbered pictures,
            use :func:`write_numbered_frames`.
        frames: at least one frame, in order.
        form: format of the film. The sides must be even if :func:`needs_even_sides` says so.
        sound: sound to add. None: the film is silent.
        notice: called with a message if the sound does not fit into the kind of file.
        texts: metadata to embed, where the kind of film has a place for it. None: there is none.
        extras: what else the film has. None: nothing.

    Raises:
        InputError: the file exists and must not be replaced.
        ResourceError: the disk is full or the folder is not writable. An existing file is kept.
    """
    extras = extras or FilmExtras()
    with (
        replace_atomically(target, overwrite=extras.overwrite) as temporary,
        _translate_errors(target),
    ):
        if target.suffix.lower() == GIF:
            _write_gif(temporary, frames, form, extras)
        else:
            writer = _ContainerWriter(target.suffix.lower(), form, extras, notice)
            writer.write(temporary, frames, sound, dict(texts or {}))
        extras.seal(temporary)


@contextmanager
def _translate_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.errno and error.errno > 0:
            # `replace_atomically` adds the name of the file.
            raise OSError(error.errno, error.strerror) from None
        raise ResourceError(f"cannot be written ({error})", where=target) from None


@dataclass(frozen=True)
class _ContainerWriter:
    """Writes films other than GIFs.

    Attributes:
        suffix: suffix of the file, in lower case.
        form: format of the film.
        extras: what else the film has.
        notice: called with a message about what does not fit into the kind of file.
    """

    suffix: str
    form: Format
    extras: FilmExtras
    notice: Notice

    def write(
        self,
        path: Path,
        frames: Iterable[FilmFrame],
        sound: FilmSound | None,
        texts: dict[str, str],
    ) -> None:
        """Write the film.

        Args:
            path: the file.
            frames: at least one frame, in order.
            sound: sound to add. None: the film is silent.
            texts: metadata of the file.
        """
        with ExitStack() as open_files:
            kind = CONTAINERS.get(self.suffix, self.suffix[1:])
            container: Any = open_files.enter_context(av.open(str(path), "w", format=kind))
            container.metadata.update(texts)
            video = self._add_video_stream(container)
            packets: Iterator[tuple[Fraction, Any]] = iter(())
            path_of_tracks = self.extras.origin if sound is None else sound.path
            if path_of_tracks is not None:
                part = sound or FilmSound(path_of_tracks, self.extras.begin, None)
                source = open_files.enter_context(av.open(str(path_of_tracks.absolute())))
                packets = add_tracks(
                    source, container, part, self.notice, has_sound=sound is not None
                )
            timed = ((frame.time, frame) for frame in frames)
            for _, each in heapq.merge(timed, packets, key=itemgetter(0)):
                if isinstance(each, FilmFrame):
                    container.mux(self._hold(video.encode(self._convert(each))))
                else:
                    container.mux(each)
            container.mux(self._hold(video.encode()))

    def _hold(self, packets: list[Any]) -> list[Any]:
        """Give the packet of the film's last frame its duration, if it is held."""
        last, end = self.extras.last, self.extras.end
        for packet in packets:
            if last is not None and packet.pts == round(last / packet.time_base):
                packet.duration = max(1, round((end - last) / packet.time_base))
        return packets

    def _add_video_stream(self, container: Any) -> Any:
        form, codec = self.form, CODECS[self.suffix]
        pixels = "yuv420p"
        if self.extras.is_transparent:
            codec, pixels = TRANSPARENT[self.suffix]
        video = container.add_stream(codec, rate=form.rate.limit_denominator(65_535))
        video.width, video.height, video.pix_fmt = form.width, form.height, pixels
        video.options = OPTIONS[codec]
        if self.extras.last is not None and codec == "libx264":
            # With frames out of order, the last one's duration would be that of another.
            video.options = {**OPTIONS[codec], "bf": "0"}
        if self.extras.is_transparent and self.suffix == ".webm":
            video.metadata["alpha_mode"] = "1"
        context = video.codec_context
        context.time_base = form.time_base
        if form.pixel_aspect != 1:
            context.sample_aspect_ratio = form.pixel_aspect
        for name, value in _list_color_tags(form).items():
            setattr(context, name, value)
        return video

    def _convert(self, each: FilmFrame) -> Any:
        """Convert a frame to YCbCr, with colors at half size if it is opaque."""
        form, is_transparent = self.form, self.extras.is_transparent
        rgb: Any = av.VideoFrame.from_ndarray(each.load(), "rgba" if is_transparent else "rgb24")
        full = form.colors.range == FULL_RANGE
        frame = rgb.reformat(
            format=TRANSPARENT[self.suffix][1] if is_transparent else "yuv420p",
            dst_colorspace=choose_matrix(form),
            dst_color_range="JPEG" if full else "MPEG",
            interpolation="AREA",
        )
        frame.time_base = form.time_base
        frame.pts = round(each.time / form.time_base)
        return frame


def _list_color_tags(form: Format) -> dict[str, int]:
    colors = form.colors
    tags = {
        "color_primaries": colors.primaries,
        "color_trc": colors.transfer,
        "colorspace": colors.matrix if colors.matrix else 2,  # 0 means RGB, but the film is YCbCr
        "color_range": colors.range,
    }
    return {name: value for name, value in tags.items() if value}


def _write_gif(path: Path, frames: Iterable[FilmFrame], form: Format, extras: FilmExtras) -> None:
    options = {} if form.loops is None else {"loop": str(form.loops)}
    if extras.last is not None:
        delay = round((extras.end - extras.last) * 100)
        options["final_delay"] = str(min(max(1, delay), _LONGEST_DELAY))
    with av.open(str(path), "w", format="gif", options=options) as container:
        video: Any = container.add_stream("gif", rate=form.rate.limit_denominator(65_535))
        video.width, video.height, video.pix_fmt = form.width, form.height, "pal8"
        video.codec_context.time_base = Fraction(1, 100)
        for each in frames:
            frame = av.VideoFrame.from_ndarray(_index_colors(each.load()), "pal8")
            frame.time_base = Fraction(1, 100)
            frame.pts = round(each.time * 100)
            container.mux(video.encode(frame))
        container.mux(video.encode())


def _index_colors(pixels: Levels) -> Any:
    """Reduce a frame, [H, W, 3 or 4], to a palette: (indices [H, W], palette [256, 4] ARGB)."""
    is_transparent = pixels.shape[2] == 4
    colors = 255 if is_transparent else 256
    indexed = Image.fromarray(np.ascontiguousarray(pixels[..., :3])).quantize(
        colors, dither=Image.Dither.FLOYDSTEINBERG
    )
    palette = np.full((256, 4), 255, np.uint8)
    listed = np.array(indexed.getpalette(), np.uint8).reshape(-1, 3)[:256]
    palette[: len(listed), 1:] = listed
    indices = np.asarray(indexed)
    if is_transparent:
        palette[255] = 0
        indices = np.where(pixels[..., 3] < _VISIBLE, np.uint8(255), indices)
    return indices, palette


def write_raw_frame(stream: BinaryIO, pixels: Levels) -> None:
    """Write a frame to a stream as rgb24 pixels.

    Args:
        stream: the stream; it is flushed.
        pixels: [H, W, 3] uint8.
    """
    stream.write(np.ascontiguousarray(pixels).tobytes())
    stream.flush()


def write_numbered_frames(
    pattern: Path, frames: Iterable[FilmFrame], *, overwrite: bool = True
) -> None:
    """Write frames as pictures that are numbered from 1.

    Args:
        pattern: path with ``%d`` or ``%05d`` for the number.
        frames: the frames, in order.
        overwrite: replace existing files.

    Raises:
        InputError: a file exists and must not be replaced; those that were written are removed.
        ResourceError: the disk is full or the folder is not writable.
    """
    written: list[Path] = []
    for index, frame in enumerate(frames, 1):
        path = name_numbered_file(pattern, index)
        try:
            write_picture(read_picture(frame.load()), path, overwrite=overwrite)
        except InputError:
            for each in written:
                each.unlink(missing_ok=True)
            raise
        if not overwrite:
            written.append(path)
