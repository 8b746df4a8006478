"""TIFFs of every depth, compression and layout show the same picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageCms

from conftest import synthetic_photo
from images import to_8_bits
from impasto.errors import ImageError, ImpastoError, LimitError
from impasto.image.files.decode import read_picture
from tiffs import (
    ASSOCIATED,
    DEFLATE,
    INKS,
    LZW,
    NONE,
    PACKBITS,
    RGB,
    UNASSOCIATED,
    UNSPECIFIED,
    WHITE_IS_ZERO,
    write_tiff,
)

WIDTH, HEIGHT = 40, 24
RAMP = np.broadcast_to(np.linspace(0, 1, WIDTH)[None, :, None], (HEIGHT, WIDTH, 1))
PHOTO = synthetic_photo(WIDTH, HEIGHT) / 255
COMPRESSIONS = (NONE, LZW, DEFLATE, PACKBITS)


def scale(unit: np.ndarray, bits: int) -> np.ndarray:
    """Whole numbers of some bits, from values in [0, 1]."""
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return np.rint(unit * (2**bits - 1)).astype(kind)


def linear_gray_profile() -> bytes:
    """A gray profile whose curve is the identity, made of sRGB's."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = int.from_bytes(srgb[128:132])
    entries = [srgb[132 + 12 * n :][:12] for n in range(count)]
    white = next(each for each in entries if each.startswith(b"wtpt"))
    start = int.from_bytes(white[4:8])
    point = srgb[start : start + 20]
    place = 128 + 4 + 24
    table = b"wtpt" + (place).to_bytes(4) + (20).to_bytes(4)
    table += b"kTRC" + (place + 20).to_bytes(4) + (12).to_bytes(4)
    body = (2).to_bytes(4) + table + point + b"curv" + bytes(8)
    head = bytearray(srgb[:128])
    head[16:20], head[0:4] = b"GRAY", (128 + len(body)).to_bytes(4)
    return bytes(head) + body


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32])
def test_gray_of_any_depth_is_scaled_by_its_bits(bits, inverted, compression):
    samples = scale(RAMP, bits)
    expected = samples / (2**bits - 1)
    if inverted:
        samples = (2**bits - 1 - samples).astype(samples.dtype)
    data = write_tiff(samples, bits, compression=compression, photometric=0 if inverted else 1)
    assert np.allclose(read_picture(data).pixels, expected, atol=1e-6)


