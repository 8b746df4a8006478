"""What kind of file a clip is, from its first bytes: for files from strangers, of which nothing but
these is tried. FFmpeg also reads lists of other files, and of addresses.
"""

from __future__ import annotations

from impasto.errors import ClipError
from impasto.image.files.sniff import is_still_picture

ACCEPTED = "MP4, MOV, WebM, Matroska, AVI, MPEG-TS or GIF"
HEAD = 512
"""Bytes that suffice to tell."""
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_TS, _TS_PACKET = 0x47, 188


def clip_kind(head: bytes, name: str) -> str:
    """FFmpeg's name of an accepted kind.

    Args:
        head: the first :data:`HEAD` bytes, or all there are.
        name: of the file, for the message.

    Raises:
        ClipError: anything else.
    """
    if head[4:8] in _ATOMS and not is_still_picture(head):
        return "mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if len(head) > 2 * _TS_PACKET and set(head[: 2 * _TS_PACKET + 1 : _TS_PACKET]) == {_TS}:
        return "mpegts"
    raise ClipError(f"{name}: not a clip of a known kind; accepted are {ACCEPTED}")


def film_suffix(head: bytes, kind: str) -> str:
    """Of the film that a clip of a kind becomes, so that browsers play it as they did the clip."""
    if kind == "gif":
        return ".gif"
    return ".webm" if kind == "matroska" and b"webm" in head else ".mp4"
