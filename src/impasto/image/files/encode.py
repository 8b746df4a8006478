"""A :class:`Picture` to a file: atomically, deterministically, with its record inside."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from impasto.errors import InputError, ResourceError
from impasto.image.files import deep
from impasto.image.files.atomic import write_atomically
from impasto.image.files.metadata import KEYWORD, add_resolution, build_xmp_packet
from impasto.image.files.tiff_exif import add_exif_to_tiff
from impasto.image.picture import Picture, to_levels

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
}
_WITH_ALPHA = ("PNG", "WEBP", "TIFF", "AVIF")
_DEEP = ("PNG", "TIFF")
_XMP_TAG = 700
_JPEG_SEGMENT = 65_533
"""Bytes that JPEG has for an EXIF block."""


def choose_format(target: Path, depth: int = 8) -> str:
    """The format a file name asks for.

    Raises:
        InputError: an unknown extension, or 16 bits in a format that has 8.
    """
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise InputError(
            f"{target}: pictures are written as {', '.join(sorted(FORMATS))}, by extension"
        )
    if depth != 8 and kind not in _DEEP:
        raise InputError(f"{target}: 16 bits are written as PNG or TIFF, not {kind}")
    return kind


def check_target(target: Path, *, overwrite: bool) -> None:
    """Find out before the work whether the result can be written afterwards.

    Raises:
        InputError: unknown extension, a folder, no such folder, or it exists and may not be
            replaced.
        ResourceError: the folder cannot be written.
    """
    if target.is_dir():
        raise InputError(f"{target}: is a folder, give the name of a file in it")
    if not target.parent.is_dir():
        raise InputError(f"{target}: no such folder {target.parent}")
    if (target.exists() or target.is_symlink()) and not overwrite:
        raise InputError(
            f"{target}: exists already; `overwrite` replaces it",
            where=str(target),
            field="overwrite",
        )
    if not os.access(target.parent, os.W_OK):
        raise ResourceError(f"{target}: the folder {target.parent} cannot be written")


def write_picture(
    picture: Picture,
    target: Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 -- Pillow's own word
    record: str | None = None,
    depth: int = 8,
    dpi: float | None = None,
    keep_metadata: bool = True,
    quality: int = 95,
    overwrite: bool = False,
    notice: Callable[[str], None] | None = None,
) -> None:
    """Encode a picture; equal arguments give equal bytes.

    A file is written under a temporary name in the same folder and renamed when it is whole.

    Args:
        picture: what to write.
        target: a path, whose extension chooses the format, or a binary stream.
        format: Pillow's name of a format, for streams; PNG if none.
        record: text to embed, see :mod:`impasto.image.files.metadata`.
        depth: 8, or 16 for PNG and TIFF.
        dpi: pixels an inch to be printed at; none: not said, unless the source's EXIF does.
        keep_metadata: whether EXIF and copyright of the source are written.
        quality: 1 to 100, of the lossy formats.
        overwrite: whether an existing file may be replaced.
        notice: called with one line for each thing the format cannot hold.

    Raises:
        InputError: see :func:`check_target` and :func:`choose_format`.
        ResourceError: disk full or not writable; what was there before is still there.
    """
    exif = picture.metadata.exif if keep_metadata else None
    if dpi is not None:
        exif = add_resolution(exif, dpi)
    if not isinstance(target, Path):
        kind = format or "PNG"
        target.write(_encoded(picture, kind, record, depth, dpi, exif, quality, notice))
        return
    kind = choose_format(target, depth)
    check_target(target, overwrite=overwrite)
    write_atomically(target, _encoded(picture, kind, record, depth, dpi, exif, quality, notice))


def _encoded(
    picture: Picture,
    kind: str,
    record: str | None,
    depth: int,
    dpi: float | None,
    exif: bytes | None,
    quality: int,
    notice: Callable[[str], None] | None,
) -> bytes:
    if depth == 16:
        return _encoded_deep(picture, kind, record, dpi, exif)
    image = picture.to_pil()
    if image.mode == "RGBA" and kind not in _WITH_ALPHA:
        image = _on_white(image)
        if notice:
            notice(f"{kind} has no transparency: the picture was laid on white")
    if kind == "BMP" and record is not None and notice:
        notice("BMP has no room for the recipe: it is not embedded")
    if kind == "JPEG" and exif is not None and len(exif) > _JPEG_SEGMENT:
        exif = None
        if notice:
            notice("JPEG has no room for so large an EXIF block: it was left out")
    stream = io.BytesIO()
    image.save(stream, kind, **_options(kind, record, dpi, exif, quality))
    if kind == "TIFF" and exif:
        return add_exif_to_tiff(stream.getvalue(), exif)
    return stream.getvalue()


def _on_white(image: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    return ground.convert("RGB")


def _options(
    kind: str, record: str | None, dpi: float | None, exif: bytes | None, quality: int
) -> dict[str, Any]:
    options: dict[str, Any] = {} if dpi is None else {"dpi": (dpi, dpi)}
    if kind == "BMP":
        return options
    options["icc_profile"] = _srgb_profile()
    if kind != "TIFF" and exif:
        options["exif"] = exif
    if kind == "PNG":
        options["compress_level"] = 6
        if record is not None:
            text = PngInfo()
            text.add_itxt(KEYWORD, record)
            options["pnginfo"] = text
    elif kind == "TIFF":
        options["compression"] = "tiff_deflate"
        options["tiffinfo"] = _tiff_tags(record)
    else:
        options["quality"] = quality
        if record is not None:
            options["xmp"] = build_xmp_packet(record)
        if kind == "JPEG":
            options["subsampling"] = 0
        if kind == "WEBP":
            options["method"] = 4
    return options


def _tiff_tags(record: str | None) -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if record is not None:
        tags[_XMP_TAG] = build_xmp_packet(record)
        tags.tagtype[_XMP_TAG] = 1  # bytes
    return tags


def _encoded_deep(
    picture: Picture, kind: str, record: str | None, dpi: float | None, exif: bytes | None
) -> bytes:
    samples: NDArray[np.uint16] = to_levels(picture.pixels, 16)
    if picture.alpha is not None:
        samples = np.dstack([samples, to_levels(picture.alpha, 16)])
    if kind == "PNG":
        chunks = [(b"iCCP", b"sRGB\0\0" + zlib.compress(_srgb_profile()))]
        if dpi is not None:
            chunks.append((b"pHYs", struct.pack(">IIB", *[round(dpi / 0.0254)] * 2, 1)))
        if exif:
            chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
        if record is not None:
            chunks.append((b"iTXt", KEYWORD.encode() + b"\0\0\0\0\0" + record.encode()))
        return deep.write_deep_png(samples, chunks)
    tags = [] if record is None else [(_XMP_TAG, "B", build_xmp_packet(record))]
    tiff = deep.write_deep_tiff(samples, tags, _srgb_profile(), dpi)
    return add_exif_to_tiff(tiff, exif) if exif else tiff


def _srgb_profile() -> bytes:
    """LittleCMS's sRGB, its creation date blanked so that equal pictures are equal files."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)
    return bytes(profile)
