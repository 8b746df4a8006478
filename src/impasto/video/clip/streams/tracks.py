"""Copy the tracks of a clip beside its picture into a film: sound, subtitles and chapters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from impasto.video.clip.container import read_start_time
from impasto.video.clip.frames import Notice

_TRACK_TEXTS = ("language", "title")
_MATROSKA = "matroska"


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


def add_tracks(
    source: Any, container: Any, part: FilmSound, notice: Notice, *, has_sound: bool
) -> Iterator[tuple[Fraction, Any]]:
    """Add a stream for each track that fits, and yield their packets with their times.

    Languages, titles and the flags of default tracks are kept. Subtitles and chapters are copied
    into Matroska files; elsewhere few kinds of them fit, and they are reported.

    Args:
        source: the opened clip.
        container: the opened film, without streams but the picture's.
        part: the part of the clip.
        notice: called with a message for each track that does not fit.
        has_sound: whether sound is copied.
    """
    streams = {}
    is_matroska = container.format.name == _MATROSKA
    if has_sound:
        for stream in source.streams.audio:
            if stream.codec_context.name in container.supported_codecs:
                streams[stream.index] = _add_track(container, stream)
            else:
                notice(
                    f"sound: {stream.codec_context.name} cannot be stored in "
                    f"{container.format.name} and is omitted; .mkv files accept every codec"
                )
    subtitles = list(source.streams.subtitles)
    if is_matroska:
        for stream in subtitles:
            with suppress(av.error.FFmpegError, ValueError, AttributeError):
                streams[stream.index] = _add_track(container, stream)
        chapters = _shift_chapters(source.chapters(), part)
        if chapters:
            container.set_chapters(chapters)
    elif subtitles:
        notice("subtitles: omitted; .mkv files keep them")
    return _copy_packets(source, streams, part)


def _add_track(container: Any, stream: Any) -> Any:
    track = container.add_stream_from_template(stream)
    for name in _TRACK_TEXTS:
        if name in stream.metadata:
            track.metadata[name] = stream.metadata[name]
    track.disposition = stream.disposition
    return track


def _shift_chapters(chapters: list[Any], part: FilmSound) -> list[Any]:
    """Return the chapters within a part of the clip, from the beginning of the part."""
    shifted = []
    for chapter in chapters:
        base = chapter["time_base"]
        begin, end = chapter["start"] * base, chapter["end"] * base
        if end <= part.begin or (part.end is not None and begin >= part.end):
            continue
        begin = max(begin, part.begin) - part.begin
        end = (end if part.end is None else min(end, part.end)) - part.begin
        shifted.append({**chapter, "start": round(begin / base), "end": round(end / base)})
    return shifted


def _copy_packets(
    source: Any, streams: dict[int, Any], part: FilmSound
) -> Iterator[tuple[Fraction, Any]]:
    if not streams:
        return
    with suppress(av.error.FFmpegError):  # the end of the file is damaged
        for packet in source.demux([source.streams[index] for index in streams]):
            if packet.pts is None or packet.dts is None:
                continue
            time = packet.pts * packet.time_base - read_start_time(source)
            # From the very beginning, packets just before 0 are kept: decoders need them.
            if part.begin and time < part.begin:
                continue
            if part.end is not None and time >= part.end:
                return
            shift = round((part.begin + read_start_time(source)) / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream.index]
            yield time - part.begin, packet
