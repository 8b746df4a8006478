"""Pictures in and out: formats, colour, depth, alpha, damage, and what is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib

import numpy as np
import png
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, Image, ImageCms

from conftest import synthetic_photo
from impasto.errors import ImageError, ImpastoError, InputError, LimitError, ResourceError
from impasto.media.color import srgb_to_oklab
from impasto.media.decode import read_picture
from impasto.media.encode import FORMATS, write_picture
from impasto.media.limits import Limits
from impasto.media.metadata import read_record
from impasto.media.picture import Metadata, Picture, fit_within

PHOTO = synthetic_photo(32, 24)
UNIT = PHOTO.astype(np.float32) / 255


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def levels(picture: Picture) -> np.ndarray:
    return np.rint(picture.pixels * 255).astype(np.int64)


# --- formats ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_lossless_formats_decode_exactly(kind):
    image = Image.fromarray(PHOTO)
    if kind == "GIF":
        image = image.quantize(64).convert("RGB").quantize(64)
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read_picture(encoded(image, kind, **options))
    assert np.array_equal(levels(picture), np.asarray(image.convert("RGB")))
    assert picture.alpha is None
    assert picture.metadata.source_format == kind


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "WEBP"])
def test_lossy_formats_decode_closely(kind):
    picture = read_picture(encoded(Image.fromarray(PHOTO), kind, quality=95))
    assert np.abs(picture.pixels - UNIT).mean() < 0.03


def test_heic_decodes_with_its_extra():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    big = Image.fromarray(synthetic_photo(64, 48))
    picture = read_picture(encoded(big, "HEIF", quality=95))
    assert np.abs(picture.pixels - np.asarray(big) / 255).mean() < 0.05


def test_content_counts_not_the_name(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(PHOTO), "PNG"))
    notices = []
    picture = read_picture(path, notice=notices.append)
    assert np.array_equal(levels(picture), PHOTO)
    assert len(notices) == 1
    assert "is PNG" in notices[0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes"),
        (b"hello, this is text\n" * 9, "text"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "PostScript"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04" + bytes(30), "zip"),
        (b"P6 2 2 255 " + bytes(12), "not an image"),
        (bytes(range(256)), "not an image"),
    ],
)
def test_other_files_are_refused_saying_what_they_look_like(tmp_path, data, says):
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=says) as caught:
        read_picture(path)
    assert "picture.png" in str(caught.value)


def test_missing_files_folders_and_fifos(tmp_path):
    import os

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
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        notices = []
        picture = read_picture(data, notice=notices.append)
        assert levels(picture)[8, 8].tolist() == pytest.approx([255, 0, 0], abs=4), kind
        assert "3 frames" in notices[0]


# --- colour, depth, alpha ----------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(Image.fromarray(PHOTO), "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(levels(read_picture(data)), np.asarray(expected))


def test_an_invalid_orientation_is_ignored():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    data = encoded(Image.fromarray(PHOTO), "PNG", exif=exif)
    assert np.array_equal(levels(read_picture(data)), PHOTO)


@pytest.mark.parametrize("alpha", [False, True])
def test_16_bit_png_keeps_its_bits(alpha, tmp_path):
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 65536, (9, 12, 4 if alpha else 3), dtype=np.uint16)
    with (tmp_path / "deep.png").open("wb") as file:
        writer = png.Writer(12, 9, greyscale=False, alpha=alpha, bitdepth=16)
        writer.write(file, samples.reshape(9, -1))
    picture = read_picture(tmp_path / "deep.png")
    assert np.array_equal(np.rint(picture.pixels * 65535), samples[..., :3])
    assert picture.metadata.depth == 16
    if alpha:
        assert np.array_equal(np.rint(picture.alpha * 65535), samples[..., 3])


def test_16_bit_grey_png_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    picture = read_picture(encoded(Image.fromarray(ramp), "PNG"))
    assert np.allclose(picture.pixels[..., 1], ramp / 65535, atol=1e-4)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_tiff_keeps_its_bits(compression):
    samples = np.random.default_rng(1).integers(0, 65536, (16, 20, 3), dtype=np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, photometric="rgb", compression=compression)
    picture = read_picture(stream.getvalue())
    assert np.array_equal(np.rint(picture.pixels * 65535), samples)


def test_float_tiff_is_read_and_nan_refused():
    samples = np.random.default_rng(1).random((16, 20, 3), dtype=np.float32)
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, photometric="rgb")
    assert np.allclose(read_picture(stream.getvalue()).pixels, samples)
    for bad in (np.nan, np.inf):
        samples[3, 3, 1] = bad
        stream = io.BytesIO()
        tifffile.imwrite(stream, samples, photometric="rgb")
        with pytest.raises(ImageError, match="NaN or infinite"):
            read_picture(stream.getvalue())


def test_cmyk_inks_become_the_colours_they_print():
    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)]
    image = Image.new("CMYK", (32, 8))
    for n, ink in enumerate(inks):
        image.paste(ink, (n * 8, 0, n * 8 + 8, 8))
    found = levels(read_picture(encoded(image, "TIFF")))[4, 4::8]
    assert found.tolist() == [[255, 255, 255], [0, 255, 255], [255, 0, 0], [0, 0, 0]]
    from_jpeg = levels(read_picture(encoded(image, "JPEG", quality=100, subsampling=0)))[4, 4::8]
    assert np.abs(from_jpeg - found).max() < 12


def test_a_profile_is_converted_to_srgb():
    lab = ImageCms.createProfile("sRGB")
    srgb = ImageCms.ImageCmsProfile(lab).tobytes()
    same = read_picture(encoded(Image.fromarray(PHOTO), "PNG", icc_profile=srgb))
    assert np.abs(levels(same) - PHOTO).max() <= 1
    # Red and green primaries exchanged: what is stored as red is seen as green.
    swapped = bytearray(srgb)
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    swapped = bytes(swapped).replace(b"s\0R\0G\0B", b"t\0e\0s\0t")
    image = Image.new("RGB", (16, 16), (255, 0, 0))
    seen = levels(read_picture(encoded(image, "PNG", icc_profile=swapped)))[0, 0]
    assert seen.tolist() == pytest.approx([0, 255, 0], abs=3)


def test_a_broken_profile_is_ignored_with_a_notice():
    notices = []
    data = encoded(Image.fromarray(PHOTO), "PNG", icc_profile=b"nonsense" * 20)
    picture = read_picture(data, notice=notices.append)
    assert np.array_equal(levels(picture), PHOTO)
    assert "broken" in notices[0]


def test_alpha_is_kept_and_hidden_colours_do_not_bleed():
    image = Image.fromarray(PHOTO).convert("RGBA")
    mask = np.full((24, 32), 255, np.uint8)
    mask[:, :10] = 0
    pixels = np.asarray(image).copy()
    pixels[:, :10, :3] = 0
    pixels[..., 3] = mask
    picture = read_picture(encoded(Image.fromarray(pixels), "PNG"))
    assert np.array_equal(np.rint(picture.alpha * 255), mask)
    assert picture.pixels[:, :10].min() > 0.1
    assert picture.resized(16, 12).pixels.min() >= picture.pixels[:, 10:].min() - 0.1


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
    data = encoded(image, "PNG", transparency=0)
    picture = read_picture(data)
    assert picture.alpha is not None
    assert set(np.unique(picture.alpha)) == {0.0, 1.0}


def test_arrays_tensors_and_pil_images_go_in():
    tensor = torch.from_numpy(UNIT.transpose(2, 0, 1).copy())
    sources = [PHOTO, UNIT, UNIT.astype(np.float64), tensor, tensor[None], Image.fromarray(PHOTO)]
    sources.append(PHOTO.astype(np.uint16) * 257)
    for source in sources:
        assert np.array_equal(levels(read_picture(source)), PHOTO)
    assert levels(read_picture(PHOTO[..., 0])).shape == (24, 32, 3)
    for bad in (np.zeros((3, 3, 3, 3)), np.zeros((9, 9, 5)), torch.zeros(2, 3, 9, 9), 7, None):
        with pytest.raises(InputError):
            read_picture(bad)
    with pytest.raises(ImageError, match="NaN"):
        read_picture(np.full((9, 9, 3), np.nan))


# --- limits ------------------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height", "says"),
    [
        (14_000, 14_000, "196.0 megapixels, over the limit of 100 megapixels"),
        (10_001, 10_000, "over the limit of 100 megapixels"),
        (2**31 - 1, 1, "over the limit of 65535 px a side"),
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
        read_picture(encoded(Image.fromarray(PHOTO), "BMP"), limits=Limits(max_bytes=100))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_truncated_files_are_refused(kind):
    data = encoded(Image.fromarray(synthetic_photo(96, 80)), kind)
    with pytest.raises(ImageError):
        read_picture(data[: len(data) // 2])


def test_a_tail_after_the_picture_is_dropped(tmp_path):
    data = encoded(Image.fromarray(PHOTO), "JPEG")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("evil.php", "<?php ?>")
    picture = read_picture(data + stream.getvalue())
    write_picture(picture, tmp_path / "out.jpg")
    assert b"php" not in (tmp_path / "out.jpg").read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damage_is_an_image_or_an_impasto_error_never_another(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"]))
    intact = bytearray(encoded(Image.fromarray(PHOTO), kind))
    for _ in range(data.draw(st.integers(1, 12))):
        place = data.draw(st.integers(0, len(intact) - 1))
        intact[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(intact)))
    with contextlib.suppress(ImpastoError):
        assert np.isfinite(read_picture(bytes(intact[: cut or None])).pixels).all()


# --- encoding ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.uint8, (9, 11, 3)),
    st.one_of(st.none(), arrays(np.uint8, (9, 11))),
    st.sampled_from([".png", ".tif"]),
    st.sampled_from([8, 16]),
)
def test_lossless_round_trip(tmp_path_factory, pixels, alpha, extension, depth):
    path = tmp_path_factory.mktemp("trip") / f"a{extension}"
    opacity = None if alpha is None else alpha.astype(np.float32) / 255
    picture = Picture(pixels.astype(np.float32) / 255, opacity)
    write_picture(picture, path, depth=depth)
    back = read_picture(path)
    visible = np.ones((9, 11), bool) if alpha is None else alpha > 0
    assert np.array_equal(levels(back)[visible], pixels[visible])
    if alpha is not None and alpha.min() < 255:
        assert np.array_equal(np.rint(back.alpha * 255), alpha)
    assert back.metadata.depth == depth


@pytest.mark.parametrize("extension", [e for e in FORMATS if e != ".bmp"])
def test_the_record_survives_exactly(extension, tmp_path):
    record = '{"a": "quotes \\" & <tags> ünïcödé 🎨", "n": 1.5}' + " " * 3000
    path = tmp_path / f"a{extension}"
    write_picture(Picture(UNIT), path, record=record)
    assert read_record(path) == record
    if extension in (".png", ".tif", ".tiff"):
        write_picture(Picture(UNIT), path, record=record, depth=16, overwrite=True)
        assert read_record(path) == record
    write_picture(Picture(UNIT), path, overwrite=True)
    assert read_record(path) is None


@pytest.mark.parametrize("extension", FORMATS)
def test_equal_pictures_are_equal_files(extension, tmp_path):
    import time

    for name in ("a", "b"):
        write_picture(Picture(UNIT), tmp_path / f"{name}{extension}", record="{}")
        time.sleep(1.1 if extension == ".png" else 0)
    assert (tmp_path / f"a{extension}").read_bytes() == (tmp_path / f"b{extension}").read_bytes()


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tif"])
def test_copyright_is_kept_unless_asked_not_to(extension, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "Ada"
    exif[ExifTags.Base.Orientation] = 6
    photo = read_picture(encoded(Image.fromarray(PHOTO), "JPEG", exif=exif))
    assert (photo.width, photo.height) == (24, 32)
    path = tmp_path / f"a{extension}"
    write_picture(photo, path)
    with Image.open(path) as image:
        assert image.getexif()[ExifTags.Base.Copyright] == "Ada"
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert image.size == (24, 32)
    write_picture(photo, path, keep_metadata=False, overwrite=True)
    with Image.open(path) as image:
        assert ExifTags.Base.Copyright not in image.getexif()


def test_formats_without_alpha_get_a_white_ground_and_say_so(tmp_path):
    notices = []
    alpha = np.zeros((24, 32), np.float32)
    write_picture(Picture(UNIT, alpha), tmp_path / "a.jpg", notice=notices.append)
    assert levels(read_picture(tmp_path / "a.jpg")).min() > 250
    assert "white" in notices[0]


def test_targets_are_checked(tmp_path):
    picture = Picture(UNIT)
    with pytest.raises(InputError, match=r"written as \.avif"):
        write_picture(picture, tmp_path / "a.gif")
    with pytest.raises(InputError, match="16 bits"):
        write_picture(picture, tmp_path / "a.jpg", depth=16)
    with pytest.raises(InputError, match="no such folder"):
        write_picture(picture, tmp_path / "none" / "a.png")
    (tmp_path / "a.png").write_bytes(b"precious")
    with pytest.raises(InputError, match="exists already"):
        write_picture(picture, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"precious"


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    import errno
    import os

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.png").write_bytes(b"precious")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="disk is full"):
        write_picture(Picture(UNIT), tmp_path / "a.png", overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


# --- arithmetic --------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 4000))
def test_fit_within_keeps_the_aspect(width, height, longer):
    w, h = fit_within(width, height, longer)
    assert max(w, h) == longer
    assert abs(w * height - h * width) <= max(width, height)


def test_oklab_of_known_colours():
    colors = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0]], np.float32)
    expected = [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585]]
    assert np.allclose(srgb_to_oklab(colors), expected, atol=2e-4)


def test_resizing_is_antialiased_and_keeps_the_mean():
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2] = 1
    small = Picture(stripes, None, Metadata()).resized(8, 8)
    assert np.allclose(small.pixels, 0.5, atol=0.05)
