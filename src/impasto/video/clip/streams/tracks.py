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
_MACINTOSH_LANGUAGES = {
    "deu": "ger",
    "ell": "gre",
    "isl": "ice",
    "mkd": "mac",
    "nld": "dut",
    "sqi": "alb",
    "zho": "chi",
}
"""Codes that QuickTime files can hold, by those that they cannot."""


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

    Languages, titles, chapters and the flags of default tracks are kept. Subtitles are copied into
    Matroska files. What does not fit is reported.

    Args:
        source: the opened clip.
        container: the opened film, without streams but the picture's.
        part: the part of the clip.
        notice: called with a message for each track that does not fit.
        has_sound: whether sound is copied.
    """
    streams = {}
    refused: dict[str, str] = {}
    for stream in source.streams.audio if has_sound else ():
        codec = stream.codec_context.name
        if codec in container.supported_codecs:
            streams[stream.index] = _add_track(container, stream)
        else:
            refused[codec] = f"sound: {codec} cannot be stored in {container.format.name} and is"
    for line in refused.values():
        notice(f"{line} omitted; .mkv files accept every codec")
    is_matroska = container.format.name == _MATROSKA
    dropped = [each for each in source.streams.subtitles if not (is_matroska and _is_plain(each))]
    for stream in source.streams.subtitles:
        if stream not in dropped:
            streams[stream.index] = _add_track(container, stream)
    if dropped and is_matroska:
        notice("subtitles: omitted, because those of MP4 cannot be copied into .mkv files")
    elif dropped:
        notice("subtitles: omitted; .mkv files keep them")
    _report_attachments(source, notice)
    chapters = _shift_chapters(source.chapters(), part)
    if chapters:
        container.set_chapters(chapters)
    return _copy_packets(source, streams, part)


def report_other_tracks(path: Path, kind: str, notice: Notice) -> None:
    """Report the subtitles and chapters of a clip where the film has no place for them.

    Args:
        path: file of the clip.
        kind: what the film is, in the plural.
        notice: called with a message for each that is omitted.
    """
    with suppress(av.error.FFmpegError, OSError), av.open(str(path.absolute())) as source:
        if source.streams.subtitles:
            notice(f"subtitles: omitted, because {kind} cannot store them")
        if source.chapters():
            notice(f"chapters: omitted, because {kind} cannot store them")
        _report_attachments(source, notice)


def _report_attachments(source: Any, notice: Notice) -> None:
    if source.streams.attachments:
        notice("attachments: omitted, such as the fonts of subtitles")


def _is_plain(stream: Any) -> bool:
    """Tell whether subtitles can be copied into Matroska; those of MP4 are a kind of their own."""
    return stream.codec_context is not None and stream.codec_context.name != "mov_text"


def _add_track(container: Any, stream: Any) -> Any:
    track = container.add_stream_from_template(stream)
    for name in _TRACK_TEXTS:
        if name in stream.metadata:
            track.metadata[name] = stream.metadata[name]
    language = track.metadata.get("language")
    if container.format.name == "mov" and language in _MACINTOSH_LANGUAGES:
        track.metadata["language"] = _MACINTOSH_LANGUAGES[language]
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
