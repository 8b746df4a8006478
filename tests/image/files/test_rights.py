"""Metadata that is kept: rights from every place, and nothing that contradicts the result."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from conftest import synthetic_photo
from images import encode_image, encode_tiff
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.files.metadata import read_record
from impasto.image.files.rights import merge_rights, parse_xmp_rights

PHOTO = synthetic_photo(32, 24)
XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmpRights:WebStatement="https://example.org/l?a=1&amp;b=2"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" tiff:Orientation="6">
<dc:creator><rdf:Seq><rdf:li>Ada B</rdf:li><rdf:li>Bob</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© Ada &lt;2026&gt;</rdf:li></rdf:Alt></dc:rights>
<xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang="en">CC BY 4.0</rdf:li></rdf:Alt>
</xmpRights:UsageTerms></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
EXPECTED = {
    "dc:rights": "© Ada <2026>",
    "xmpRights:UsageTerms": "CC BY 4.0",
    "dc:creator": "Ada B, Bob",
    "xmpRights:WebStatement": "https://example.org/l?a=1&b=2",
}
SUBJECT_AREA = 0x9214
OUTPUTS = [("png", 8), ("png", 16), ("jpg", 8), ("webp", 8), ("tif", 8), ("tif", 16), ("avif", 8)]


def iptc(*datasets: tuple[int, bytes]) -> bytes:
    return b"".join(
        struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text for number, text in datasets
    )


def jpeg_with_iptc(data: bytes) -> bytes:
    block = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHL", 0x0404, 0, len(data)) + data
    block += bytes(len(data) % 2)
    jpeg = encode_image(Image.fromarray(PHOTO), "JPEG")
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def copy(data: bytes, target, depth: int = 8, **options) -> dict[str, str]:
    """Write a picture again and return the rights in the file."""
    write_picture(read_picture(data), target, depth=depth, **options)
    return dict(read_picture(target).metadata.rights)


@pytest.mark.parametrize(("suffix", "depth"), OUTPUTS)
def test_rights_in_xmp_are_kept(suffix, depth, tmp_path):
    data = encode_image(Image.fromarray(PHOTO), "JPEG", xmp=XMP.encode())
    target = tmp_path / f"out.{suffix}"
    assert copy(data, target, depth, record='{"a": 1}') == EXPECTED
    assert read_record(target) == '{"a": 1}'
    assert "tiff:Orientation" not in target.read_bytes().decode("latin-1")
    without = tmp_path / f"without.{suffix}"
    assert copy(data, without, depth, keep_metadata=False) == {}


@pytest.mark.parametrize(("suffix", "depth"), OUTPUTS)
def test_rights_in_iptc_are_kept(suffix, depth, tmp_path):
    data = jpeg_with_iptc(iptc((80, b"Ada"), (80, b"Bob"), (116, "© Ada".encode()), (5, b"x")))
    expected = {"dc:rights": "© Ada", "dc:creator": "Ada, Bob"}
    assert copy(data, tmp_path / f"out.{suffix}", depth) == expected


def test_rights_in_the_tags_of_a_tiff_are_kept(tmp_path):
    datasets = iptc((116, b"Ada"))
    datasets += bytes(-len(datasets) % 4)
    for tag in (
        (700, "B", len(XMP.encode()), XMP.encode(), True),
        (33_723, "B", len(datasets), datasets, True),
        (33_723, "I", len(datasets) // 4, struct.unpack(f"<{len(datasets) // 4}I", datasets), True),
    ):
        data = encode_tiff(PHOTO, photometric="rgb", extratags=[tag])
        rights = copy(data, tmp_path / f"{tag[0]}{tag[1]}.png")
        assert rights["dc:rights"] in ("Ada", EXPECTED["dc:rights"])


@pytest.mark.parametrize(("suffix", "depth"), OUTPUTS)
@pytest.mark.parametrize("international", [False, True])
def test_rights_in_the_text_of_a_png_are_kept(international, suffix, depth, tmp_path):
    text = PngInfo()
    add = text.add_itxt if international else text.add_text
    add("Copyright", "(c) Ada")
    add("Author", "Ada")
    add("Software", "Brush 3")
    target = tmp_path / f"out.{suffix}"
    data = encode_image(Image.fromarray(PHOTO), "PNG", pnginfo=text)
    assert copy(data, target, depth) == {"dc:rights": "(c) Ada", "dc:creator": "Ada"}
    if suffix == "png":
        with Image.open(target) as image:
            image.load()
            assert image.text["Copyright"] == "(c) Ada"
            assert "Software" not in image.text


@pytest.mark.parametrize(
    "packet",
    [b"", b"\xff\xfe\x00", b"<dc:rights>", 7, None, "<dc:rights><rdf:li>" * 50, XMP[:300].encode()],
)
def test_damaged_metadata_costs_the_metadata_only(packet):
    parse_xmp_rights(packet)
    merge_rights(packet, packet if isinstance(packet, bytes) else b"\x1c\x02t\xff\xffAda")


def test_what_cannot_be_written_as_xml_is_left_out(tmp_path):
    text = PngInfo()
    text.add_itxt("Copyright", 'Ada\x00\x07 & "Bob" </dc:rights>')
    data = encode_image(Image.fromarray(PHOTO), "PNG", pnginfo=text)
    assert copy(data, tmp_path / "a.jpg") == {"dc:rights": 'Ada & "Bob" </dc:rights>'}


@pytest.mark.parametrize(("suffix", "depth"), OUTPUTS)
def test_exif_states_the_size_and_colors_of_the_result(suffix, depth, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Copyright] = "Ada"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.ExifImageWidth] = 4000
    details[ExifTags.Base.ExifImageHeight] = 3000
    details[ExifTags.Base.ColorSpace] = 65_535
    details[ExifTags.Base.Gamma] = 2.2
    details[SUBJECT_AREA] = (5, 6, 7, 8)
    details[ExifTags.Base.FNumber] = 2.8
    data = encode_image(Image.fromarray(PHOTO), "JPEG", exif=exif)
    target = tmp_path / f"out.{suffix}"
    write_picture(read_picture(data).resize(12, 16), target, depth=depth)
    with Image.open(target) as image:
        assert image.size == (12, 16)
        tags = image.getexif()
        inner_tags = tags.get_ifd(ExifTags.IFD.Exif)
        assert tags[ExifTags.Base.Copyright] == "Ada"
        assert tags.get(ExifTags.Base.Orientation, 1) == 1
    assert inner_tags[ExifTags.Base.ExifImageWidth] == 12
    assert inner_tags[ExifTags.Base.ExifImageHeight] == 16
    assert inner_tags[ExifTags.Base.ColorSpace] == 1
    assert float(inner_tags[ExifTags.Base.FNumber]) == pytest.approx(2.8)
    assert not {ExifTags.Base.Gamma, SUBJECT_AREA} & set(inner_tags)


def test_a_thumbnail_is_not_kept(tmp_path):
    thumbnail = encode_image(Image.fromarray(PHOTO[:8, :8]), "JPEG")
    head = b"Exif\0\0II*\0" + struct.pack("<L", 8)
    first = struct.pack("<HHHLL", 1, 0x0112, 3, 1, 1) + struct.pack("<L", 26)
    second = struct.pack("<HHHLL", 2, 0x0201, 4, 1, 56)
    second += struct.pack("<HHLL", 0x0202, 4, 1, len(thumbnail)) + bytes(4)
    exif = head + first + second + thumbnail
    data = encode_image(Image.fromarray(np.asarray(PHOTO)), "JPEG", exif=exif)
    assert data.count(b"\xff\xd8\xff") == 2
    stream = io.BytesIO()
    write_picture(read_picture(data), stream, format="JPEG")
    assert stream.getvalue().count(b"\xff\xd8\xff") == 1
