"""Writing pictures: formats, records, EXIF and targets."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, Image

from images import (
    PHOTO,
    UNIT,
    encode_image,
    encode_tiff,
    to_8_bits,
)
from impasto.errors import InputError
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import FORMATS, write_picture
from impasto.image.files.metadata import read_record
from impasto.image.picture import Picture


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.uint8, (9, 11, 3)),
    st.one_of(st.none(), arrays(np.uint8, (9, 11))),
    st.sampled_from([".png", ".tif"]),
    st.sampled_from([8, 16]),
)
def test_lossless_formats_keep_a_picture_exactly(tmp_path_factory, pixels, alpha, extension, depth):
    path = tmp_path_factory.mktemp("trip") / f"a{extension}"
    opacity = None if alpha is None else alpha.astype(np.float32) / 255
    picture = Picture(pixels.astype(np.float32) / 255, opacity)
    write_picture(picture, path, depth=depth)
    back = read_picture(path)
    visible = np.ones((9, 11), bool) if alpha is None else alpha > 0
    assert np.array_equal(to_8_bits(back)[visible], pixels[visible])
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
    photo = read_picture(encode_image(Image.fromarray(PHOTO), "JPEG", exif=exif))
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
    photo = read_picture(encode_image(Image.fromarray(PHOTO), "JPEG", exif=exif, quality=95))
    path = tmp_path / "a.tif"
    write_picture(photo, path, depth=depth, record='{"a": 1}')
    with Image.open(path) as image:
        tags = image.getexif()
        assert tags[ExifTags.Base.Make] == "Impasto Optical"
        assert tags[ExifTags.Base.DateTime] == "2024:05:06 07:08:09"
        inner = tags.get_ifd(ExifTags.IFD.Exif)
        assert inner[ExifTags.Base.ExposureTime] == pytest.approx(0.004)
        assert inner[ExifTags.Base.ISOSpeed] == 200
        assert tags.get_ifd(ExifTags.IFD.GPSInfo)[2] == (52.0, 30.0, 1.5)
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.tags["Make"].value == "Impasto Optical"
        assert file.pages.first.tags["ExifTag"].value["ExposureTime"] in (0.004, (1, 250))
    back = read_picture(path)
    assert np.abs(back.pixels - photo.pixels).max() <= 1 / 255
    assert read_record(path) == '{"a": 1}'


def test_exif_that_is_too_large_for_jpeg_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: bytes(70_000)}
    photo = read_picture(encode_image(Image.fromarray(PHOTO), "PNG", exif=exif))
    notices = []
    write_picture(photo, tmp_path / "a.jpg", notice=notices.append)
    assert "too large for JPEG" in notices[0]
    assert (read_picture(tmp_path / "a.jpg").width, len(notices)) == (32, 1)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_only_the_descriptive_tags_of_a_tiff_are_kept(bigtiff, tmp_path):
    data = encode_tiff(
        PHOTO, photometric="rgb", bigtiff=bigtiff, extratags=[(33_432, "s", 4, b"Ada", True)]
    )
    write_picture(read_picture(data), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        exif = image.getexif()
    assert exif[ExifTags.Base.Copyright] == "Ada"
    assert not set(exif) & {ExifTags.Base.StripOffsets, ExifTags.Base.Compression}


def test_formats_without_alpha_get_a_white_background_with_a_notice(tmp_path):
    notices = []
    alpha = np.zeros((24, 32), np.float32)
    write_picture(Picture(UNIT, alpha), tmp_path / "a.jpg", notice=notices.append)
    assert to_8_bits(read_picture(tmp_path / "a.jpg")).min() > 250
    assert "white" in notices[0]


def test_invalid_targets_are_refused_and_existing_files_kept(tmp_path):
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


def test_data_after_the_picture_is_dropped(tmp_path):
    data = encode_image(Image.fromarray(PHOTO), "JPEG")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("evil.php", "<?php ?>")
    picture = read_picture(data + stream.getvalue())
    write_picture(picture, tmp_path / "out.jpg")
    assert b"php" not in (tmp_path / "out.jpg").read_bytes()
