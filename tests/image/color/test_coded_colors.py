"""Colors that a file describes by code points, gamma or chromaticities, and HDR."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import synthetic_photo
from images import encode_image, png_chunk, png_file, to_8_bits
from impasto.image.color.coded import (
    BT2020_PRIMARIES,
    SDR_WHITE,
    CodedColor,
    compress_highlights,
    compute_matrix,
)
from impasto.image.color.spaces import srgb_to_linear
from impasto.image.files.decode import read_picture

PHOTO = synthetic_photo(40, 24)
LIGHT = srgb_to_linear((PHOTO / 255).astype(np.float32)).astype(np.float64)
P3, BT2020 = 12, 9
SRGB_CURVE, LINEAR, PQ, HLG = 13, 8, 16, 18


def to_primaries(code: int) -> np.ndarray:
    """The photo's light with other primaries."""
    matrix = compute_matrix(CodedColor.from_code_points(code, SRGB_CURVE).primaries)
    return LIGHT @ np.linalg.inv(matrix).T


def encode_srgb(light: np.ndarray) -> np.ndarray:
    high = 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, light * 12.92, high)


def encode_pq(light: np.ndarray) -> np.ndarray:
    """Light relative to SDR white, as PQ."""
    power = (np.maximum(light, 0) * SDR_WHITE / 10_000) ** (2610 / 16_384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def encode_hlg(light: np.ndarray) -> np.ndarray:
    """Light relative to SDR white, as HLG for a display of 1000 cd/m2."""
    scene = (np.maximum(light, 0) * SDR_WHITE / 1000) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def write_png(values: np.ndarray, *chunks: tuple[bytes, bytes], depth: int = 16) -> bytes:
    """A PNG of RGB values in [0, 1]."""
    height, width = values.shape[:2]
    samples = np.rint(values.clip(0, 1) * (2**depth - 1)).astype(">u2" if depth == 16 else "u1")
    lines = b"".join(b"\0" + row.tobytes() for row in samples)
    return png_file((width, height, depth, 2, 0), lines, *chunks)


def cicp(primaries: int, transfer: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, transfer, 0, 1])


def iccp(profile: bytes) -> tuple[bytes, bytes]:
    import zlib

    return b"iCCP", b"it\0\0" + zlib.compress(profile)


def gama(number: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(number * 100_000))


def chrm(color: CodedColor) -> tuple[bytes, bytes]:
    red, green, blue, white = color.primaries
    numbers = [*white, *red, *green, *blue]
    return b"cHRM", struct.pack(">8I", *(round(n * 100_000) for n in numbers))


def difference(data: bytes) -> int:
    return int(np.abs(to_8_bits(read_picture(data)) - PHOTO).max())


@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_is_converted_as_its_code_points_say(depth):
    wide = encode_srgb(to_primaries(P3))
    assert difference(write_png(wide, cicp(P3, SRGB_CURVE), depth=depth)) <= 2
    assert difference(write_png(wide, depth=depth)) > 5  # the test can fail
    if depth == 16:
        assert difference(write_png(LIGHT, cicp(1, LINEAR))) <= 1
        assert difference(write_png(encode_srgb(to_primaries(BT2020)), cicp(BT2020, 1))) <= 1


