"""The table of bad inputs: files that are odd, and what becomes of each.

Rows are numbered as in the survey that the table comes from; those that are not here are in
test_cli.py and test_output_files.py, or concern no command line.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import ExifTags, Image, ImageCms

from conftest import synthetic_photo
from images import png_file

PHOTO = synthetic_photo()
QUICK = ["--recipe", "sketch", "--iterations", "1", "--size", "32"]


def saved(name: str, kind: str | None = None, pixels: np.ndarray = PHOTO, **options) -> str:
    Image.fromarray(pixels).save(name, kind, **options)
    return name


def data_of(kind: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PHOTO).save(stream, kind, **options)
    return stream.getvalue()


def holding(name: str, data: bytes) -> str:
    Path(name).write_bytes(data)
    return name


# --- refused before any work -------------------------------------------------------------------


def corrupt_header() -> str:
    data = bytearray(Path("photo.png").read_bytes())
    data[25] ^= 0xFF  # the color type
    return holding("ihdr.png", bytes(data))


def cut_jpeg() -> str:
    data = data_of("JPEG")
    return holding("cut.jpg", data[: len(data) // 2])


def float_tiff(value: float) -> str:
    samples = PHOTO.astype(np.float32) / 255
    samples[5, 5] = value
    tifffile.imwrite("float.tif", samples, photometric="rgb")
    return "float.tif"


def text_bomb() -> str:
    packed = zlib.compress(bytes(100_000_000))
    return holding("text.png", png_file((9, 9, 8, 2, 0), b"", (b"zTXt", b"a\0\0" + packed)))


def zipped() -> str:
    with zipfile.ZipFile("zip.png", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(10_000_000))
    return "zip.png"


def tag_bomb() -> str:
    """A directory whose every tag claims four thousand million values."""
    tags = b"".join(struct.pack("<HHLL", tag, 12, 2**32 - 1, 8) for tag in range(256, 4000))
    return holding("tags.tif", b"II*\0" + struct.pack("<LH", 8, 3744) + tags)


def unpacking_bomb() -> str:
    return holding("lines.png", png_file((65_000, 65_000, 16, 6, 0), bytes(1_000_000)))


def fifo() -> str:
    os.mkfifo("pipe.png")
    return "pipe.png"


def dangling() -> str:
    Path("link.png").symlink_to("gone.png")
    return "link.png"


def circular() -> str:
    Path("round.png").symlink_to("round.png")
    return "round.png"


def raw_camera() -> str:
    tifffile.imwrite("raw.dng", PHOTO, photometric="rgb", subfiletype=1)
    return "raw.dng"


REFUSED: list[tuple[int, Callable[[], str], int, str]] = [
    (10, lambda: holding("none.png", png_file((0, 0, 8, 2, 0), b"")), 3, "0x0 px is too small"),
    (10, corrupt_header, 2, "damaged"),
    (11, cut_jpeg, 2, "damaged or not readable"),
    (17, lambda: float_tiff(np.nan), 2, "NaN or infinite"),
    (17, lambda: float_tiff(np.inf), 2, "NaN or infinite"),
    (17, lambda: float_tiff(255), 2, "expected floats in [0, 1]"),
    (23, text_bomb, 2, "damaged or not readable"),
    (23, zipped, 2, "looks like a zip archive"),
    (23, tag_bomb, 2, "damaged"),
    (23, unpacking_bomb, 3, "over the limit"),
    (23, raw_camera, 2, "raw camera file"),
    (24, lambda: ".", 2, "is a folder"),
    (24, fifo, 2, "is not a regular file"),
    (24, lambda: "/dev/zero", 2, "is not a regular file"),
    (24, dangling, 2, "no such file"),
    (24, circular, 2, "round.png"),
]


# --- adapted, and said so ----------------------------------------------------------------------


def jpeg_damaged_in_the_middle() -> str:
    data = bytearray(data_of("JPEG", quality=95))
    middle = len(data) // 2
    data[middle : middle + 6] = bytes(6)
    return holding("scratched.jpg", bytes(data))


def jpeg_with_a_tail() -> str:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("evil.php", "<?php ?>")
    return holding("tail.jpg", data_of("JPEG") + stream.getvalue())


def turned(orientation: int) -> str:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return saved("turned.jpg", exif=exif)


def swapped_primaries() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def animated(kind: str) -> str:
    frames = [Image.fromarray(np.roll(PHOTO, n, 1)) for n in range(3)]
    frames[0].save("moving.gif", kind, save_all=True, append_images=frames[1:])
    return "moving.gif"


def ten_thousand_frames() -> str:
    """A GIF whose only frame is repeated, byte by byte."""
    data = data_of("GIF")
    start = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return holding("long.gif", data[:start] + data[start:-1] * 10_000 + b";")


def chained_to_itself() -> str:
    """A TIFF whose first directory says that it is also the next one."""
    data = bytearray(data_of("TIFF"))
    (first,) = struct.unpack_from("<L", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<L", data, first + 2 + 12 * count, first)
    return holding("ring.tif", bytes(data))


def grain() -> str:
    pixels = np.random.default_rng(0).integers(0, 256, PHOTO.shape, dtype=np.uint8)
    return saved("grain.png", pixels=pixels)


ADAPTED: list[tuple[int, Callable[[], str], tuple[int, int], str]] = [
    (3, lambda: holding("a.jpg", Path("photo.png").read_bytes()), (32, 24), "is PNG, unlike"),
    (12, jpeg_damaged_in_the_middle, (32, 24), ""),
    (13, jpeg_with_a_tail, (32, 24), ""),
    (19, lambda: turned(6), (24, 32), ""),
    (19, lambda: turned(9), (32, 24), ""),
    (20, lambda: saved("wide.png", icc_profile=swapped_primaries()), (32, 24), ""),
    (20, lambda: saved("odd.png", icc_profile=b"nonsense" * 20), (32, 24), "profile is damaged"),
    (21, lambda: animated("GIF"), (32, 24), "has several frames; the first is used"),
    (21, lambda: animated("WEBP"), (32, 24), "has several frames; the first is used"),
    (21, lambda: animated("PNG"), (32, 24), "has several frames; the first is used"),
    (21, ten_thousand_frames, (32, 24), "has several frames; the first is used"),
    (23, chained_to_itself, (32, 24), ""),
    (27, grain, (32, 24), ""),
]
