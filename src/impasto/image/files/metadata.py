"""Read and write what a picture's file says about it: EXIF, rights, and the embedded record.

PNG holds the record in an ``iTXt`` chunk, the other formats in an XMP packet. Both survive renaming
and copying. Neither is ever executed or parsed as a document.
"""

from __future__ import annotations

import html
import io
import re
import struct
from pathlib import Path

from PIL import ExifTags, Image

from impasto.errors import ImageError
from impasto.image.files.rights import Rights, write_xmp_rights
from impasto.image.files.sniff import HEAD, sniff_format

KEYWORD = "impasto"
"""Keyword of the PNG text chunk that holds the record."""
UPRIGHT = 1
"""EXIF orientation of a picture that needs no rotation."""
_XMP_RECORD = re.compile(rb'impasto:record="([^"]*)"')
_DESCRIPTIVE_TAGS = {
    *(270, 271, 272, 274, 282, 283, 296, 306, 315, 316, 18_246, 33_432, 34_665, 34_853),
    *range(40_091, 40_096),
}
"""Tags that describe the photo: text, camera, orientation, resolution, times, rights, Exif, GPS.
All other tags of a TIFF's first directory describe how its pixels are stored."""
_CONTRADICTING_TAGS = {
    *(37_121, 37_122, 37_396, 40_961, 40_962, 40_963, 40_965),
    *(41_486, 41_487, 41_488, 41_492, 42_240),
}
"""Tags of the Exif section about the pixels of the photo: components, compression, subject area,
color space, size, interoperability, pixels per length on the sensor, subject location, gamma."""
_EXIF_SRGB = 1
_INCH = 2
_TIFF_ENTRY_BYTES = 12


def clean_exif(exif: Image.Exif) -> tuple[int, bytes | None]:
    """Read the orientation of a picture and the EXIF block to keep.

    The block is upright, without a thumbnail or anything else that contradicts the new picture.

    Returns:
        The orientation, 1 to 8 (1 if it cannot be read), and the block. None: there is no block.
    """
    try:
        orientation = int(exif.get(ExifTags.Base.Orientation, UPRIGHT))
        if not len(exif):
            return orientation, None
        for tag in set(exif) - _DESCRIPTIVE_TAGS:
            del exif[tag]
        details = exif.get_ifd(ExifTags.IFD.Exif)
        for tag in set(details) & _CONTRADICTING_TAGS:
            del details[tag]
        exif[ExifTags.Base.Orientation] = UPRIGHT
        exif.bigtiff = False
        block = exif.tobytes()
    except Exception:  # a damaged EXIF block costs the block, not the picture
        return UPRIGHT, None
    return orientation, block


def state_size(exif: bytes, width: int, height: int) -> bytes:
    """State the size in pixels, and sRGB, in an EXIF block that has the section for them."""
    block = Image.Exif()
    block.load(exif)
    details = block.get_ifd(ExifTags.IFD.Exif)
    if not details:
        return exif
    details[ExifTags.Base.ExifImageWidth] = width
    details[ExifTags.Base.ExifImageHeight] = height
    details[ExifTags.Base.ColorSpace] = _EXIF_SRGB
    return block.tobytes()


def add_resolution(exif: bytes | None, dpi: float) -> bytes:
    """Set the print resolution, in pixels per inch, in an EXIF block or in a new one."""
    block = Image.Exif()
    if exif is not None:
        block.load(exif)
    for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution):
        block[tag] = dpi
    block[ExifTags.Base.ResolutionUnit] = _INCH
    return block.tobytes()


def add_exif_to_tiff(tiff: bytes, exif: bytes) -> bytes:
    """Add the tags of an EXIF block to a finished TIFF; tags of the TIFF itself take precedence.

    Neither Pillow nor tifffile can write EXIF's sub-directories into a compressed TIFF. The first
    directory moves to the end of the file; pixels and values stay where they are.

    Args:
        tiff: a little-endian TIFF of one page.
        exif: a block like :attr:`impasto.image.picture.Metadata.exif`.
    """
    block = Image.Exif()
    block.load(exif)
    block.endian = "<"
    tiff += bytes(len(tiff) % 2)
    # Pillow places the values as if its directory lay at this position of the file. The directory
    # follows six letters and a header of eight bytes.
    added = block.tobytes(len(tiff))[14:]
    added += bytes(len(added) % 2)
    (first,) = struct.unpack_from("<L", tiff, 4)
    entries = sorted({**_read_entries(added, 0), **_read_entries(tiff, first)}.items())
    directory = struct.pack("<H", len(entries)) + b"".join(entry for _, entry in entries)
    place = struct.pack("<L", len(tiff) + len(added))
    return tiff[:4] + place + tiff[8:] + added + directory + bytes(4)


def _read_entries(data: bytes, start: int) -> dict[int, bytes]:
    """Read the raw entries of a TIFF directory, by tag."""
    (count,) = struct.unpack_from("<H", data, start)
    stop = start + 2 + count * _TIFF_ENTRY_BYTES
    return {
        struct.unpack_from("<H", data, place)[0]: data[place : place + _TIFF_ENTRY_BYTES]
        for place in range(start + 2, stop, _TIFF_ENTRY_BYTES)
    }


def build_xmp_packet(record: str | None, rights: Rights = ()) -> bytes:
    """Build an XMP packet with the record as an attribute, and rights.

    Args:
        record: the text. None: the packet holds rights only.
        rights: names and texts, see :mod:`impasto.image.files.rights`.
    """
    attribute = "" if record is None else f'impasto:record="{html.escape(record, quote=True)}"'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:impasto="urn:impasto:1" '
        f"{attribute}{write_xmp_rights(rights)}"
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def read_record(source: Path | bytes) -> str | None:
    """Read the record inside a picture file.

    Returns:
        The text. None: the picture has no record.

    Raises:
        ImageError: the file is not a picture, or cannot be read.
    """
    name = "the data" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})", where=name) from None
    kind = sniff_format(data[:HEAD], name)
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            text = getattr(image, "text", {}).get(KEYWORD)
            if text is not None:
                return str(text)
            packet = image.info.get("xmp")
            if packet is None and kind == "TIFF":
                packet = getattr(image, "tag_v2", {}).get(700)
    except Exception as error:  # Pillow's plugins raise many types for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise ImageError(f"damaged or not readable ({reason})", where=name) from None
    if isinstance(packet, str):
        packet = packet.encode()
    match = _XMP_RECORD.search(packet) if isinstance(packet, bytes) else None
    if match is None:
        return None
    try:
        return html.unescape(match[1].decode("utf-8"))
    except UnicodeDecodeError:
        raise ImageError("its record is damaged", where=name, expected="UTF-8") from None
