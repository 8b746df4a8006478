"""Read PNGs and write PNGs and TIFFs with 16 bits per channel, which Pillow reduces to 8."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.image.files.layouts.sample_sources import PairSource
from impasto.image.rows import split_rows

Array = NDArray[Any]
_GRAY, _RGB, _GRAY_AND_ALPHA, _RGBA = 0, 2, 4, 6
"""PNG's color types."""
_FILTER_UP = 2


def is_deep_png(data: bytes) -> bool:
    """Tell whether a PNG has 16 bits per channel, by its header."""
    return len(data) > 24 and data[12:16] == b"IHDR" and data[24] == 16


def read_deep_png(image: Image.Image, data: bytes) -> PairSource:
    """Decode a 16-bit PNG, with alpha where a color is declared transparent.

    Pillow keeps the upper byte of each sample, or the lower one if it believes that the file has
    the other byte order. Both bytes are decoded that way.

    Args:
        image: the opened file, not decoded yet.
        data: content of the file.

    Raises:
        OSError, SyntaxError: the file is damaged.
    """
    color_type = data[25]
    hidden = image.info.get("transparency")
    if color_type in (_GRAY, _GRAY_AND_ALPHA):
        # They have as many bytes per pixel as LA or RGBA with 8 bits.
        both = _decode_as(data, "LA" if color_type == _GRAY else "RGBA", None)
        return PairSource(both, None, hidden)
    mode = "RGB" if color_type == _RGB else "RGBA"
    high, low = _decode_as(data, mode, f"{mode};16B"), _decode_as(data, mode, f"{mode};16L")
    return PairSource(high, low, hidden)


def _decode_as(data: bytes, mode: str, raw: str | None) -> Image.Image:
    """Decode a PNG to bytes as if its pixels had another (raw) mode."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        image._mode = mode
        image.tile = [tile._replace(args=raw or mode) for tile in image.tile]
        image.info.pop("transparency", None)
        image.load()
        return image


def write_deep_png(
    shape: tuple[int, int, int],
    read_rows: Callable[[slice], NDArray[np.uint16]],
    chunks: list[tuple[bytes, bytes]],
) -> bytes:
    """Encode a 16-bit PNG.

    Args:
        shape: (height, width, 3 or 4).
        read_rows: returns some rows of the samples.
        chunks: type and content of further chunks, which follow the header.
    """
    height, width, planes = shape
    header = struct.pack(">IIBBBBB", width, height, 16, _RGB if planes == 3 else _RGBA, 0, 0, 0)
    packer, packed = zlib.compressobj(), []
    above = np.zeros((1, 2 * width * planes), np.uint8)
    for part in split_rows(height, width):
        rows = read_rows(part).astype(">u2").reshape(part.stop - part.start, -1).view(np.uint8)
        kinds = np.full((len(rows), 1), _FILTER_UP, np.uint8)
        packed.append(
            packer.compress(np.hstack([kinds, rows - np.vstack([above, rows[:-1]])]).tobytes())
        )
        above = rows[-1:]
    body = (b"IDAT", b"".join([*packed, packer.flush()]))
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
