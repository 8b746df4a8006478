"""Pictures of 16 bits and more a channel, which Pillow would cut down to 8."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.errors import ImageError, LimitError

# What tifffile has to say about a damaged file, our own one line says.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

Array = NDArray[Any]
OVERSHOOT = 0.5
"""How far floats may leave [0, 1], as a sharpened or resampled picture does; they are clipped."""
_READ_DEEP = (0, 1, 2)
"""Photometric interpretations of a TIFF whose samples are light: gray, inverted or not, and RGB."""
_DNG_VERSION = 50_706
_RAW = "is a raw camera file; develop it first, to TIFF or PNG"
_GRAY, _RGB, _GRAY_AND_ALPHA, _RGBA = 0, 2, 4, 6
"""Color types of PNG."""
_FILTER_UP = 2


def is_deep_png(data: bytes) -> bool:
    """Whether a PNG's header says 16 bits a channel."""
    return len(data) > 24 and data[12:16] == b"IHDR" and data[24] == 16


def read_deep_png(image: Image.Image, data: bytes) -> Array:
    """[H, W, 1..4] uint16 of a 16-bit PNG, with alpha where a color is declared transparent.

    Pillow keeps one byte of each sample: the upper one, as long as it is not told that the file
    has the lower one first.

    Args:
        image: the file, opened and not yet decoded.
        data: the file.

    Raises:
        OSError, SyntaxError: damaged.
    """
    color_type = data[25]
    if color_type in (_GRAY, _GRAY_AND_ALPHA):
        # As many bytes a pixel as L and LA, or as RGBA, of 8 bits.
        pairs = _unpacked(data, "LA" if color_type == _GRAY else "RGBA", None)
        high, low = pairs[..., 0::2], pairs[..., 1::2]
    else:
        mode = "RGB" if color_type == _RGB else "RGBA"
        high, low = _unpacked(data, mode, f"{mode};16B"), _unpacked(data, mode, f"{mode};16L")
    samples: Array = high.astype(np.uint16) << 8 | low
    hidden = image.info.get("transparency")
    if hidden is None:
        return samples
    opaque = (samples != np.array(hidden, dtype=np.uint16)).any(-1, keepdims=True)
    return np.dstack([samples, opaque.astype(np.uint16) * 65_535])


def _unpacked(data: bytes, mode: str, raw: str | None) -> Array:
    """Bytes [H, W, channels] of a PNG, decoded as if its pixels were of that (raw) mode."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        image._mode = mode
        image.tile = [tile._replace(args=raw or mode) for tile in image.tile]
        image.info.pop("transparency", None)
        return np.asarray(image)


def read_deep_tiff(data: bytes, check: Callable[[int, int], None]) -> Array | None:
    """[H, W, C] of a TIFF with samples of 16 bits, 32 bits or floats; none for any other TIFF,
    for inks, and for compressions that tifffile alone cannot undo, all of which Pillow reads.

    Args:
        data: the file.
        check: called with width and height before anything is decoded; may raise.

    Raises:
        ImageError: a camera's raw file, whose first picture is a thumbnail, or no picture at all.
    """
    import tifffile

    if data[8:10] == b"CR":  # Canon's mark
        raise ImageError(_RAW)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            if _DNG_VERSION in page.tags or page.is_reduced:
                raise ImageError(_RAW)
            if page.dtype is None or page.dtype.itemsize == 1:
                return None
            if int(page.photometric) not in _READ_DEEP:
                if int(page.planarconfig) != 1:  # Pillow would mix the planes up
                    raise ImageError("inks in separate planes; save it interleaved, or as RGB")
                return None
            check(page.imagewidth, page.imagelength)
            array = page.asarray()
            inverted = int(page.photometric) == 0
    except (ImageError, LimitError):
        raise
    except Exception:  # tifffile raises many types, and asks for codecs by ValueError
        return None
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3 and array.shape[0] <= 4 < array.shape[2]:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] > 4:
        raise ImageError(f"a TIFF of shape {array.shape} is no picture: 1 to 4 channels expected")
    return (np.iinfo(array.dtype).max - array) if inverted and array.dtype.kind == "u" else array


def to_unit(array: Array) -> NDArray[np.float32]:
    """Samples in [0, 1] as float32: integers by their own range, floats as they are.

    Raises:
        ImageError: floats that are not finite, or so far outside [0, 1] that they mean another
            range.
    """
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ImageError("holds NaN or infinite values; finite values in [0, 1] are needed")
        low, high = float(array.min()), float(array.max())
        if low < -OVERSHOOT or high > 1 + OVERSHOOT:
            raise ImageError(f"values from {low:g} to {high:g}; floats in [0, 1] are needed")
        return np.clip(array, 0, 1).astype(np.float32)
    if array.dtype == bool:
        return array.astype(np.float32)
    if array.dtype.kind != "u":
        raise ImageError(f"samples of type {array.dtype}; unsigned integers or floats are needed")
    return (array.astype(np.float64) / np.iinfo(array.dtype).max).astype(np.float32)


def write_deep_png(samples: NDArray[np.uint16], chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A 16-bit PNG of [H, W, 3 or 4] samples, with further chunks after its header."""
    height, width, planes = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _RGB if planes == 3 else _RGBA, 0, 0, 0)
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), _FILTER_UP, np.uint8), rows - above])
    body = (b"IDAT", zlib.compress(filtered.tobytes()))
    written = [(b"IHDR", header), *chunks, body, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in written)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_deep_tiff(
    samples: NDArray[np.uint16],
    tags: list[tuple[int, str, bytes]],
    profile: bytes,
    dpi: float | None = None,
) -> bytes:
    """A 16-bit TIFF of [H, W, 3 or 4] samples, with further tags (code, TIFF type, value), an ICC
    profile, and a resolution if it has one.
    """
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        samples,
        byteorder="<",
        photometric="rgb",
        compression="zlib",
        predictor=True,
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        iccprofile=profile,
        resolution=None if dpi is None else (dpi, dpi),
        resolutionunit=None if dpi is None else "INCH",
        metadata=None,
        software="impasto",
        extratags=[(code, kind, len(value), value, True) for code, kind, value in tags],
    )
    return stream.getvalue()
