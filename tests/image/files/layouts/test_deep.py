"""Reading and writing pictures with 16 or more bits per channel."""

from __future__ import annotations

import fractions
import io
import tracemalloc

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from images import (
    DEEP,
    DEEP_TYPES,
    assert_holds,
    encode_image,
    encode_tiff,
    join_scanlines,
    png_file,
    to_8_bits,
)
from impasto.errors import ImageError
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.picture import Picture


@pytest.mark.parametrize(("kind", "channels"), DEEP_TYPES.items())
@pytest.mark.parametrize("interlaced", [False, True])
def test_16_bit_png_keeps_its_bits(kind, channels, interlaced):
    samples = DEEP[..., :channels]
    passes = [samples]
    if interlaced:
        steps = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2))
        steps = (*steps, (0, 1, 2, 2), (1, 0, 2, 1))
        passes = [samples[y::down, x::across] for y, x, down, across in steps]
    lines = b"".join(join_scanlines(part) for part in passes if part.size)
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
    picture = read_picture(png_file((12, 9, 16, kind, 0), join_scanlines(samples), key))
    assert np.argwhere(picture.alpha == 0).tolist() == [[2, 7], [4, 5]]
    assert np.rint(picture.pixels[3, 3] * 65535)[0] == samples[3, 3, 0]


def test_a_deep_png_that_unpacks_to_far_more_than_its_size_takes_no_memory_for_it():

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
    data = png_file((12, 9, 16, kind, 0), join_scanlines(DEEP[..., :channels]))
    with pytest.raises(ImageError) as caught:
        read_picture(damaged(data, how))
    assert "\n" not in str(caught.value)


def test_16_bit_gray_png_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    picture = read_picture(encode_image(Image.fromarray(ramp), "PNG"))
    assert np.allclose(picture.pixels[..., 1], ramp / 65535, atol=1e-4)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_tiff_keeps_its_bits(compression):
    samples = np.random.default_rng(1).integers(0, 65536, (16, 20, 3), dtype=np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, photometric="rgb", compression=compression)
    picture = read_picture(stream.getvalue())
    assert np.array_equal(np.rint(picture.pixels * 65535), samples)


def test_a_tiff_of_floats_is_read_but_not_with_nan():
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


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_inks_are_not_taken_for_light_and_alpha(compression):
    inks = np.zeros((16, 16, 4), np.uint16)
    inks[:, :8, 0] = 65535
    picture = read_picture(encode_tiff(inks, photometric="separated", compression=compression))
    assert picture.alpha is None
    assert to_8_bits(picture)[8, 4::8].tolist() == [[0, 255, 255], [255, 255, 255]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inks_in_separate_planes_are_read(dtype):
    inks = np.zeros((4, 16, 16), dtype)
    inks[0, :, :8] = np.iinfo(dtype).max
    picture = read_picture(encode_tiff(inks, photometric="separated", planarconfig="separate"))
    assert to_8_bits(picture)[8, 4::8].tolist() == [[0, 255, 255], [255, 255, 255]]


@pytest.mark.parametrize("kind", ["cielab", "ycbcr"])
def test_a_deep_tiff_of_another_kind_of_color_is_refused(kind):
    with pytest.raises(ImageError, match="a kind that is not supported"):
        read_picture(encode_tiff(DEEP[..., :3], photometric=kind))


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
        read_picture(encode_tiff(thumbnail, photometric="rgb", **options))


def test_a_canon_raw_file_is_refused():
    data = encode_tiff(np.zeros((16, 16, 3), np.uint8), photometric="rgb", metadata=None)
    with pytest.raises(ImageError, match="raw camera file"):
        read_picture(data[:8] + b"CR\2\0" + data[12:])
