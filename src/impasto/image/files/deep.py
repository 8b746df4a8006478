"""Read and write pictures with 16 or more bits per channel, which Pillow reduces to 8."""

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

# tifffile logs about damaged files, which our own errors report already.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

Array = NDArray[Any]
OVERSHOOT = 0.5
"""How far floats may exceed [0, 1], as in sharpened or resampled pictures; they are clipped."""
_READ_DEEP = (0, 1, 2)
"""Photometric interpretations of TIFF that are read here: inverted gray, gray and RGB."""
_DNG_VERSION = 50_706
_RAW = "is a raw camera file"
_DEVELOPED = "a picture developed from it, as TIFF or PNG"
_GRAY, _RGB, _GRAY_AND_ALPHA, _RGBA = 0, 2, 4, 6
"""PNG's color types."""
_FILTER_UP = 2


def is_deep_png(data: bytes) -> bool:
    """Tell whether a PNG has 16 bits per channel, by its header."""
    return len(data) > 24 and data[12:16] == b"IHDR" and data[24] == 16


def read_deep_png(image: Image.Image, data: bytes) -> Array:
    """Read the samples of a 16-bit PNG, with alpha where a color is declared transparent.

    Pillow keeps the upper byte of each sample, or the lower one if it believes that the file has
    the other byte order. Both bytes are decoded that way.

    Args:
        image: the opened file, not decoded yet.
        data: content of the file.

    Returns:
        [H, W, 1 to 4] uint16.

    Raises:
        OSError, SyntaxError: the file is damaged.
    """
    color_type = data[25]
    if color_type in (_GRAY, _GRAY_AND_ALPHA):
        # They have as many bytes per pixel as LA or RGBA with 8 bits.
        pairs = _decode_as(data, "LA" if color_type == _GRAY else "RGBA", None)
        high, low = pairs[..., 0::2], pairs[..., 1::2]
    else:
        mode = "RGB" if color_type == _RGB else "RGBA"
        high, low = _decode_as(data, mode, f"{mode};16B"), _decode_as(data, mode, f"{mode};16L")
    samples: Array = high.astype(np.uint16) << 8 | low
    hidden = image.info.get("transparency")
    if hidden is None:
        return samples
    opaque = (samples != np.array(hidden, dtype=np.uint16)).any(-1, keepdims=True)
    return np.dstack([samples, opaque.astype(np.uint16) * 65_535])


def _decode_as(data: bytes, mode: str, raw: str | None) -> Array:
    """Decode a PNG to bytes [H, W, channels] as if its pixels had another (raw) mode."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        image._mode = mode
        image.tile = [tile._replace(args=raw or mode) for tile in image.tile]
        image.info.pop("transparency", None)
        return np.asarray(image)


def read_deep_tiff(data: bytes, check: Callable[[int, int], None]) -> Array | None:
    """Read the samples of a TIFF with 16 or 32 bits or floats.

    Args:
        data: content of the file.
        check: called with width and height before anything is decoded; may raise.

    Returns:
        [H, W, 1 to 4]. None: the TIFF has 8 bits, inks, or a compression that tifffile alone cannot
        decode; Pillow reads these.

    Raises:
        ImageError: the file is a raw camera file, whose first picture is a thumbnail, or not a
            picture.
    """
    import tifffile

    if data[8:10] == b"CR":  # Canon's raw format
        raise ImageError(_RAW, expected=_DEVELOPED)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            if _DNG_VERSION in page.tags or page.is_reduced:
                raise ImageError(_RAW, expected=_DEVELOPED)
            if page.dtype is None or page.dtype.itemsize == 1:
                return None
            if int(page.photometric) not in _READ_DEEP:
                if int(page.planarconfig) != 1:  # Pillow would mix the planes up
                    raise ImageError(
                        "stores its inks in separate planes", expected="interleaved inks, or RGB"
                    )
                return None
            check(page.imagewidth, page.imagelength)
            array = page.asarray()
            inverted = int(page.photometric) == 0
    except (ImageError, LimitError):
        raise
    except Exception:  # tifffile raises many types, and ValueError for a missing codec
        return None
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3 and array.shape[0] <= 4 < array.shape[2]:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] > 4:
        raise ImageError(
            f"a TIFF of shape {array.shape} is not a picture", expected="1 to 4 channels"
        )
    return (np.iinfo(array.dtype).max - array) if inverted and array.dtype.kind == "u" else array


def to_unit(array: Array) -> NDArray[np.float32]:
    """Convert samples to float32 in [0, 1]; integers are divided by the largest of their type.

    Raises:
        ImageError: floats are not finite, or so far outside [0, 1] that they have another range;
            or the samples are signed integers.
    """
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ImageError("holds NaN or infinite values", expected="finite values in [0, 1]")
        low, high = float(array.min()), float(array.max())
        if low < -OVERSHOOT or high > 1 + OVERSHOOT:
            raise ImageError(f"values from {low:g} to {high:g}", expected="floats in [0, 1]")
        return np.clip(array, 0, 1).astype(np.float32)
    if array.dtype == bool:
        return array.astype(np.float32)
    if array.dtype.kind != "u":
        raise ImageError(f"samples of type {array.dtype}", expected="unsigned integers or floats")
    return (array.astype(np.float64) / np.iinfo(array.dtype).max).astype(np.float32)


def write_deep_png(samples: NDArray[np.uint16], chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Encode a 16-bit PNG.

    Args:
        samples: [H, W, 3 or 4].
        chunks: type and content of further chunks, which follow the header.
    """
    height, width, planes = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _RGB if planes == 3 else _RGBA, 0, 0, 0)
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), _FILTER_UP, np.uint8), rows - above])
    body = (b"IDAT", zlib.compress(filtered.tobytes()))
    everything = [(b"IHDR", header), *chunks, body, (b"IEND", b"")]
    encoded = (_encode_chunk(kind, content) for kind, content in everything)
    return b"\x89PNG\r\n\x1a\n" + b"".join(encoded)


def _encode_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_deep_tiff(
    samples: NDArray[np.uint16],
    tags: list[tuple[int, str, bytes]],
    profile: bytes,
    dpi: float | None = None,
) -> bytes:
    """Encode a 16-bit TIFF.

    Args:
        samples: [H, W, 3 or 4].
        tags: further tags: code, TIFF type and value.
        profile: ICC profile.
        dpi: print resolution in pixels per inch. None: not stated.
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
