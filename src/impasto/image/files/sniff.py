"""Recognize the format of a file by its first bytes; names and extensions are ignored."""

from __future__ import annotations

from impasto.errors import ImageError

ACCEPTED = "PNG, JPEG, WebP, TIFF, BMP, AVIF, GIF (first frame) or HEIC (with impasto[heic])"
HEAD = 512
"""Number of bytes that suffice to recognize a format."""

_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_REFUSED = (
    (b"%!PS", "PostScript (EPS)", "save it as PNG first"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)", "save it as PNG first"),
    (b"%PDF", "a PDF document", "save the page as PNG first"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"8BPS", "a Photoshop document", "save it as TIFF or PNG first"),
    (b"\x1f\x8b", "gzip data", "unpack it first"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000", "save it as PNG first"),
    (b"\xff\x0a", "JPEG XL", "save it as PNG first"),
    (b"\0\0\0\x0cJXL ", "JPEG XL", "save it as PNG first"),
    (b"v/1\x01", "OpenEXR", "save it as TIFF or PNG first"),
    (b"#?RADIANCE", "Radiance HDR", "save it as TIFF or PNG first"),
    (b"gimp xcf", "a GIMP document", "export it as TIFF or PNG first"),
    (b"DDS ", "a DDS texture", "save it as PNG first"),
    (b"\0\0\1\0", "an icon", "save it as PNG first"),
    (b"\x93NUMPY", "a NumPy array", "save it as TIFF or PNG first"),
    (b"ID3", "sound", "give a picture"),
    (b"OggS", "sound", "give a picture"),
    (b"fLaC", "sound", "give a picture"),
    (b"\x7fELF", "a program", "give a picture"),
)


def sniff_format(head: bytes, name: str) -> str:
    """Return Pillow's name of the format.

    Args:
        head: the first :data:`HEAD` bytes, or the whole file if it is shorter.
        name: name of the file, for the message.

    Raises:
        ImageError: the format is not accepted; the message says what the file looks like.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head.startswith(b"BM"):
        return "BMP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if _has_brand(head, _AVIF_BRANDS):
        return "AVIF"
    if _has_brand(head, _HEIC_BRANDS):
        return "HEIF"
    raise ImageError(_describe(head), where=name, expected=ACCEPTED)


def is_still_picture(head: bytes) -> bool:
    """Tell whether a file of the MPEG-4 family is a picture and not a film."""
    return _has_brand(head, (*_AVIF_BRANDS, *_HEIC_BRANDS))


def _has_brand(head: bytes, accepted: tuple[bytes, ...]) -> bool:
    if head[4:8] != b"ftyp":
        return False
    brands = head[8 : 8 + int.from_bytes(head[:4]) % 256]
    return any(brand in brands for brand in accepted)


def _describe(head: bytes) -> str:
    if not head:
        return "is empty"
    for magic, what, advice in _REFUSED:
        if head.startswith(magic):
            return f"looks like {what}, {advice}"
    is_film = head[4:8] in (b"ftyp", b"moov", b"mdat") or head.startswith(b"\x1aE\xdf\xa3")
    if is_film or (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
        return "looks like a film, paint it with `impasto video`"
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3].isspace():
        return "looks like a Netpbm picture (PPM), save it as PNG first"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "looks like an SVG drawing, rasterize it first"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<")):
        return "looks like a web page or XML, not an image"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return "looks like text, not an image"
    return "not an image of a known format"
