"""Reading pictures: formats, colors, alpha, limits and damaged files."""

from __future__ import annotations

import contextlib
import io
import os
import struct

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from conftest import synthetic_photo
from images import (
    PHOTO,
    UNIT,
    encode_image,
    encode_tiff,
    png_file,
    to_8_bits,
)
from impasto.errors import ImageError, ImpastoError, InputError, LimitError
from impasto.image.files.decode import read_picture
from impasto.image.files.limits import Limits
from impasto.image.picture import Picture


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_lossless_formats_decode_exactly(kind):
    image = Image.fromarray(PHOTO)
    if kind == "GIF":
        image = image.quantize(64).convert("RGB").quantize(64)
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read_picture(encode_image(image, kind, **options))
    assert np.array_equal(to_8_bits(picture), np.asarray(image.convert("RGB")))
    assert picture.alpha is None
    assert picture.metadata.source_format == kind


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "WEBP"])
def test_lossy_formats_decode_closely(kind):
    picture = read_picture(encode_image(Image.fromarray(PHOTO), kind, quality=95))
    assert np.abs(picture.pixels - UNIT).mean() < 0.03


def test_heic_decodes_with_its_extra():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    big = Image.fromarray(synthetic_photo(64, 48))
    picture = read_picture(encode_image(big, "HEIF", quality=95))
    assert np.abs(picture.pixels - np.asarray(big) / 255).mean() < 0.05


def test_the_content_of_a_file_decides_its_format_not_its_name(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode_image(Image.fromarray(PHOTO), "PNG"))
    notices = []
    picture = read_picture(path, notice=notices.append)
    assert np.array_equal(to_8_bits(picture), PHOTO)
    assert len(notices) == 1
    assert "is PNG" in notices[0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"hello, this is text\n" * 9, "text"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "PostScript"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04" + bytes(30), "zip"),
        (b"P6 2 2 255 " + bytes(12), "Netpbm"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"v/1\x01" + bytes(40), "OpenEXR"),
        (b"ID3\x03" + bytes(40), "sound"),
        (bytes(range(256)), "not an image"),
    ],
)
def test_other_files_are_refused_with_what_they_look_like(tmp_path, data, says):
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=says) as caught:
        read_picture(path)
    assert "picture.png" in str(caught.value)


def test_missing_files_folders_and_fifos_are_refused(tmp_path):

    with pytest.raises(ImageError, match="no such file"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(ImageError, match="folder"):
        read_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        read_picture(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="no such file"):
        read_picture(tmp_path / "loop.png")


def test_animations_give_their_first_frame():
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encode_image(frames[0], kind, save_all=True, append_images=frames[1:])
        notices = []
        picture = read_picture(data, notice=notices.append)
        assert to_8_bits(picture)[8, 8].tolist() == pytest.approx([255, 0, 0], abs=4), kind
        assert "several frames" in notices[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encode_image(Image.fromarray(PHOTO), "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(to_8_bits(read_picture(data)), np.asarray(expected))


def test_an_invalid_orientation_is_ignored():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    data = encode_image(Image.fromarray(PHOTO), "PNG", exif=exif)
    assert np.array_equal(to_8_bits(read_picture(data)), PHOTO)


def test_cmyk_inks_become_the_colors_they_print():
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)]
    image = Image.new("CMYK", (32, 8))
    for n, ink in enumerate(inks):
        image.paste(ink, (n * 8, 0, n * 8 + 8, 8))
    levels = to_8_bits(read_picture(encode_image(image, "TIFF")))[4, 4::8]
    assert levels.tolist() == [[255, 255, 255], [0, 255, 255], [255, 0, 0], [0, 0, 0]]
    jpeg = encode_image(image, "JPEG", quality=100, subsampling=0)
    from_jpeg = to_8_bits(read_picture(jpeg))[4, 4::8]
    assert np.abs(from_jpeg - levels).max() < 12


def test_a_profile_is_converted_to_srgb():
    lab = ImageCms.createProfile("sRGB")
    srgb = ImageCms.ImageCmsProfile(lab).tobytes()
    same = read_picture(encode_image(Image.fromarray(PHOTO), "PNG", icc_profile=srgb))
    assert np.abs(to_8_bits(same) - PHOTO).max() <= 1
    # Red and green primaries exchanged: what is stored as red is seen as green, and the profile
    # still says that it is sRGB.
    swapped = bytearray(srgb)
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    image = Image.new("RGB", (16, 16), (255, 0, 0))
    levels = to_8_bits(read_picture(encode_image(image, "PNG", icc_profile=bytes(swapped))))[0, 0]
    assert levels.tolist() == pytest.approx([0, 255, 0], abs=3)


def test_linear_srgb_is_not_taken_for_srgb_by_its_name():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    linear = bytearray(srgb)
    for name in (b"rTRC", b"gTRC", b"bTRC"):  # a curve of no points is the identity
        entry = linear.index(name)
        (start,) = struct.unpack_from(">I", linear, entry + 4)
        linear[start : start + 12] = b"curv" + bytes(8)
    # 55 of 255 linear is the middle gray, encoded 127.
    image = Image.new("RGB", (16, 16), (55, 55, 55))
    levels = to_8_bits(read_picture(encode_image(image, "PNG", icc_profile=bytes(linear))))[0, 0]
    assert levels.tolist() == pytest.approx([128, 128, 128], abs=2)


def test_a_broken_profile_is_ignored_with_a_notice():
    notices = []
    data = encode_image(Image.fromarray(PHOTO), "PNG", icc_profile=b"nonsense" * 20)
    picture = read_picture(data, notice=notices.append)
    assert np.array_equal(to_8_bits(picture), PHOTO)
    assert "damaged" in notices[0]


def test_alpha_is_kept_and_hidden_colors_do_not_bleed():
    image = Image.fromarray(PHOTO).convert("RGBA")
    mask = np.full((24, 32), 255, np.uint8)
    mask[:, :10] = 0
    pixels = np.asarray(image).copy()
    pixels[:, :10, :3] = 0
    pixels[..., 3] = mask
    picture = read_picture(encode_image(Image.fromarray(pixels), "PNG"))
    assert np.array_equal(np.rint(picture.alpha * 255), mask)
    assert picture.pixels[:, :10].min() > 0.1
    assert picture.resize(16, 12).pixels.min() >= picture.pixels[:, 10:].min() - 0.1


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "YCbCr", "LAB", "I;16", "RGBX"])
def test_every_mode_becomes_rgb(mode):
    source = Image.fromarray(PHOTO)
    image = source.convert("L").convert("I").convert("I;16") if mode == "I;16" else None
    if mode == "LAB":
        image = ImageCms.applyTransform(
            source,
            ImageCms.buildTransform(
                ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
            ),
        )
    picture = read_picture(image or source.convert(mode))
    assert picture.pixels.shape == (24, 32, 3)
    assert picture.pixels.dtype == np.float32
    assert 0 <= picture.pixels.min() <= picture.pixels.max() <= 1


