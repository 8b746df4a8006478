"""Detect the kind of a video file from its first bytes.

Uploaded files are opened as the detected kind only, because FFmpeg also follows playlists and
addresses.
"""

from __future__ import annotations

from impasto.errors import ClipError
from impasto.image.files.sniff import is_still_picture

ACCEPTED = "MP4, MOV, WebM, Matroska, AVI, MPEG-TS or GIF"
HEAD_BYTES = 512
"""Number of bytes at the beginning of a file that are enough to detect its kind."""
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_TS, _TS_PACKET = 0x47, 188


def detect_clip_kind(head: bytes, name: str) -> str:
    """Return FFmpeg's name for the kind of a video file.

    Args:
        head: the first :data:`HEAD_BYTES` bytes, or the whole file if it is shorter.
        name: name of the file, for the error message.

    Raises:
        ClipError: the file is of no accepted kind.
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
    raise ClipError("not a clip of an accepted kind", where=name, expected=ACCEPTED)


def choose_film_suffix(head: bytes, kind: str) -> str:
    """Choose the suffix of the painted film so that browsers play it if they play the clip.

    Args:
        head: the first :data:`HEAD_BYTES` bytes of the clip.
        kind: result of :func:`detect_clip_kind`.
    """
    if kind == "gif":
        return ".gif"
    return ".webm" if kind == "matroska" and b"webm" in head else ".mp4"
