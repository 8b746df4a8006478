"""Pictures that are slightly damaged, oddly typed, or transparent by mistake."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import synthetic_photo
from images import encode_image, png_chunk, png_file, to_8_bits
from impasto.errors import ImageError, ImpastoError, LimitError
from impasto.image.files.decode import read_picture
from impasto.image.files.headers import MAX_SCANS

PHOTO = synthetic_photo(64, 48)
RAMP = np.broadcast_to(np.arange(64) * 4, (48, 64))


def read(data) -> tuple[object, list[str]]:
    notices: list[str] = []
    return read_picture(data, notice=notices.append), notices


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [1, 2, 10])
def test_a_jpeg_that_lacks_only_its_end_is_read(lost, progressive):
    data = encode_image(Image.fromarray(PHOTO), "JPEG", quality=95, progressive=progressive)
    whole = to_8_bits(read_picture(data))
    picture, notices = read(data[:-lost])
    assert len(notices) == 1
    assert "ends early" in notices[0]
    assert np.abs(to_8_bits(picture) - whole)[:32].max() <= 40


def test_the_missing_rows_of_a_jpeg_are_counted_and_limited():
    noise = np.random.default_rng(0).integers(0, 256, (160, 64, 3), dtype=np.uint8)
    data = encode_image(Image.fromarray(noise), "JPEG", quality=95)
    picture, notices = read(data[: int(len(data) * 0.9)])
    rows = int(notices[0].split("the last ")[1].split()[0])
    assert 8 <= rows <= 32
    assert (to_8_bits(picture)[-8:] == 128).all()
    with pytest.raises(ImageError, match="ends early"):
        read_picture(data[: len(data) // 2])


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs"])
def test_a_png_with_a_bad_checksum_in_a_side_chunk_is_read(kind):
    line = b"".join(b"\0" + row.tobytes() for row in PHOTO)
    data = png_file((64, 48, 8, 2, 0), line, (kind, b"Comment\0hello"))
    place = data.index(kind) + 4 + len(b"Comment\0hello")
    data = data[:place] + b"abcd" + data[place + 4 :]
    picture, notices = read(data)
    assert np.array_equal(to_8_bits(picture), PHOTO)
    assert notices == [f"the data: its {kind.decode()} chunk is damaged and was ignored"]


def test_a_png_with_a_bad_checksum_in_its_header_is_refused():
    data = bytearray(png_file((64, 48, 8, 2, 0), bytes(48 * 193)))
    data[29] ^= 1
    with pytest.raises(ImageError):
        read_picture(bytes(data))


@pytest.mark.parametrize("header", [40, 108])
def test_a_bmp_whose_alpha_is_zero_everywhere_is_opaque(header):
    bgra = np.dstack([PHOTO[..., ::-1], np.zeros(PHOTO.shape[:2], np.uint8)])[::-1].tobytes()
    masks = struct.pack("<4L", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack(
        "<LllHHLLllLL", header, 64, 48, 1, 32, 3 if header > 40 else 0, 0, 0, 0, 0, 0
    )
    info += (masks + bytes(header - 56)) if header > 40 else b""
    start = 14 + len(info)
    data = b"BM" + struct.pack("<LHHL", start + len(bgra), 0, 0, start) + info + bgra
    picture, notices = read(data)
    assert picture.alpha is None
    assert np.array_equal(to_8_bits(picture), PHOTO)
    assert len(notices) == (header > 40)
    assert all("alpha is 0 everywhere" in each for each in notices)


def test_a_wholly_transparent_picture_is_said():
    clear = np.dstack([PHOTO, np.zeros(PHOTO.shape[:2], np.uint8)])
    picture, notices = read(encode_image(Image.fromarray(clear), "PNG"))
    assert not picture.alpha.any()
    assert notices == ["the data: is fully transparent"]


def test_pillows_whole_numbers_are_scaled_by_their_range_or_refused():
    small = Image.fromarray(RAMP.astype(np.uint8)).convert("I")
    assert np.array_equal(to_8_bits(read_picture(small))[..., 0], RAMP)
    large = Image.fromarray((RAMP * 257).astype(np.int32))
    assert np.array_equal(to_8_bits(read_picture(large))[..., 0], RAMP)
    for wrong in (RAMP * 2**20, RAMP - 5):
        with pytest.raises(ImageError, match="mode I with values from"):
            read_picture(Image.fromarray(wrong.astype(np.int32)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_unsigned_arrays_are_scaled_by_the_range_of_their_type(dtype):
    array = (RAMP / 255 * float(np.iinfo(dtype).max)).clip(0, np.iinfo(dtype).max * 0.99)
    levels = to_8_bits(read_picture(array.astype(dtype)))[..., 0]
    assert np.abs(levels - RAMP).max() <= 3


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_signed_arrays_are_refused(dtype):
    with pytest.raises(ImpastoError, match=f"type {np.dtype(dtype)}; expected unsigned"):
        read_picture((RAMP // 2).astype(dtype))


def test_a_gray_jpeg_with_a_profile_for_rgb_is_read_without_a_complaint():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(RAMP.astype(np.uint8))
    picture, notices = read(encode_image(image, "JPEG", quality=100, icc_profile=srgb))
    assert np.abs(to_8_bits(picture)[..., 0] - RAMP).max() <= 2
    assert notices == []


def test_lab_with_a_profile_for_lab_is_read_without_a_complaint():
    profile = ImageCms.createProfile("LAB")
    change = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), profile, "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.fromarray(PHOTO), change)
    data = encode_image(lab, "TIFF", icc_profile=ImageCms.ImageCmsProfile(profile).tobytes())
    picture, notices = read(data)
    assert np.abs(to_8_bits(picture) - PHOTO).mean() < 3
    assert notices == []


def test_a_profile_for_other_channels_is_ignored_with_a_line():
    from PIL import ImageOps

    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    image = ImageOps.invert(Image.fromarray(PHOTO)).convert("CMYK")
    data = encode_image(image, "TIFF", icc_profile=bytes(srgb))
    _, notices = read(data)
    assert notices == ["the data: its color profile is for RGB and was ignored"]


def test_a_jpeg_of_hundreds_of_scans_is_refused_at_once():
    data = encode_image(Image.fromarray(PHOTO), "JPEG", progressive=True)
    place = data.rindex(b"\xff\xda")
    many = data[:place] + data[place:-2] * (MAX_SCANS + 1) + data[-2:]
    with pytest.raises(LimitError, match="more than 100 scans"):
        read_picture(many)


def test_damage_in_the_pixels_of_a_png_is_refused():
    line = b"".join(b"\0" + row.tobytes() for row in PHOTO)
    data = png_file((64, 48, 8, 2, 0), line)
    cut = png_chunk(b"IDAT", zlib.compress(line)[:200])
    with pytest.raises(ImageError):
        read_picture(data[:33] + cut + png_chunk(b"IEND", b""))