def test_palette_transparency_becomes_alpha():
    image = Image.fromarray(PHOTO).quantize(8)
    data = encode_image(image, "PNG", transparency=0)
    picture = read_picture(data)
    assert picture.alpha is not None
    assert set(np.unique(picture.alpha)) == {0.0, 1.0}


def test_arrays_tensors_and_pil_images_are_read():
    tensor = torch.from_numpy(UNIT.transpose(2, 0, 1).copy())
    sources = [PHOTO, UNIT, UNIT.astype(np.float64), tensor, tensor[None], Image.fromarray(PHOTO)]
    sources.append(PHOTO.astype(np.uint16) * 257)
    for source in sources:
        assert np.array_equal(to_8_bits(read_picture(source)), PHOTO)
    assert to_8_bits(read_picture(PHOTO[..., 0])).shape == (24, 32, 3)
    for bad in (np.zeros((3, 3, 3, 3)), np.zeros((9, 9, 5)), torch.zeros(2, 3, 9, 9), 7, None):
        with pytest.raises(InputError):
            read_picture(bad)
    with pytest.raises(ImageError, match="NaN"):
        read_picture(np.full((9, 9, 3), np.nan))


def test_a_picture_is_returned_unchanged():
    picture = Picture(UNIT)
    assert read_picture(picture) is picture


def test_floats_of_another_range_are_refused_and_an_overshoot_clipped():
    by_255 = UNIT * 255
    says = rf"values from {by_255.min():g} to {by_255.max():g}; expected floats in \[0, 1\]"
    tensor = torch.from_numpy(by_255.transpose(2, 0, 1).copy())
    for source in (by_255, tensor, encode_tiff(by_255, photometric="rgb")):
        with pytest.raises(ImageError, match=says):
            read_picture(source)
    with pytest.raises(ImageError, match="values from -1 to 1"):
        read_picture(np.linspace(-1, 1, 300, dtype=np.float32).reshape(10, 10, 3))
    assert read_picture(UNIT * 1.4 - 0.2).pixels.max() <= 1


def test_a_tensor_of_bytes_is_read_as_an_array_of_bytes_is():
    tensor = torch.from_numpy(PHOTO.transpose(2, 0, 1).copy())
    assert np.array_equal(to_8_bits(read_picture(tensor)), PHOTO)
    half = torch.from_numpy(UNIT.transpose(2, 0, 1).copy()).bfloat16()
    assert np.allclose(read_picture(half).pixels, UNIT, atol=0.01)


def png_header(width: int, height: int) -> bytes:
    return png_file((width, height, 8, 2, 0), b"")


@pytest.mark.parametrize(
    ("width", "height", "says"),
    [
        (14_000, 14_000, "196.0 megapixels, over the limit of 100 megapixels"),
        (10_001, 10_000, "over the limit of 100 megapixels"),
        (2**31 - 1, 1, "over the limit of 65535 px per side"),
        (1, 1, "too small"),
        (8, 5000, "1:625, over the limit of 1:64"),
        (0, 10, "too small"),
    ],
)
def test_sizes_over_a_limit_are_refused_from_the_header(width, height, says):
    with pytest.raises(LimitError, match=says) as caught:
        read_picture(png_header(width, height))
    assert str(width) in str(caught.value) or "megapixels" in str(caught.value)


def test_bytes_are_counted_while_reading():
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            assert 0 < size <= 2001
            return bytes(size)

    with pytest.raises(LimitError, match="over the limit"):
        read_picture(Endless(), limits=Limits(max_bytes=2000))
    with pytest.raises(LimitError, match="the data"):
        read_picture(encode_image(Image.fromarray(PHOTO), "BMP"), limits=Limits(max_bytes=100))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_truncated_files_are_refused(kind):
    data = encode_image(Image.fromarray(synthetic_photo(96, 80)), kind)
    with pytest.raises(ImageError):
        read_picture(data[: len(data) // 2])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damage_is_an_image_or_an_impasto_error_never_another(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"]))
    intact = bytearray(encode_image(Image.fromarray(PHOTO), kind))
    for _ in range(data.draw(st.integers(1, 12))):
        place = data.draw(st.integers(0, len(intact) - 1))
        intact[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(intact)))
    with contextlib.suppress(ImpastoError):
        assert np.isfinite(read_picture(bytes(intact[: cut or None])).pixels).all()
