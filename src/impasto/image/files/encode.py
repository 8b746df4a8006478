"""Write a :class:`Picture` to a file: atomic, deterministic, with its record inside."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import write_atomically
from impasto.image.files.layouts import deep
from impasto.image.files.metadata import (
    KEYWORD,
    add_exif_to_tiff,
    add_resolution,
    build_xmp_packet,
    state_size,
)
from impasto.image.files.rights import Rights, choose_png_texts
from impasto.image.picture import Picture
from impasto.image.rows import split_rows

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
_LONGEST_JPEG_EXIF = 65_533
"""Bytes of the largest EXIF block that fits into a JPEG."""
_METERS_PER_INCH = 0.0254
XMP_KEYWORD = "XML:com.adobe.xmp"
"""Keyword of the PNG text chunk that holds an XMP packet."""


def choose_format(target: Path, depth: int = 8) -> str:
    """Return Pillow's name of the format that a file name asks for.

    Args:
        target: path with an extension of :data:`FORMATS`.
        depth: bits per channel, 8 or 16.

    Raises:
        InputError: the extension is unknown, or the format cannot hold 16 bits.
    """
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise InputError(
            f"unknown extension; pictures are written as {', '.join(sorted(FORMATS))}", where=target
        )
    if depth not in (8, 16):
        raise InputError(f"is {depth}", what="depth", expected="8 or 16", field="depth")
    if depth != 8 and kind not in _DEEP:
        raise InputError(
            f"16 bits are written as PNG or TIFF, not {kind}", where=target, field="depth"
        )
    return kind


def check_target(target: Path, *, overwrite: bool) -> None:
    """Check before a run that its result can be written afterwards.

    Raises:
        InputError: the target is a folder, its folder does not exist, or it exists and must not be
            replaced.
        ResourceError: the folder is not writable.
    """
    if target.is_dir():
        raise InputError("is a folder", where=target, expected="the name of a file")
    if not target.parent.is_dir():
        raise InputError(f"no such folder {target.parent}", where=target)
    if (target.exists() or target.is_symlink()) and not overwrite:
        raise InputError(
            "exists already; `overwrite` replaces it",
            where=target,
            field="overwrite",
        )
    if not os.access(target.parent, os.W_OK):
        raise ResourceError(f"the folder {target.parent} is not writable", where=target)


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
    """Write a picture; equal arguments give equal bytes.

    A file is written under a temporary name in the same folder and renamed when it is complete.
    It has many parameters because most callers need one or two of them, by name, as in Pillow.

    Args:
        picture: picture to write.
        target: a path, whose extension chooses the format, or a binary stream.
        format: Pillow's name of the format of a stream. None: PNG.
        record: text to embed, see :mod:`impasto.image.files.metadata`. None: no record.
        depth: bits per channel: 8, or 16 for PNG and TIFF.
        dpi: print resolution in pixels per inch. None: as in the EXIF of the source, if any.
        keep_metadata: write the EXIF block of the source, and its rights.
        quality: 1 to 100, for lossy formats.
        overwrite: replace an existing file.
        notice: called with one line for each thing that the format cannot hold.

    Raises:
        InputError: see :func:`check_target` and :func:`choose_format`.
        ResourceError: the disk is full or the file is not writable; an existing file is kept.
    """
    if isinstance(target, Path):
        kind = choose_format(target, depth)
        check_target(target, overwrite=overwrite)
    else:
        kind = format or "PNG"
    exif = picture.metadata.exif if keep_metadata else None
    if dpi is not None:
        exif = add_resolution(exif, dpi)
    if exif is not None:
        exif = state_size(exif, picture.width, picture.height)
    encoder = _Encoder(
        kind=kind,
        record=record,
        dpi=dpi,
        exif=exif,
        rights=picture.metadata.rights if keep_metadata else (),
        quality=quality,
        notice=notice,
    )
    data = encoder.encode_deep(picture) if depth == 16 else encoder.encode(picture)
    if isinstance(target, Path):
        write_atomically(target, data, overwrite=overwrite)
    else:
        target.write(data)


@dataclass(frozen=True)
class _Encoder:
    """Encodes pictures in one format; the fields are those of :func:`write_picture`."""

    kind: str
    record: str | None
    dpi: float | None
    exif: bytes | None
    rights: Rights
    quality: int
    notice: Callable[[str], None] | None

    def encode(self, picture: Picture) -> bytes:
        """Encode a picture with 8 bits per channel."""
        image = picture.to_pil()
        if image.mode == "RGBA" and self.kind not in _WITH_ALPHA:
            image = _compose_on_white(image)
            self._report(f"{self.kind} has no transparency: the background was made white")
        if self.kind == "BMP" and self.record is not None:
            self._report("BMP cannot hold a recipe: none is embedded")
        exif = self.exif
        if self.kind == "JPEG" and exif is not None and len(exif) > _LONGEST_JPEG_EXIF:
            exif = None
            self._report("the EXIF block is too large for JPEG: it was left out")
        stream = io.BytesIO()
        image.save(stream, self.kind, **self._choose_options(exif))
        if self.kind == "TIFF" and exif:
            return add_exif_to_tiff(stream.getvalue(), exif)
        return stream.getvalue()

    def encode_deep(self, picture: Picture) -> bytes:
        """Encode a picture with 16 bits per channel, as PNG or TIFF."""
        planes = 4 if picture.has_alpha else 3
        if self.kind == "PNG":
            chunks = [(b"iCCP", b"sRGB\0\0" + zlib.compress(_build_srgb_profile()))]
            if self.dpi is not None:
                density = round(self.dpi / _METERS_PER_INCH)
                chunks.append((b"pHYs", struct.pack(">IIB", density, density, 1)))
            if self.exif:
                chunks.append((b"eXIf", self.exif.removeprefix(b"Exif\0\0")))
            texts = {} if self.record is None else {KEYWORD: self.record}
            for key, text in (texts | self._list_png_texts()).items():
                chunks.append((b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode()))
            return deep.write_deep_png(
                (picture.height, picture.width, planes),
                lambda rows: picture.read_levels(rows, 16),
                chunks,
            )
        samples = np.empty((picture.height, picture.width, planes), np.uint16)
        for rows in split_rows(picture.height, picture.width):
            samples[rows] = picture.read_levels(rows, 16)
        packet = self._build_packet()
        tags = [] if packet is None else [(_XMP_TAG, "B", packet)]
        tiff = deep.write_deep_tiff(samples, tags, _build_srgb_profile(), self.dpi)
        return add_exif_to_tiff(tiff, self.exif) if self.exif else tiff

    def _report(self, line: str) -> None:
        if self.notice is not None:
            self.notice(line)

    def _build_packet(self) -> bytes | None:
        """Build the XMP packet. None: it would be empty."""
        if self.record is None and not self.rights:
            return None
        return build_xmp_packet(self.record, self.rights)

    def _list_png_texts(self) -> dict[str, str]:
        """List the texts about rights, by keyword; one of them is the XMP packet."""
        if not self.rights:
            return {}
        packet = build_xmp_packet(None, self.rights).decode()
        return {**choose_png_texts(self.rights), XMP_KEYWORD: packet}

    def _choose_options(self, exif: bytes | None) -> dict[str, Any]:
        """Choose the options of Pillow's ``save``."""
        options: dict[str, Any] = {} if self.dpi is None else {"dpi": (self.dpi, self.dpi)}
        if self.kind == "BMP":
            return options
        options["icc_profile"] = _build_srgb_profile()
        if self.kind != "TIFF" and exif:
            options["exif"] = exif
        if self.kind == "PNG":
            options["compress_level"] = 6
            text = PngInfo()
            if self.record is not None:
                text.add_itxt(KEYWORD, self.record)
            for key, value in self._list_png_texts().items():
                text.add_itxt(key, value)
            options["pnginfo"] = text
        elif self.kind == "TIFF":
            options["compression"] = "tiff_deflate"
            options["tiffinfo"] = _build_tiff_tags(self._build_packet())
        else:
            options["quality"] = self.quality
            packet = self._build_packet()
            if packet is not None:
                options["xmp"] = packet
            if self.kind == "JPEG":
                options["subsampling"] = 0
            if self.kind == "WEBP":
                options["method"] = 4
        return options


def _compose_on_white(image: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    return ground.convert("RGB")


def _build_tiff_tags(packet: bytes | None) -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if packet is not None:
        tags[_XMP_TAG] = packet
        tags.tagtype[_XMP_TAG] = 1  # bytes
    return tags


def _build_srgb_profile() -> bytes:
    """Return LittleCMS's sRGB profile without its creation date, so that files are equal."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)
    return bytes(profile)