def test_code_points_precede_a_profile_and_a_profile_precedes_gamma():
    srgb = iccp(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    wide, plain = encode_srgb(to_primaries(P3)), PHOTO / 255
    assert difference(write_png(wide, cicp(P3, SRGB_CURVE), srgb)) <= 1
    assert difference(write_png(plain, srgb, gama(1))) <= 1
    assert difference(write_png(plain, (b"sRGB", b"\0"), gama(1))) <= 1
    assert difference(write_png(LIGHT, gama(1))) <= 1
    assert difference(write_png(LIGHT, gama(1), cicp(1, LINEAR))) <= 1


def test_gamma_and_chromaticities_are_used():
    assert difference(write_png(LIGHT ** (1 / 1.8), gama(1 / 1.8))) <= 1
    wide = CodedColor.from_code_points(P3, SRGB_CURVE)
    assert difference(write_png(to_primaries(P3) ** (1 / 2.6), gama(1 / 2.6), chrm(wide))) <= 2
    plain = PHOTO / 255
    assert difference(write_png(plain, gama(0.45455))) == 0
    assert difference(write_png(plain, gama(0))) == 0
    assert difference(write_png(plain, (b"cHRM", bytes(32)))) == 0
    assert difference(write_png(plain, (b"cHRM", struct.pack(">8I", *[50_000] * 8)))) == 0


def replace_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    place = data.index(b"colrnclx") + 8
    return data[:place] + struct.pack(">HH", primaries, transfer) + data[place + 4 :]


def write_modern(values: np.ndarray, kind: str, primaries: int, transfer: int) -> bytes:
    """An AVIF or HEIC of values in [0, 1] with these code points."""
    image = Image.fromarray(np.rint(values.clip(0, 1) * 255).astype(np.uint8))
    if kind == "AVIF":
        data = encode_image(image, kind, quality=100, subsampling="4:4:4")
    else:
        import pillow_heif

        pillow_heif.register_heif_opener()
        data = encode_image(image, kind, quality=-1, chroma=444, matrix_coefficients=0)
    return replace_nclx(data, primaries, transfer)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_code_points_of_avif_and_heic_are_used(kind):
    wide = encode_srgb(to_primaries(P3))
    assert difference(write_modern(PHOTO / 255, kind, 1, SRGB_CURVE)) <= 4
    assert difference(write_modern(wide, kind, P3, SRGB_CURVE)) <= 6
    assert difference(write_modern(wide, kind, 1, SRGB_CURVE)) > 8


@pytest.mark.parametrize(("kind", "name"), [(PQ, "PQ"), (HLG, "HLG")])
@pytest.mark.parametrize("container", ["PNG", "AVIF", "HEIF"])
def test_hdr_up_to_white_is_sdr_and_said(container, kind, name):
    encode = encode_pq if kind == PQ else encode_hlg
    values = encode(to_primaries(BT2020))
    if container == "PNG":
        data, limit = write_png(values, cicp(BT2020, kind)), 1
    else:
        data, limit = write_modern(values, container, BT2020, kind), 16
    notices = []
    levels = to_8_bits(read_picture(data, notice=notices.append))
    error = np.abs(levels - PHOTO)
    assert error.mean() < limit / 4 + 0.5
    assert error.max() <= limit * 2
    assert len(notices) == 1
    assert f"is HDR ({name}): 203 cd/m2 is shown as white" in notices[0]


def test_light_above_white_is_compressed_in_order():
    ramp = np.linspace(0, 8, 400)
    light = np.repeat(ramp[:, None], 3, 1).astype(np.float32)
    compressed = compress_highlights(light, 8)[:, 0]
    assert np.array_equal(compressed[ramp <= 0.75], light[ramp <= 0.75, 0])
    assert (np.diff(compressed) > 0).all()
    assert compressed.max() == pytest.approx(1, abs=1e-6)
    assert compress_highlights(light, 1) is light
    red = compress_highlights(np.array([[4, 2, 1]], np.float32), 4)
    assert np.allclose(red, [[1, 0.5, 0.25]])


def test_an_hdr_picture_with_highlights_keeps_their_order():
    ramp = np.broadcast_to(np.linspace(0, 5, 64)[None, :, None], (16, 64, 3))
    notices = []
    picture = read_picture(write_png(encode_pq(ramp), cicp(1, PQ)), notice=notices.append)
    assert (np.diff(picture.pixels[0, :, 0]) > 0).all()
    assert picture.pixels.max() == pytest.approx(1, abs=1e-3)
    assert "brighter light is compressed" in notices[0]


def test_primaries_keep_white():
    for code in (4, 5, 6, 7, 8, 9, 11, 12, 22):
        matrix = compute_matrix(CodedColor.from_code_points(code, SRGB_CURVE).primaries)
        assert np.allclose(matrix.sum(1), 1, atol=1e-6), code
    # ITU-R BT.2087, with the opposite sign of the conversion.
    expected = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    assert np.allclose(compute_matrix(BT2020_PRIMARIES), expected, atol=1e-3)


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_damaged_boxes_never_raise(cut):
    from impasto.image.files.layouts.heif_boxes import read_nclx

    data = bytearray(write_modern_once())
    assert read_nclx(bytes(data)) is not None
    read_nclx(bytes(data[:cut]))
    data[cut] ^= 0xFF
    read_nclx(bytes(data))


_CACHE: list[bytes] = []


def write_modern_once() -> bytes:
    if not _CACHE:
        _CACHE.append(write_modern(PHOTO / 255, "AVIF", 1, SRGB_CURVE))
    return _CACHE[0]


def test_a_gain_map_is_said():
    from PIL.PngImagePlugin import PngInfo

    packet = b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
    data = encode_image(Image.fromarray(PHOTO), "JPEG", xmp=packet, quality=95)
    notices = []
    read_picture(data, notice=notices.append)
    assert notices == ["the data: has an HDR gain map; its base picture is used"]
    text = PngInfo()
    text.add_itxt("note", packet.decode())
    quiet = []
    read_picture(encode_image(Image.fromarray(PHOTO), "PNG", pnginfo=text), notice=quiet.append)
    assert quiet == []


def test_the_chunks_helper_writes_right_checksums():
    assert png_chunk(b"IEND", b"").endswith(bytes.fromhex("ae426082"))
