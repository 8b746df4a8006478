"""Read what a PNG's chunks say beyond what Pillow reads: colors, damage, and rights in text."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from impasto.image.color.coded import (
    SRGB_PRIMARIES,
    Chromaticities,
    CodedColor,
    compute_matrix,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANCILLARY = 0x20
"""Bit of a chunk's first letter: the picture can be shown without the chunk."""
_SRGB_POWER = 2.2
_PLAUSIBLE_POWERS = (0.2, 5.0)
_NEAR = 0.02
"""Largest difference of powers or chromaticities that are taken for those of sRGB."""


def split_chunks(data: bytes) -> Iterator[tuple[int, bytes, bytes, bool]]:
    """Yield position, type, content and whether the checksum is right, up to any damage."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        stored = data[place + 8 + length : place + 12 + length]
        if len(body) < length or len(stored) < 4:
            return
        is_right = kind == b"IDAT" or zlib.crc32(kind + body) == int.from_bytes(stored)
        yield place, kind, body, is_right
        place += 12 + length


def drop_damaged_chunks(data: bytes) -> tuple[bytes, list[str]]:
    """Remove the chunks whose checksum is wrong and that the picture can do without.

    Returns:
        The file, and the types of the chunks that were removed.
    """
    dropped, pieces, last = [], [], 0
    for place, kind, body, is_right in split_chunks(data):
        if not is_right and kind[0] & _ANCILLARY:
            pieces.append(data[last:place])
            last = place + 12 + len(body)
            dropped.append(kind.decode("latin-1"))
    if not dropped:
        return data, []
    return b"".join([*pieces, data[last:]]), dropped


def read_png_color(data: bytes) -> tuple[CodedColor | None, bool]:
    """Read how a PNG describes its colors.

    The priority is that of the PNG specification (third edition, section 4.3): cICP, an ICC
    profile, sRGB, gAMA and cHRM.

    Returns:
        The description, and whether it precedes an ICC profile. None: the colors are sRGB, or
        those of the profile.
    """
    chunks: dict[bytes, bytes] = {}
    for _, kind, body, is_right in split_chunks(data):
        if kind == b"IDAT":
            break
        if is_right:
            chunks.setdefault(kind, body)
    code = chunks.get(b"cICP", b"")
    if len(code) == 4:
        return CodedColor.from_code_points(code[0], code[1]), True
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return None, False
    primaries = _read_chromaticities(chunks.get(b"cHRM", b""))
    gamma = chunks.get(b"gAMA", b"")
    power = None
    if len(gamma) == 4 and any(gamma):
        power = 100_000 / int.from_bytes(gamma)
        if not _PLAUSIBLE_POWERS[0] < power < _PLAUSIBLE_POWERS[1]:
            power = None
        elif abs(power - _SRGB_POWER) < _NEAR and primaries == SRGB_PRIMARIES:
            power = None  # what programs write that mean sRGB
    return CodedColor(primaries, power=power), False


def _read_chromaticities(body: bytes) -> Chromaticities:
    """Read a cHRM chunk; white comes first. What makes no sense is taken for sRGB."""
    if len(body) != 32:
        return SRGB_PRIMARIES
    numbers = [n / 100_000 for n in struct.unpack(">8I", body)]
    white, red, green, blue = zip(numbers[0::2], numbers[1::2], strict=True)
    primaries = (red, green, blue, white)
    if np.abs(np.subtract(primaries, SRGB_PRIMARIES)).max() < _NEAR / 4:
        return SRGB_PRIMARIES
    if any(not (0 < x < 1 and 0 < y < 1) for x, y in primaries):
        return SRGB_PRIMARIES
    try:
        is_sane = np.abs(compute_matrix(primaries)).max() < 10
    except np.linalg.LinAlgError:
        is_sane = False
    return primaries if is_sane else SRGB_PRIMARIES
