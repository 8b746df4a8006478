"""Read what AVIF and HEIC say about their colors, in the boxes of ISO/IEC 14496-12 and 23008-12."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from impasto.image.color.coded import CodedColor

_MOST_BOXES = 10_000
_FULL_BOX_BYTES = 4


def read_nclx(data: bytes) -> CodedColor | None:
    """Read the code points of the primary picture.

    Returns:
        The description. None: the file has no code points.
    """
    try:
        return _read_nclx(data)
    except (struct.error, IndexError, ValueError):  # damaged boxes; the decoder will say more
        return None


def read_bit_depth(data: bytes) -> int | None:
    """Read the bits per channel of the primary picture. None: the file does not say."""
    try:
        body = _find_property(data, b"pixi", lambda body: len(body) > _FULL_BOX_BYTES + 1)
    except (struct.error, IndexError, ValueError):
        return None
    return None if body is None else body[_FULL_BOX_BYTES + 1]


def _read_nclx(data: bytes) -> CodedColor | None:
    body = _find_property(data, b"colr", lambda body: body[:4] == b"nclx" and len(body) >= 10)
    if body is None:
        return None
    primaries, transfer = struct.unpack_from(">HH", body, 4)
    return CodedColor.from_code_points(primaries, transfer)


def _find_property(data: bytes, name: bytes, accept: Callable[[bytes], bool]) -> bytes | None:
    """Return the content of a property of the primary picture. None: there is none."""
    meta = dict(_split_boxes(dict(_split_boxes(data)).get(b"meta", b"")[_FULL_BOX_BYTES:]))
    properties = dict(_split_boxes(meta.get(b"iprp", b"")))
    described = list(_split_boxes(properties.get(b"ipco", b"")))
    bodies = {
        place: body
        for place, (kind, body) in enumerate(described, 1)
        if kind == name and accept(body)
    }
    if not bodies:
        return None
    primary = _read_primary(meta.get(b"pitm", b""))
    own = _read_associations(properties.get(b"ipma", b"")).get(primary, [])
    # A picture of tiles may leave the description to its tiles.
    return next((bodies[place] for place in own if place in bodies), next(iter(bodies.values())))


def _split_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the types and contents of boxes that follow each other."""
    place = 0
    for _ in range(_MOST_BOXES):
        if place + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, place + 8)
            head = 16
        if length == 0:
            length = len(data) - place
        if length < head:
            return
        yield kind, data[place + head : place + length]
        place += length


def _read_primary(body: bytes) -> int:
    """Read the number of the primary picture from the content of ``pitm``."""
    if not body:
        return 0
    return int.from_bytes(body[4:8] if body[0] else body[4:6])


def _read_associations(body: bytes) -> dict[int, list[int]]:
    """Read the properties of each picture from the content of ``ipma``, counted from 1."""
    if not body:
        return {}
    version, is_long = body[0], body[3] & 1
    (count,) = struct.unpack_from(">I", body, 4)
    place, result = 8, dict[int, list[int]]()
    for _ in range(min(count, _MOST_BOXES)):
        size = 4 if version else 2
        item = int.from_bytes(body[place : place + size])
        number = body[place + size]
        place += size + 1
        width = 2 if is_long else 1
        mask = 0x7FFF if is_long else 0x7F
        ends = range(place, place + number * width, width)
        result[item] = [int.from_bytes(body[at : at + width]) & mask for at in ends]
        place += number * width
    return result
