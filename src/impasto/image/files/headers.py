"""Check what a picture's header asks for before a decoder sees the file.

A few bytes can ask for gigabytes of memory, or for minutes of work. Nothing is decoded here, and
only as much is read as is needed for the first picture of the file.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Literal

from impasto.errors import ImageError, LimitError
from impasto.image.files.limits import MIB, Limits

Data = bytes | mmap

BYTES_PER_PIXEL = 16
"""Decoded bytes that are allowed per allowed pixel: four samples of 32 bits."""
MAX_SCANS = 100
"""Scans of a progressive JPEG; encoders write about ten. Each takes as long as a whole picture."""
MAX_PARTS = 100_000
"""Chunks, boxes or blocks of a file that are read one by one."""
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by PNG's color type."""
_TIFF_BYTES = {1: 1, 3: 2, 4: 4, 16: 8}
"""Bytes of a value by TIFF's type: BYTE, SHORT, LONG and LONG8."""
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _DEPTH = (
    *(256, 257, 258, 277, 322, 323),
    32_997,
)
_MAX_TAGS = 4096
_CODING_UNIT = 64
"""Pixels by which the sizes in AVIF and HEIC may exceed those of the pictures."""
_MAX_DEPTH = 8
"""Boxes inside each other."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The next marker of a JPEG, except for those that are part of a scan's data."""
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN, _END = 0xDA, 0xD9
_ALONE = frozenset({*range(0x01, 0xC0), *range(0xD0, 0xD9)})
"""JPEG's markers without a length. Those below 0xC0 are reserved; decoders refuse them, or skip the
two bytes alone within a scan's data."""


