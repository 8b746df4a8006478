"""Pictures of 16 bits and more a channel, which Pillow would cut down to 8."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageError, LimitError

Array = NDArray[Any]


def is_deep_png(data: bytes) -> bool:
    """Whether a PNG's header says 16 bits a channel."""
    return len(data) > 24 and data[12:16] == b"IHDR" and data[24] == 16


def read_deep_png(data: bytes) -> Array:
    """[H, W, 1..4] uint16 of a 16-bit PNG.

    Raises:
        ImageError: damaged.
    """
    import png

    try:
        width, height, rows, info = png.Reader(bytes=data).read()
        samples = np.vstack([np.asarray(row, dtype=np.uint16) for row in rows])
    except (png.Error, ValueError, zlib.error, struct.error, EOFError) as error:
        raise ImageError(f"damaged PNG: {error}") from None
    if samples.shape[0] != height:
        raise ImageError(f"truncated PNG: {samples.shape[0]} of {height} rows")
    return samples.reshape(height, width, info["planes"])


def read_deep_tiff(data: bytes, check: Callable[[int, int], None]) -> Array | None:
    """[H, W, C] of a TIFF with samples of 16 bits, 32 bits or floats; none for any other TIFF,
    and for compressions that tifffile alone cannot undo, both of which Pillow reads.

    Args:
        data: the file.
        check: called with width and height before anything is decoded; may raise.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            if page.dtype is None or page.dtype.itemsize == 1:
                return None
            check(page.imagewidth, page.imagelength)
            array = page.asarray()
            inverted = int(page.photometric) == 0
    except LimitError:
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
        ImageError: floats that are not finite.
    """
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ImageError("holds NaN or infinite values; finite values in [0, 1] are needed")
        return np.clip(array, 0, 1).astype(np.float32)
    if array.dtype == bool:
        return array.astype(np.float32)
    if array.dtype.kind != "u":
        raise ImageError(f"samples of type {array.dtype}; unsigned integers or floats are needed")
    return (array.astype(np.float64) / np.iinfo(array.dtype).max).astype(np.float32)


def write_deep_png(samples: NDArray[np.uint16], chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A 16-bit PNG of [H, W, 3 or 4] samples, with further chunks after its header."""
    import png

    height, width, planes = samples.shape
    stream = io.BytesIO()
    writer = png.Writer(width, height, greyscale=False, alpha=planes == 4, bitdepth=16)
    writer.write(stream, samples.reshape(height, -1))
    data = stream.getvalue()
    header_end = 8 + 25
    extra = b"".join(_chunk(kind, body) for kind, body in chunks)
    return data[:header_end] + extra + data[header_end:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_deep_tiff(samples: NDArray[np.uint16], tags: list[tuple[int, str, bytes]]) -> bytes:
    """A 16-bit TIFF of [H, W, 3 or 4] samples, with further tags (code, TIFF type, value)."""
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        samples,
        photometric="rgb",
        compression="zlib",
        predictor=True,
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        metadata=None,
        software="impasto",
        extratags=[(code, kind, len(value), value, True) for code, kind, value in tags],
    )
    return stream.getvalue()
