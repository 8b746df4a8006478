"""Recognize pictures with a gain map, which brightens an SDR picture to HDR."""

from __future__ import annotations

_APPLE = b"urn:com:apple:photo:2020:aux:hdrgainmap"
_MARKS = {
    "JPEG": (
        b"http://ns.adobe.com/hdr-gain-map/",
        b"urn:iso:std:iso:ts:21496:-1",
        b"http://ns.apple.com/HDRGainMap/",
        _APPLE,
    ),
    "HEIF": (_APPLE, b"urn:iso:std:iso:ts:21496:-1"),
    "AVIF": (b"urn:iso:std:iso:ts:21496:-1", _APPLE),
}
_DERIVED = b"tmap"
"""Type of a picture that is derived from a base and a gain map."""
_HEAD_BYTES = 2**18


def has_gain_map(data: bytes, kind: str) -> bool:
    """Tell whether a file says that it has a gain map.

    Args:
        data: content of the file.
        kind: Pillow's name of the format.
    """
    head = data[:_HEAD_BYTES]
    if any(mark in head for mark in _MARKS.get(kind, ())):
        return True
    if kind not in ("AVIF", "HEIF"):
        return False
    place = head.find(b"infe")
    while place >= 0:
        if _DERIVED in head[place : place + 20]:
            return True
        place = head.find(b"infe", place + 4)
    return False