@pytest.mark.parametrize("layout", [{}, {"planar": True}, {"tile": 16}, {"tile": 16, "planar": 1}])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 12, 16, 32])
def test_rgb_of_any_layout_is_the_same(bits, order, layout):
    samples = scale(PHOTO, bits)
    for compression in (NONE, LZW, DEFLATE):
        data = write_tiff(
            samples, bits, photometric=RGB, order=order, compression=compression, **layout
        )
        assert np.allclose(read_picture(data).pixels, samples / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("order", ["<", ">"])
def test_differences_between_neighbors_are_summed(bits, order):
    samples = scale(PHOTO, bits)
    data = write_tiff(
        samples, bits, photometric=RGB, order=order, compression=LZW, predictor=2, tile=16
    )
    assert np.allclose(read_picture(data).pixels, samples / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_never_negatives(dtype, inverted, compression):
    samples = (1 - RAMP if inverted else RAMP).astype(dtype)
    data = write_tiff(
        samples,
        8 * samples.itemsize,
        sample_format=3,
        compression=compression,
        photometric=WHITE_IS_ZERO if inverted else 1,
    )
    assert np.allclose(read_picture(data).pixels, RAMP, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_predictor_of_floats_is_undone(dtype):
    samples = PHOTO.astype(dtype)
    data = write_tiff(
        samples,
        8 * samples.itemsize,
        sample_format=3,
        compression=LZW,
        photometric=RGB,
        predictor=3,
        tile=16,
    )
    assert np.allclose(read_picture(data).pixels, PHOTO, atol=1e-3)


@pytest.mark.parametrize("compression", [NONE, LZW])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_signed_integers_are_refused_whatever_the_compression(bits, compression):
    samples = np.full((16, 16, 1), 100, f"i{bits // 8}")
    with pytest.raises(ImageError, match=f"signed integers of {bits} bits"):
        read_picture(write_tiff(samples, bits, sample_format=2, compression=compression))


def add_channels(bits: int, *channels: np.ndarray) -> np.ndarray:
    return np.concatenate([scale(PHOTO, bits), *(scale(each, bits) for each in channels)], -1)


@pytest.mark.parametrize("compression", [NONE, LZW])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("kinds", [(UNSPECIFIED,), ()])
def test_an_extra_channel_is_not_transparency(bits, compression, kinds):
    selection = (RAMP > 0.5).astype(float)
    data = write_tiff(
        add_channels(bits, selection), bits, photometric=RGB, compression=compression, extra=kinds
    )
    notices = []
    picture = read_picture(data, notice=notices.append)
    assert picture.alpha is None
    assert np.abs(to_8_bits(picture) - PHOTO * 255).max() <= 1
    assert len(notices) == 1
    assert "has an extra channel, which is not transparency" in notices[0]


@pytest.mark.parametrize("compression", [NONE, LZW])
@pytest.mark.parametrize("bits", [8, 16])
def test_five_channels_are_color_alpha_and_one_more(bits, compression):
    samples = add_channels(bits, RAMP, 1 - RAMP)
    data = write_tiff(
        samples,
        bits,
        photometric=RGB,
        compression=compression,
        extra=(UNASSOCIATED, UNSPECIFIED),
    )
    notices = []
    picture = read_picture(data, notice=notices.append)
    assert np.allclose(picture.alpha, RAMP[..., 0], atol=0.01)
    assert np.abs(to_8_bits(picture) - PHOTO * 255)[:, 1:].max() <= 1
    assert "extra channel" in notices[0]


@pytest.mark.parametrize("compression", [NONE, LZW])
@pytest.mark.parametrize("bits", [8, 16])
def test_associated_alpha_is_undone(bits, compression):
    alpha = np.clip(RAMP, 0.25, 1)
    samples = np.concatenate([scale(PHOTO * alpha, bits), scale(alpha, bits)], -1)
    data = write_tiff(samples, bits, photometric=RGB, compression=compression, extra=(ASSOCIATED,))
    picture = read_picture(data)
    assert np.allclose(picture.alpha, alpha[..., 0], atol=0.01)
    assert np.abs(picture.pixels - PHOTO).max() < 0.02


@pytest.mark.parametrize("bits", [8, 16])
def test_inks_are_not_taken_for_light(bits):
    inks = np.zeros((16, 16, 4))
    inks[:, :8, 0] = 1
    for compression in (NONE, LZW):
        data = write_tiff(scale(inks, bits), bits, photometric=INKS, compression=compression)
        levels = to_8_bits(read_picture(data))[8, 4::8]
        assert levels.tolist() == [[0, 255, 255], [255, 255, 255]]


@pytest.mark.parametrize("compression", [NONE, LZW])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_gray_profile_applies_at_any_depth(bits, compression):
    linear = np.where(RAMP <= 0.04045, RAMP / 12.92, ((RAMP + 0.055) / 1.055) ** 2.4)
    data = write_tiff(
        scale(linear, bits), bits, compression=compression, profile=linear_gray_profile()
    )
    notices = []
    levels = to_8_bits(read_picture(data, notice=notices.append))
    assert np.abs(levels - RAMP * 255).max() <= (13 if bits == 8 else 2)
    assert notices == []


def test_sixty_channels_are_no_picture():
    data = write_tiff(np.zeros((16, 16, 60), np.uint8), 8, compression=DEFLATE)
    with pytest.raises(LimitError, match="60 channels, over the limit of 16"):
        read_picture(data)


@pytest.mark.parametrize("compression", COMPRESSIONS[1:])
def test_a_tiff_that_lacks_pixels_is_one_line(compression):
    data = bytearray(write_tiff(scale(PHOTO, 16), 16, photometric=RGB, compression=compression))
    data[12:4000] = bytes(3988)
    with pytest.raises(ImpastoError) as caught:
        read_picture(bytes(data))
    assert "\n" not in str(caught.value)
