"""Read and write who owns a picture and how it may be used: in XMP, IPTC and PNG's text.

EXIF's own fields travel with the EXIF block, see :mod:`impasto.image.files.metadata`. The others
are written as XMP, and into PNG also as text. Nothing is parsed as a document: a photo may come
from anyone.
"""

from __future__ import annotations

import contextlib
import html
import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

Rights = tuple[tuple[str, str], ...]
"""Names of XMP properties, such as ``dc:rights``, and their texts."""

_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "cc": "http://creativecommons.org/ns#",
}
_ALTERNATIVES = ("dc:rights", "xmpRights:UsageTerms")
"""Properties with a text for each language."""
_LISTS = ("dc:creator",)
_PLAIN = (
    "xmpRights:Marked",
    "xmpRights:WebStatement",
    "photoshop:Credit",
    "photoshop:Source",
    "cc:license",
)
_PROPERTIES = (*_ALTERNATIVES, *_LISTS, *_PLAIN)
_IPTC = {
    (2, 80): "dc:creator",
    (2, 116): "dc:rights",
    (2, 110): "photoshop:Credit",
    (2, 115): "photoshop:Source",
}
PNG_TEXTS = {
    "Author": "dc:creator",
    "Copyright": "dc:rights",
    "Disclaimer": "xmpRights:UsageTerms",
    "Source": "photoshop:Source",
}
_XMP_TAG = 700
_IPTC_MARKER = b"\x1c"
_PHOTOSHOP_IPTC = 0x0404
"""Number of Photoshop's resource that holds IPTC in a JPEG."""
_LONGEST_PACKET = 2**20
_LONGEST_TEXT = 4000
_TAGS = re.compile(r"<[^>]*>")
_ITEM = re.compile(r"<rdf:li\b[^>]*>(.*?)</rdf:li>", re.DOTALL)


def read_rights(image: Image.Image) -> Rights:
    """Read the rights of an image of Pillow that has been decoded."""
    iptc = None
    with contextlib.suppress(Exception):  # damaged metadata costs the metadata only
        iptc = image.info["photoshop"][_PHOTOSHOP_IPTC]
    texts: dict[str, Any] = {}
    with contextlib.suppress(Exception):
        texts = getattr(image, "text", {}) if image.format == "PNG" else {}
    tags = getattr(image, "tag_v2", {})
    return merge_rights(image.info.get("xmp") or tags.get(_XMP_TAG), iptc, texts)


def merge_rights(xmp: Any, iptc: Any, texts: Mapping[str, Any] | None = None) -> Rights:
    """Collect rights; where several places state the same, XMP precedes IPTC and PNG's text.

    Args:
        xmp: a packet, bytes or text; all else is ignored.
        iptc: datasets of IPTC's IIM, bytes; all else is ignored.
        texts: PNG's texts by keyword. None: there are none.
    """
    values = {name: (texts or {}).get(key) for key, name in PNG_TEXTS.items()}
    rights = {name: _limit(str(text)) for name, text in values.items() if text}
    for read, source in ((_parse_iptc, iptc), (parse_xmp_rights, xmp)):
        with contextlib.suppress(Exception):  # damaged metadata costs the metadata only
            rights |= read(source)
    return tuple((name, rights[name]) for name in _PROPERTIES if rights.get(name))


def parse_xmp_rights(packet: Any) -> dict[str, str]:
    """Find rights in an XMP packet, bytes or text; in all else there are none."""
    if isinstance(packet, bytes):
        packet = packet[:_LONGEST_PACKET].decode("utf-8", "replace")
    if not isinstance(packet, str):
        return {}
    rights = {}
    for name in _PROPERTIES:
        element = re.search(rf"<{name}\b[^>]*>(.*?)</{name}>", packet, re.DOTALL)
        attribute = re.search(rf"""\b{name}\s*=\s*("[^"]*"|'[^']*')""", packet)
        resource = re.search(rf"""<{name}\s[^>]*rdf:resource=["']([^"']*)["']""", packet)
        if element is not None:
            items = _ITEM.findall(element[1]) or [element[1]]
            texts = [_TAGS.sub("", each).strip() for each in items]
            text = ", ".join(texts) if name in _LISTS else texts[0]
        elif attribute is not None:
            text = attribute[1][1:-1]
        elif resource is not None:
            text = resource[1]
        else:
            continue
        rights[name] = _limit(html.unescape(text))
    return rights


def _parse_iptc(data: Any) -> dict[str, str]:
    """Find rights in datasets: a marker, two numbers, a length and a text each."""
    values: dict[str, list[str]] = {}
    place = data.find(_IPTC_MARKER) if isinstance(data, bytes) else -1
    while 0 <= place <= len(data) - 5 and data[place : place + 1] == _IPTC_MARKER:
        record, number, length = struct.unpack_from(">BBH", data, place + 1)
        text = data[place + 5 : place + 5 + length]
        name = _IPTC.get((record, number))
        if name is not None:
            values.setdefault(name, []).append(_decode(text))
        place += 5 + length
    return {name: _limit(", ".join(texts)) for name, texts in values.items()}


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _limit(text: str) -> str:
    """Remove what XML cannot hold, and shorten."""
    return "".join(c for c in text if c.isprintable() or c in "\t\n")[:_LONGEST_TEXT].strip()


def write_xmp_rights(rights: Rights) -> str:
    """Write the rest of an ``rdf:Description`` element from its attributes on, with rights."""
    if not rights:
        return "/>"
    prefixes = dict.fromkeys(name.split(":")[0] for name, _ in rights)
    spaces = "".join(f' xmlns:{each}="{_NAMESPACES[each]}"' for each in prefixes)
    elements = "".join(f"<{name}>{_wrap(name, text)}</{name}>" for name, text in rights)
    return f"{spaces}>{elements}</rdf:Description>"


def _wrap(name: str, text: str) -> str:
    text = html.escape(text, quote=False)
    if name in _ALTERNATIVES:
        return f'<rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt>'
    if name in _LISTS:
        return f"<rdf:Seq><rdf:li>{text}</rdf:li></rdf:Seq>"
    return text


def choose_png_texts(rights: Rights) -> dict[str, str]:
    """Choose the texts of a PNG that say the same as some rights, by keyword."""
    named = dict(rights)
    return {key: named[name] for key, name in PNG_TEXTS.items() if name in named}
