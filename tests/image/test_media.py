"""Pictures in and out: formats, color, depth, alpha, damage, and what is refused."""

from __future__ import annotations

import contextlib
import fractions
import io
import struct
import zipfile

import av
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, Image, ImageCms

from conftest import synthetic_photo
from images import png_file
from impasto.errors import ImageError, ImpastoError, InputError, LimitError, ResourceError
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.files.atomic import write_atomically
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import FORMATS, write_picture
from impasto.image.files.limits import Limits
from impasto.image.files.metadata import read_record
from impasto.image.picture import Metadata, Picture, fit_within

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


# --- color, depth, alpha ----------------------------------------------------------------------


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


def unfiltered(samples: np.ndarray) -> bytes:
    """16-bit samples [H, W, C] as scanlines, each after its filter type 0."""
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)


DEEP = np.random.default_rng(0).integers(0, 65536, (9, 12, 4), dtype=np.uint16)
DEEP_TYPES = {0: 1, 2: 3, 4: 2, 6: 4}
"""PNG color type -> channels."""


def assert_holds(picture: Picture, samples: np.ndarray) -> None:
    color, alpha = samples, None
    if samples.shape[2] in (2, 4):
        color, alpha = samples[..., :-1], samples[..., -1]
    assert np.array_equal(np.rint(picture.pixels * 65535), np.broadcast_to(color, (9, 12, 3)))
    assert picture.metadata.depth == 16
    if alpha is not None:
        assert np.array_equal(np.rint(picture.alpha * 65535), alpha)


@pytest.mark.parametrize(("kind", "channels"), DEEP_TYPES.items())
@pytest.mark.parametrize("interlaced", [False, True])
def test_16_bit_png_keeps_its_bits(kind, channels, interlaced):
    samples = DEEP[..., :channels]
    passes = [samples]
    if interlaced:
        steps = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2))
        steps = (*steps, (0, 1, 2, 2), (1, 0, 2, 1))
        passes = [samples[y::down, x::across] for y, x, down, across in steps]
    lines = b"".join(unfiltered(part) for part in passes if part.size)
    picture = read_picture(png_file((12, 9, 16, kind, int(interlaced)), lines))
    assert_holds(picture, samples)


@pytest.mark.parametrize("layout", ["rgb48be", "rgba64be"])
def test_16_bit_png_is_read_and_written_as_ffmpeg_does(layout):
    samples = DEEP if layout == "rgba64be" else DEEP[..., :3].copy()
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = 12, 9, layout
    codec.time_base = fractions.Fraction(1)
    codec.options = {"pred": "mixed"}  # every filter there is
    frame = av.VideoFrame.from_ndarray(samples, format=layout)
    data = b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))
    assert_holds(read_picture(data), samples)
    stream = io.BytesIO()
    alpha = samples[..., 3] / np.float32(65535) if samples.shape[2] == 4 else None
    write_picture(Picture(samples[..., :3] / np.float32(65535), alpha), stream, depth=16)
    decoder = av.CodecContext.create("png", "r")
    (frame,) = decoder.decode(av.Packet(stream.getvalue()))
    assert np.array_equal(frame.to_ndarray(format=layout), samples)


@pytest.mark.parametrize("kind", [0, 2])
def test_a_16_bit_png_with_a_transparent_color_has_alpha(kind):
    samples = DEEP[..., : DEEP_TYPES[kind]]
    hidden = samples[4, 5]
    samples = samples.copy()
    samples[2, 7] = hidden
    key = (b"tRNS", hidden.astype(">u2").tobytes())
    picture = read_picture(png_file((12, 9, 16, kind, 0), unfiltered(samples), key))
    assert np.argwhere(picture.alpha == 0).tolist() == [[2, 7], [4, 5]]
    assert np.rint(picture.pixels[3, 3] * 65535)[0] == samples[3, 3, 0]