@dataclass(frozen=True)
class Extent:
    """What a picture takes when it is decoded, as its header says.

    Attributes:
        width, height: in pixels.
        samples: per pixel.
        bits: per sample.
    """

    width: int
    height: int
    samples: int = 4
    bits: int = 8

    @property
    def byte_count(self) -> int:
        """Bytes of all samples."""
        return self.width * self.height * self.samples * max(1, -(-self.bits // 8))


def check_header(data: Data, kind: str, limits: Limits, name: str) -> None:
    """Check what a picture asks for. Headers that cannot be read are left to the decoder.

    Args:
        data: the file.
        kind: Pillow's name of its format.
        limits: limits of pixels and sides.
        name: name of the file in messages.

    Raises:
        LimitError: the picture is too large, or takes too long to decode.
        ImageError: the file has several headers.
    """
    for extent in read_extents(data, kind):
        width, height = extent.width, extent.height
        if kind in ("AVIF", "HEIF"):
            width, height = max(1, width - _CODING_UNIT), max(1, height - _CODING_UNIT)
        if width * height > limits.max_pixels or max(width, height) > limits.max_side:
            limits.check_size(width, height, name)
        limit = limits.max_pixels * BYTES_PER_PIXEL
        if extent.byte_count > limit:
            raise LimitError(
                f"{width}x{height} px with {extent.samples} samples of {extent.bits} bits take "
                f"{extent.byte_count / MIB:.0f} MiB, over the limit of {limit / MIB:.0f} MiB",
                where=name,
                limit=limit,
            )
    if kind == "PNG":
        _check_chunks(data, name)
    elif kind == "JPEG":
        _check_scans(data, name)


def read_extents(data: Data, kind: str) -> list[Extent]:
    """Read what the header says about the sizes of the first picture and its tiles.

    Args:
        data: the file.
        kind: Pillow's name of its format.

    Returns:
        As many as can be read; none if the header is damaged from its beginning.
    """
    readers = {
        "PNG": _read_png,
        "JPEG": _read_jpeg,
        "TIFF": _read_tiff,
        "WEBP": _read_webp,
        "GIF": _read_gif,
        "BMP": _read_bmp,
        "AVIF": _read_boxes,
        "HEIF": _read_boxes,
    }
    extents: list[Extent] = []
    with contextlib.suppress(struct.error, IndexError, ValueError):
        extents.extend(readers[kind](data))
    return extents


def _read_png(data: Data) -> Iterator[Extent]:
    width, height, bits, color = struct.unpack_from(">IIBB", data, 16)
    yield Extent(width, height, _PNG_SAMPLES.get(color, 4), bits)


def _check_chunks(data: Data, name: str) -> None:
    """Refuse a second header, by which decoders replace the first one."""
    place = 33  # after the first header
    for _ in range(MAX_PARTS):
        if place + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"IHDR":
            raise ImageError("damaged: it has a second header", where=name)
        if kind == b"IEND":
            return
        place += 12 + length
    raise LimitError(f"more than {MAX_PARTS} chunks", where=name, limit=MAX_PARTS)


def _list_segments(data: Data) -> Iterator[tuple[int, int]]:
    """Yield the markers of a JPEG's first picture, and the places after them."""
    place = 2
    while (match := _MARKER.search(data, place)) is not None:
        marker, place = data[match.end() - 1], match.end()
        yield marker, place
        if marker == _END:
            return
        if marker not in _ALONE and place + 2 <= len(data):
            place += max(2, int.from_bytes(data[place : place + 2]))


def _read_jpeg(data: Data) -> Iterator[Extent]:
    for count, (marker, place) in enumerate(_list_segments(data)):
        if marker in _FRAME_HEADERS:
            bits, height, width, samples = struct.unpack_from(">BHHB", data, place + 2)
            yield Extent(width, height, samples, bits)
        if marker == _START_OF_SCAN or count > MAX_PARTS:
            return


def _check_scans(data: Data, name: str) -> None:
    scans = 0
    for count, (marker, _) in enumerate(_list_segments(data)):
        scans += marker == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise LimitError(
                f"more than {MAX_SCANS} scans; save it as an ordinary JPEG",
                where=name,
                limit=MAX_SCANS,
            )
        if count > MAX_PARTS:
            raise LimitError(f"more than {MAX_PARTS} segments", where=name, limit=MAX_PARTS)


def _read_tiff(data: Data) -> Iterator[Extent]:
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    offset, length, entry = ("Q", "Q", 20) if is_big else ("L", "H", 12)
    (first,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
    (tags,) = struct.unpack_from(order + length, data, first)
    start = first + struct.calcsize(order + length)
    values: dict[int, list[int]] = {}
    for begin in range(start, start + entry * min(tags, _MAX_TAGS), entry):
        tag, kind, number = struct.unpack_from(f"{order}HH{offset}", data, begin)
        if tag in (_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _DEPTH):
            head, size = struct.calcsize(f"{order}HH{offset}"), _TIFF_BYTES.get(kind, 1)
            if size * number > len(data):  # damaged
                continue
            count, place = min(number, _MAX_TAGS), begin + head
            if size * count > entry - head:
                (place,) = struct.unpack_from(order + offset, data, place)
            raw = data[place : place + size * count]
            byte_order: Literal["little", "big"] = "little" if order == "<" else "big"
            values.setdefault(tag, []).extend(
                int.from_bytes(raw[at : at + size], byte_order) for at in range(0, len(raw), size)
            )

    def find_largest(tag: int, default: int) -> int:
        return max(values.get(tag, [default]), default=default)

    samples, bits = find_largest(_SAMPLES, 1), find_largest(_BITS, 1)
    samples *= find_largest(_DEPTH, 1)
    yield Extent(find_largest(_WIDTH, 0), find_largest(_HEIGHT, 0), samples, bits)
    if _TILE_WIDTH in values:
        yield Extent(find_largest(_TILE_WIDTH, 0), find_largest(_TILE_HEIGHT, 0), samples, bits)


def _read_webp(data: Data) -> Iterator[Extent]:
    place = 12
    for _ in range(MAX_PARTS):
        if place + 18 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, place)
        body = data[place + 8 : place + 18]
        if kind == b"VP8X":
            yield Extent(
                1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
            )
        elif kind == b"VP8L":
            packed = int.from_bytes(body[1:5], "little")
            yield Extent(1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF))
        elif kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", body, 6)
            yield Extent(width & 0x3FFF, height & 0x3FFF)
        place += 8 + length + length % 2


def _read_gif(data: Data) -> Iterator[Extent]:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    yield Extent(width, height, 1)
    place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    is_extension = False
    for _ in range(MAX_PARTS):
        if is_extension:  # of blocks with their lengths, until an empty one
            is_extension = data[place] != 0
            place += 1 + data[place]
        elif data[place] == 0x21:
            is_extension = True
            place += 2
        elif data[place] == 0x2C:  # a frame, which may be larger than the screen
            left, top, width, height = struct.unpack_from("<HHHH", data, place + 1)
            yield Extent(left + width, top + height, 1)
            return
        else:
            return


def _read_bmp(data: Data) -> Iterator[Extent]:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    yield Extent(abs(width), abs(height))


def _read_boxes(data: Data) -> Iterator[Extent]:
    """Yield the sizes in a file of the MPEG-4 family, of pictures and of tracks."""
    yield from _walk_boxes(data, 0, len(data), [MAX_PARTS])


_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0}
"""Boxes of boxes, and the bytes before the first of them."""


def _walk_boxes(
    data: Data, start: int, end: int, budget: list[int], depth: int = 0
) -> Iterator[Extent]:
    while start + 8 <= end and budget[0] > 0:
        budget[0] -= 1
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = end if length == 0 else min(end, start + length)
        if stop < start + head:
            return
        if kind == b"ispe":
            width, height = struct.unpack_from(">II", data, start + head + 4)
            yield Extent(width, height)
        elif kind == b"tkhd":
            width, height = struct.unpack_from(">II", data, stop - 8)
            yield Extent(width >> 16, height >> 16)
        elif kind in _CONTAINERS and depth < _MAX_DEPTH:
            inside = start + head + _CONTAINERS[kind]
            yield from _walk_boxes(data, inside, stop, budget, depth + 1)
        start = stop
