"""What headers ask for is bounded before anything is decoded."""

from __future__ import annotations

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from images import png_file
from impasto.errors import ImageError, LimitError
from impasto.image.files.decode import read_picture
from impasto.image.files.headers import MAX_SCANS, check_header, read_extents
from impasto.image.files.limits import Limits

LIMITS = Limits(max_pixels=100_000)
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def encode(kind: str, size: tuple[int, int] = (32, 24), **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).resize(size).save(stream, kind, **options)
    return stream.getvalue()


def add_scans(count: int) -> bytes:
    """A progressive JPEG with a last scan that is repeated."""
    data = encode("JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * count + b"\xff\xd9"


def make_tiff(*tags: tuple[int, int, int], big: bool = False, order: str = "<") -> bytes:
    head, count, entry = ("HHHQ", "Q", "HHQQ") if big else ("HL", "H", "HHLL")
    numbers = (43, 8, 0, 16) if big else (42, 8)
    data = (b"II" if order == "<" else b"MM") + struct.pack(order + head, *numbers)
    data += struct.pack(order + count, len(tags))
    for tag, kind, value in tags:
        shift = 16 if order == ">" and kind == 3 else 0
        data += struct.pack(order + entry, tag, kind, 1, value << shift)
    return data + bytes(16)


def make_box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def make_avif(width: int, height: int) -> bytes:
    size = make_box(b"ispe", struct.pack(">III", 0, width, height))
    meta = make_box(b"meta", bytes(4) + make_box(b"iprp", make_box(b"ipco", size)))
    return make_box(b"ftyp", b"avif" + bytes(4) + b"avif") + meta


def make_webp(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk + bytes(8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF"])
def test_headers_say_the_size(kind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    extents = read_extents(encode(kind, (40, 28)), kind)
    expected = (64, 64) if kind == "HEIF" else (40, 28)  # a whole coding unit, which is cropped
    assert {(each.width, each.height) for each in extents} == {expected}
    check_header(encode(kind), kind, LIMITS, "it")


LARGE = [
    ("PNG", png_file((400, 300, 8, 2, 0), b""), "400x300 px"),
    ("JPEG", b"\xff\xd8\xff\xc2\x00\x11\x08\x01\x2c\x01\x90\x03" + bytes(20), "400x300 px"),
    ("TIFF", make_tiff((256, 3, 400), (257, 3, 300)), "400x300 px"),
    ("TIFF", make_tiff((256, 3, 400), (257, 3, 300), order=">"), "400x300 px"),
    ("TIFF", make_tiff((256, 4, 400), (257, 4, 300), big=True), "400x300 px"),
    ("TIFF", make_tiff((256, 3, 9), (257, 3, 9), (277, 3, 65_535), (258, 3, 16)), "samples"),
    ("TIFF", make_tiff((256, 3, 9), (256, 3, 400), (257, 3, 300)), "400x300 px"),
    ("TIFF", make_tiff((256, 3, 9), (257, 3, 9), (322, 3, 4096), (323, 3, 4096)), "4096x4096"),
    ("TIFF", make_tiff((256, 3, 99), (257, 3, 99), (258, 3, 64), (32_997, 3, 99)), "samples"),
    ("WEBP", make_webp(b"VP8X", struct.pack("<I", 0) + b"\x8f\x01\0\x2b\x01\0"), "400x300 px"),
    ("WEBP", make_webp(b"VP8L", b"\x2f" + struct.pack("<I", 399 | 299 << 14) + b"\0"), "400x300"),
    ("WEBP", make_webp(b"VP8 ", bytes(6) + struct.pack("<HH", 400, 300)), "400x300 px"),
    ("GIF", b"GIF89a" + struct.pack("<HHBBB", 400, 300, 0, 0, 0), "400x300 px"),
    (
        "GIF",
        b"GIF89a"
        + struct.pack("<HHBBB", 9, 9, 0x80, 0, 0)
        + bytes(6)
        + b"\x21\xf9\x01a\0\x2c"
        + struct.pack("<HHHH", 300, 200, 100, 100),
        "400x300 px",
    ),
    ("BMP", b"BM" + bytes(12) + struct.pack("<Iii", 40, 400, -300), "400x300 px"),
    ("BMP", b"BM" + bytes(12) + struct.pack("<IHH", 12, 400, 300), "400x300 px"),
    ("AVIF", make_avif(464, 364), "400x300 px"),
    (
        "AVIF",
        make_box(
            b"moov", make_box(b"trak", make_box(b"tkhd", struct.pack(">II", 464 << 16, 364 << 16)))
        ),
        "400x300 px",
    ),
]


@pytest.mark.parametrize(("kind", "data", "says"), LARGE, ids=lambda value: str(value)[:12])
def test_what_a_header_asks_for_is_limited(kind, data, says):
    with pytest.raises(LimitError, match=says):
        check_header(data, kind, LIMITS, "it")


def test_samples_of_a_tiff_count():
    # 25 kB that ask for gigabytes: zeros compress well.
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        np.zeros((64, 64, 60), np.uint16),
        photometric="minisblack",
        planarconfig="contig",
        compression="zlib",
    )
    with pytest.raises(LimitError, match=r"^it: 64x64 px with 60 samples of 16 bits"):
        read_picture(stream.getvalue(), limits=Limits(max_pixels=64 * 64), name="it")


def test_the_scans_of_a_jpeg_are_limited():
    assert read_picture(add_scans(MAX_SCANS - 10)).width == 32
    with pytest.raises(LimitError, match="more than 100 scans"):
        read_picture(add_scans(MAX_SCANS + 1), name="it")


def test_scans_behind_reserved_markers_count():
    """Decoders skip such a marker within a scan alone, and not the length behind it."""
    data = add_scans(MAX_SCANS + 1)
    place = data.index(b"\xff\xda") + 20
    with pytest.raises(LimitError, match="more than 100 scans"):
        read_picture(data[:place] + b"\xff\x02\x7f\xf0" + data[place:], name="it")


def test_scans_of_thumbnails_and_later_pictures_do_not_count():
    inner = add_scans(MAX_SCANS + 1)
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(inner[:60_000])) + inner[:60_000]
    data = encode("JPEG")
    assert read_picture(data[:2] + segment + data[2:] + inner).width == 32


def test_a_second_header_is_refused():
    data = encode("PNG")
    header = struct.pack(">IIBBBBB", 300, 200, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header
    chunk += struct.pack(">I", zlib.crc32(b"IHDR" + header))
    animation = struct.pack(">I", 8) + b"acTL" + struct.pack(">II", 2, 0)
    animation += struct.pack(">I", zlib.crc32(animation[4:]))
    with pytest.raises(ImageError, match="second header"):
        read_picture(data[:33] + animation + chunk + data[33:])


def make_pages(count: int, photometric: int = 1) -> bytes:
    """A TIFF with many directories, each with the same picture of one strip."""
    tags = [(256, 3, 16), (257, 3, 16), (258, 3, 8), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 3, 16), (279, 4, 256)]
    size = 2 + 12 * len(tags) + 4
    parts = [b"II*\0" + struct.pack("<L", 264) + bytes(range(256))]
    for page in range(count):
        following = 0 if page == count - 1 else 264 + size * (page + 1)
        entries = b"".join(struct.pack("<HHLL", tag, kind, 1, value) for tag, kind, value in tags)
        parts.append(struct.pack("<H", len(tags)) + entries + struct.pack("<L", following))
    return b"".join(parts)


@pytest.mark.parametrize("photometric", [1, 6])  # gray; a kind that Pillow reads
def test_pages_are_not_counted(photometric):
    data, notices = make_pages(12_000, photometric), []
    start = time.process_time()
    picture = read_picture(data, notice=notices.append, name="it")
    assert time.process_time() < start + 0.2
    assert (picture.width, notices) == (16, ["it: has several frames; the first is used"])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF"])
def test_headers_that_are_cut_off_are_left_to_the_decoder(kind):
    data = {"HEIF": make_avif(8, 8)}.get(kind) or encode(kind)
    for length in range(0, min(400, len(data)), 3):
        check_header(data[:length], kind, LIMITS, "it")