def test_a_deep_png_that_unpacks_to_far_more_than_its_size_takes_no_memory_for_it():
    import tracemalloc

    data = png_file((64, 64, 16, 2, 0), bytes(100_000_000))
    tracemalloc.start()
    picture = read_picture(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert (picture.width, picture.height) == (64, 64)


def damaged(data: bytes, how: str) -> bytes:
    if how == "cut":
        return data[: len(data) // 2]
    place = data.index(b"IDAT") + 10
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


@pytest.mark.parametrize("how", ["cut", "flipped"])
@pytest.mark.parametrize(("kind", "channels"), DEEP_TYPES.items())
def test_a_damaged_16_bit_png_is_one_line(kind, channels, how):
    data = png_file((12, 9, 16, kind, 0), unfiltered(DEEP[..., :channels]))
    with pytest.raises(ImageError) as caught:
        read_picture(damaged(data, how))
    assert "\n" not in str(caught.value)


def test_16_bit_gray_png_is_scaled_not_clipped():
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


def tiff(samples: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_inks_are_not_taken_for_light_and_alpha(compression):
    inks = np.zeros((16, 16, 4), np.uint16)
    inks[:, :8, 0] = 65535
    notices = []
    picture = read_picture(
        tiff(inks, photometric="separated", compression=compression), notice=notices.append
    )
    assert picture.alpha is None
    assert levels(picture)[8, 4::8].tolist() == [[0, 255, 255], [255, 255, 255]]
    assert "8 of its 16 bits" in notices[0]


def test_inks_in_separate_planes_are_refused():
    inks = np.zeros((4, 16, 16), np.uint16)
    with pytest.raises(ImageError, match="separate planes"):
        read_picture(tiff(inks, photometric="separated", planarconfig="separate"))


@pytest.mark.parametrize("kind", ["cielab", "ycbcr"])
def test_a_deep_tiff_of_another_kind_of_color_is_refused(kind):
    with pytest.raises(ImageError, match="a kind that is not supported"):
        read_picture(tiff(DEEP[..., :3], photometric=kind))


@pytest.mark.parametrize(
    "options",
    [
        {"extratags": [(50_706, "B", 4, bytes([1, 4, 0, 0]), True)]},  # DNG
        {"subfiletype": 1},  # NEF, ARW: the first picture is a thumbnail
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_raw_camera_files_are_refused_rather_than_their_thumbnails_read(options, dtype):
    thumbnail = np.zeros((16, 16, 3), dtype)
    with pytest.raises(ImageError, match="raw camera file"):
        read_picture(tiff(thumbnail, photometric="rgb", **options))


def test_a_canon_raw_file_is_refused():
    data = tiff(np.zeros((16, 16, 3), np.uint8), photometric="rgb", metadata=None)
    with pytest.raises(ImageError, match="raw camera file"):
        read_picture(data[:8] + b"CR\2\0" + data[12:])


def test_cmyk_inks_become_the_colors_they_print():
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
    # Red and green primaries exchanged: what is stored as red is seen as green, and the profile
    # still says that it is sRGB.
    swapped = bytearray(srgb)
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    image = Image.new("RGB", (16, 16), (255, 0, 0))
    seen = levels(read_picture(encoded(image, "PNG", icc_profile=bytes(swapped))))[0, 0]
    assert seen.tolist() == pytest.approx([0, 255, 0], abs=3)


def test_linear_srgb_is_not_taken_for_srgb_by_its_name():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    linear = bytearray(srgb)
    for name in (b"rTRC", b"gTRC", b"bTRC"):  # a curve of no points is the identity
        entry = linear.index(name)
        (start,) = struct.unpack_from(">I", linear, entry + 4)
        linear[start : start + 12] = b"curv" + bytes(8)
    # 55 of 255 linear is the middle gray, encoded 127.
    image = Image.new("RGB", (16, 16), (55, 55, 55))
    seen = levels(read_picture(encoded(image, "PNG", icc_profile=bytes(linear))))[0, 0]
    assert seen.tolist() == pytest.approx([128, 128, 128], abs=2)


def test_a_broken_profile_is_ignored_with_a_notice():
    notices = []
    data = encoded(Image.fromarray(PHOTO), "PNG", icc_profile=b"nonsense" * 20)
    picture = read_picture(data, notice=notices.append)
    assert np.array_equal(levels(picture), PHOTO)
    assert "damaged" in notices[0]


def test_alpha_is_kept_and_hidden_colors_do_not_bleed():
    image = Image.fromarray(PHOTO).convert("RGBA")
    mask = np.full((24, 32), 255, np.uint8)
    mask[:, :10] = 0
    pixels = np.asarray(image).copy()
    pixels[:, :10, :3] = 0
    pixels[..., 3] = mask
    picture = read_picture(encoded(Image.fromarray(pixels), "PNG"))
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


def test_a_picture_is_returned_as_it_is():
    picture = Picture(UNIT)
    assert read_picture(picture) is picture


def test_floats_of_another_range_are_refused_and_an_overshoot_clipped():
    by_255 = UNIT * 255
    says = rf"values from {by_255.min():g} to {by_255.max():g}; expected floats in \[0, 1\]"
    tensor = torch.from_numpy(by_255.transpose(2, 0, 1).copy())
    for source in (by_255, tensor, tiff(by_255, photometric="rgb")):
        with pytest.raises(ImageError, match=says):
            read_picture(source)
    with pytest.raises(ImageError, match="values from -1 to 1"):
        read_picture(np.linspace(-1, 1, 300, dtype=np.float32).reshape(10, 10, 3))
    assert read_picture(UNIT * 1.4 - 0.2).pixels.max() <= 1


def test_a_tensor_of_bytes_is_read_as_an_array_of_bytes_is():
    tensor = torch.from_numpy(PHOTO.transpose(2, 0, 1).copy())
    assert np.array_equal(levels(read_picture(tensor)), PHOTO)
    half = torch.from_numpy(UNIT.transpose(2, 0, 1).copy()).bfloat16()
    assert np.allclose(read_picture(half).pixels, UNIT, atol=0.01)


def test_the_hash_is_of_alpha_too():
    half = np.full(UNIT.shape[:2], 0.5, np.float32)
    hashes = {Picture(UNIT, alpha).compute_sha256() for alpha in (None, half, half / 2)}
    assert len(hashes) == 3
    assert (
        Picture(UNIT, half).compute_sha256() == Picture(UNIT.copy(), half.copy()).compute_sha256()
    )


# --- limits ------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_tiff_keeps_all_of_the_exif(order, depth, tmp_path):
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Make] = "Impasto Optical"
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ExposureTime: 0.004, ExifTags.Base.ISOSpeed: 200}
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (52.0, 30.0, 1.5)}
    photo = read_picture(encoded(Image.fromarray(PHOTO), "JPEG", exif=exif, quality=95))
    path = tmp_path / "a.tif"
    write_picture(photo, path, depth=depth, record='{"a": 1}')
    with Image.open(path) as image:
        found = image.getexif()
        assert found[ExifTags.Base.Make] == "Impasto Optical"
        assert found[ExifTags.Base.DateTime] == "2024:05:06 07:08:09"
        inner = found.get_ifd(ExifTags.IFD.Exif)
        assert inner[ExifTags.Base.ExposureTime] == pytest.approx(0.004)
        assert inner[ExifTags.Base.ISOSpeed] == 200
        assert found.get_ifd(ExifTags.IFD.GPSInfo)[2] == (52.0, 30.0, 1.5)
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.tags["Make"].value == "Impasto Optical"
        assert file.pages.first.tags["ExifTag"].value["ExposureTime"] in (0.004, (1, 250))
    back = read_picture(path)
    assert np.abs(back.pixels - photo.pixels).max() <= 1 / 255
    assert read_record(path) == '{"a": 1}'


def test_more_exif_than_jpeg_has_room_for_does_not_cost_the_picture(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: bytes(70_000)}
    photo = read_picture(encoded(Image.fromarray(PHOTO), "PNG", exif=exif))
    notices = []
    write_picture(photo, tmp_path / "a.jpg", notice=notices.append)
    assert "too large for JPEG" in notices[0]
    assert (read_picture(tmp_path / "a.jpg").width, len(notices)) == (32, 1)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_of_a_tiff_only_what_describes_the_photo_is_kept(bigtiff, tmp_path):
    data = tiff(
        PHOTO, photometric="rgb", bigtiff=bigtiff, extratags=[(33_432, "s", 4, b"Ada", True)]
    )
    write_picture(read_picture(data), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        found = image.getexif()
    assert found[ExifTags.Base.Copyright] == "Ada"
    assert not set(found) & {ExifTags.Base.StripOffsets, ExifTags.Base.Compression}


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


@pytest.mark.parametrize("letters", [251, 252, 300])
def test_a_name_may_be_as_long_as_the_file_system_lets_it(letters, tmp_path):
    target = tmp_path / ("🎨" * (letters // 4) + "a" * (letters % 4) + ".png")
    if letters == 251:
        write_atomically(target, b"whole")
        assert target.read_bytes() == b"whole"
    else:
        with pytest.raises(ResourceError, match="too long"):
            write_atomically(target, b"whole")
        assert not list(tmp_path.iterdir())


# --- arithmetic --------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 4000))
def test_fit_within_keeps_the_aspect(width, height, longer):
    w, h = fit_within(width, height, longer)
    assert max(w, h) == longer
    assert abs(w * height - h * width) <= max(width, height)


def test_oklab_of_known_colors():
    colors = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0]], np.float32)
    expected = [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585]]
    assert np.allclose(srgb_to_oklab(colors), expected, atol=2e-4)


def test_resizing_is_antialiased_and_keeps_the_mean():
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2] = 1
    small = Picture(stripes, None, Metadata()).resize(8, 8)
    assert np.allclose(small.pixels, 0.5, atol=0.05)
