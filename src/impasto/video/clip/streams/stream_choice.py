"""Choose the stream of a file that is the film: the longest moving picture, and no cover."""

from __future__ import annotations

from typing import Any

import av

from impasto.errors import ClipError

REFUSED_DECODERS = ("ansi", "xbin", "idf")
"""Decoders that turn any text file into a film."""
_STILLS = ("mjpeg", "png", "bmp", "gif", "webp", "tiff")
"""Codecs of covers that are not marked as covers."""
_MOST_PACKETS = 20_000
"""Packets that are looked at to find the longest stream."""


def list_films(container: Any, name: str) -> list[Any]:
    """List the video streams that are not marked as covers and can be decoded.

    Raises:
        ClipError: there are none.
    """
    streams = list(container.streams.video)
    if not streams:
        what = ", only sound" if container.streams.audio else " and no sound"
        raise ClipError(f"contains no video{what}", where=name)
    films = [each for each in streams if not each.disposition & each.disposition.attached_pic]
    if not films:
        raise ClipError("contains no video, only sound and a cover picture", where=name)
    usable = [
        each
        for each in films
        if each.codec_context is not None and each.codec_context.name not in REFUSED_DECODERS
    ]
    if not usable:
        raise ClipError("not a readable clip", where=name)
    return usable


def choose_by_length(container: Any, films: list[Any]) -> int:
    """Return the index of the longest of several streams, by their packets.

    The container is read and must be opened again.
    """
    begins: dict[int, float] = {}
    lengths = {each.index: (0, 0.0) for each in films}
    try:
        for count, packet in enumerate(container.demux(films)):
            if count > _MOST_PACKETS:
                break
            if packet.size and packet.pts is not None:
                time = float(packet.pts * packet.time_base)
                place = packet.stream.index
                begins.setdefault(place, time)
                number, length = lengths[place]
                lengths[place] = (number + 1, max(length, time - begins[place]))
    except av.error.FFmpegError:  # damaged: what was counted so far decides
        pass
    # One packet is a still, however long it is shown.
    return int(max(films, key=lambda it: (lengths[it.index][0] > 1, lengths[it.index][1])).index)


def choose_by_codec(films: list[Any]) -> int:
    """Return the index of the first stream that is no still by its codec, else of the first."""
    moving = [each for each in films if each.codec_context.name not in _STILLS]
    return int((moving or films)[0].index)
