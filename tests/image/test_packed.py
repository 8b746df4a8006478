"""Large pictures: integers in place of floats, and resizing in strips."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import synthetic_photo
from images import PHOTO, encode_image, encode_tiff
from impasto.image import packed, picture, rows
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.files.layouts import assemble, deep
from impasto.image.packed import PackedPixels
from impasto.image.picture import Picture

SAMPLES = np.random.default_rng(0).integers(0, 2**16, (24, 32, 4)).astype(np.uint16)
SAMPLES[:8, :, 3] = 0
LEVELS = (SAMPLES >> 8).astype(np.uint8)


def encode_deep(samples: np.ndarray) -> bytes:
    return deep.write_deep_png(samples.shape, samples.__getitem__, [])


def encode_turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x112] = orientation
    return encode_image(Image.fromarray(PHOTO), "JPEG", exif=exif)


def encode_as(mode: str, kind: str = "PNG", **options) -> bytes:
    return encode_image(Image.fromarray(LEVELS).convert(mode), kind, **options)


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
FILES = {
    "gray": encode_as("L"),
    "gray and alpha": encode_as("LA"),
    "one bit": encode_as("1"),
    "palette": encode_as("P"),
    "palette with a transparent color": encode_as("P", transparency=3),
    "RGB": encode_as("RGB"),
    "RGBA": encode_as("RGBA"),
    "inks": encode_as("CMYK", "JPEG"),
    "a profile that does not fit": encode_as("RGB", icc_profile=PROFILE),
    "WebP with alpha": encode_as("RGBA", "WEBP", lossless=True, exact=True),
    "GIF": encode_as("P", "GIF"),
    "BMP": encode_as("RGB", "BMP"),
    "16 bits": encode_deep(SAMPLES[..., :3]),
    "16 bits and alpha": encode_deep(SAMPLES),
    "TIFF in strips": encode_tiff(LEVELS[..., :3], photometric="rgb", rowsperstrip=5),
    "TIFF in tiles": encode_tiff(LEVELS[..., :3], photometric="rgb", tile=(16, 16)),
    "TIFF with associated alpha": encode_tiff(
        LEVELS, photometric="rgb", extrasamples=["assocalpha"]
    ),
    "TIFF of 16 bits": encode_tiff(SAMPLES[..., :3], photometric="rgb"),
    "TIFF of 12 bits in 16": encode_tiff(SAMPLES[..., :3] >> 4, photometric="rgb"),
    "TIFF of floats": encode_tiff(SAMPLES[..., :3].astype(np.float32) / 65535, photometric="rgb"),
    **{f"orientation {n}": encode_turned(n) for n in range(2, 9)},
}
IN_FLOATS = ("TIFF with associated alpha", "TIFF of floats")


def make_everything_large(monkeypatch):
    """Let pictures of a few pixels be kept and processed as pictures of a hundred megapixels."""
    monkeypatch.setattr(assemble, "choose_kind", lambda _, depth: choose_kind(2**30, depth))
    monkeypatch.setattr(rows, "PIXELS_PER_BAND", 100)


choose_kind = assemble.choose_kind


@pytest.mark.parametrize("name", FILES)
def test_a_large_picture_is_what_a_small_one_would_be(name, monkeypatch):
    whole = read_picture(FILES[name])
    make_everything_large(monkeypatch)
    large = read_picture(FILES[name])
    assert (large.packed is None) == (name in IN_FLOATS)
    assert np.array_equal(large.pixels, whole.pixels)
    assert large.has_alpha == whole.has_alpha
    if whole.alpha is not None:
        assert np.array_equal(large.alpha, whole.alpha)
    assert large.compute_sha256() == whole.compute_sha256()
    assert large.to_pil().tobytes() == whole.to_pil().tobytes()
    for depth in (8, 16):
        assert write(large, depth) == write(whole, depth)


def write(image: Picture, depth: int) -> bytes:
    stream = io.BytesIO()
    write_picture(image, stream, format="PNG", depth=depth)
    return stream.getvalue()


def test_packing_is_exact_for_all_integers_and_refused_for_others():
    for kind in (np.uint8, np.uint16):
        levels = np.arange(np.iinfo(kind).max + 1, dtype=kind)[None]
        floats = packed.unpack(levels)
        assert np.array_equal(packed.pack(floats, kind), levels)
        assert packed.pack(floats * np.float32(0.999), kind) is None
    assert np.array_equal(packed.unpack(PHOTO), PHOTO.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("alpha", [None, LEVELS[..., 3]])
def test_strips_resize_as_the_whole_does(alpha, monkeypatch):
    image = Picture(PackedPixels(LEVELS[..., :3], alpha), alpha)
    whole = [image.resize(11, 9), image.resize(70, 50)]
    monkeypatch.setattr(picture, "LARGEST_STRIP", 32 * 8)
    for before in whole:
        after = image.resize(before.width, before.height)
        assert np.allclose(after.pixels, before.pixels, atol=1e-5)
        assert alpha is None or np.allclose(after.alpha, before.alpha, atol=1e-5)


def test_a_reduced_copy_stands_for_its_original():
    large = synthetic_photo(600, 400)
    large = Picture(PackedPixels(large))
    copy = large.reduce(300, 200)
    assert copy.compute_sha256() == large.compute_sha256()
    assert copy.reduce(300, 200) is copy
    small, direct = copy.resize(150, 100), large.resize(150, 100)
    assert np.abs(small.pixels - direct.pixels).mean() < 0.5 / 255
    assert np.abs(small.pixels - direct.pixels).max() < 8 / 255


def test_reading_a_large_mask_in_bands_gives_the_same_weights(monkeypatch):
    from impasto.image.masks import read_mask

    for name in ("gray and alpha", "RGBA"):
        whole = read_mask(FILES[name]).values
        with monkeypatch.context() as patch:
            make_everything_large(patch)
            assert np.allclose(read_mask(FILES[name]).values, whole, atol=1e-6)
