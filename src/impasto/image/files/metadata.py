"""What travels with a picture: EXIF in and out, and the recipe inside the file.

PNG carries the recipe in an ``iTXt`` chunk, the other formats in an XMP packet. Both survive
renaming and copying, and neither is ever executed or parsed as a document.
"""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

from PIL import ExifTags, Image

from impasto.errors import ImageError
from impasto.image.files.sniff import HEAD, sniff_format

KEYWORD = "impasto"
"""Of the PNG text chunk and the XMP attribute that hold the record."""
_XMP_RECORD = re.compile(rb'impasto:record="([^"]*)"')


_DESCRIBING = {
    *(270, 271, 272, 274, 282, 283, 296, 306, 315, 316, 18_246, 33_432, 34_665, 34_853),
    *range(40_091, 40_096),
}
"""Tags about the photo: its text, camera, orientation, resolution, times, rights, Exif, GPS. All
others of a TIFF's first directory are about how its own pixels are stored."""
_INCH = 2
UPRIGHT = 1
"""The EXIF orientation of a picture that needs no turning."""


def clean_exif(image: Image.Image) -> tuple[int, bytes | None]:
    """The orientation (1 to 8, or 1 if unreadable), and the EXIF block to keep.

    The block comes back upright, and without thumbnail or anything else that would contradict the
    new picture.
    """
    try:
        exif = image.getexif()
        orientation = int(exif.get(ExifTags.Base.Orientation, 1))
        if not len(exif):
            return orientation, None
        for tag in set(exif) - _DESCRIBING:
            del exif[tag]
        exif[ExifTags.Base.Orientation] = UPRIGHT
        exif.bigtiff = False
        kept = exif.tobytes()
    except Exception:  # a damaged EXIF block costs the block, not the picture
        return UPRIGHT, None
    return orientation, kept


def add_resolution(exif: bytes | None, dpi: float) -> bytes:
    """An EXIF block, or a new one, that says how many pixels an inch of the print has."""
    block = Image.Exif()
    if exif is not None:
        block.load(exif)
    for tag in (ExifTags.Base.XResolution, ExifTags.Base.YResolution):
        block[tag] = dpi
    block[ExifTags.Base.ResolutionUnit] = _INCH
    return block.tobytes()


def build_xmp_packet(record: str) -> bytes:
    """An XMP packet with the record as an attribute."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:impasto="urn:impasto:1" '
        f'impasto:record="{html.escape(record, quote=True)}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def read_record(source: Path | bytes) -> str | None:
    """The record inside a picture; none if there is none.

    Raises:
        ImageError: not a picture, or unreadable.
    """
    name = "the data" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror})") from None
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
        raise ImageError(f"{name}: damaged or not readable ({reason})") from None
    if isinstance(packet, str):
        packet = packet.encode()
    found = _XMP_RECORD.search(packet) if isinstance(packet, bytes) else None
    return html.unescape(found[1].decode("utf-8")) if found else None
