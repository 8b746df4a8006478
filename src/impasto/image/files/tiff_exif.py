"""EXIF into a finished TIFF: neither Pillow nor tifffile writes its sub-directories compressed."""

from __future__ import annotations

import struct

from PIL import Image

_ENTRY = 12


def add_exif_to_tiff(tiff: bytes, exif: bytes) -> bytes:
    """A little-endian TIFF of one page with an EXIF block's tags, where it has none of its own.

    Its first directory moves to the end of the file; pixels and values stay where they are.

    Args:
        tiff: the file.
        exif: as :attr:`impasto.image.picture.Metadata.exif`.
    """
    block = Image.Exif()
    block.load(exif)
    block.endian = "<"
    tiff += bytes(len(tiff) % 2)
    # Pillow writes the values as if its directory, which follows six letters and an eight-byte
    # header, lay at this place of the file.
    added = block.tobytes(len(tiff))[14:]
    added += bytes(len(added) % 2)
    (first,) = struct.unpack_from("<L", tiff, 4)
    entries = sorted({**_entries(added, 0), **_entries(tiff, first)}.items())
    directory = struct.pack("<H", len(entries)) + b"".join(entry for _, entry in entries)
    place = struct.pack("<L", len(tiff) + len(added))
    return tiff[:4] + place + tiff[8:] + added + directory + bytes(4)


def _entries(data: bytes, start: int) -> dict[int, bytes]:
    """A directory's entries as they are stored, by tag."""
    (count,) = struct.unpack_from("<H", data, start)
    places = range(start + 2, start + 2 + count * _ENTRY, _ENTRY)
    return {
        struct.unpack_from("<H", data, place)[0]: data[place : place + _ENTRY] for place in places
    }
