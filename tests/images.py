"""Pictures and picture files for tests."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image

from conftest import synthetic_photo
from impasto.image.picture import Picture

PHOTO = synthetic_photo(32, 24)
"""[24, 32, 3] uint8."""
UNIT = PHOTO.astype(np.float32) / 255
DEEP = np.random.default_rng(0).integers(0, 65536, (9, 12, 4), dtype=np.uint16)
DEEP_TYPES = {0: 1, 2: 3, 4: 2, 6: 4}
"""PNG color type -> channels."""


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(header: tuple[int, ...], scanlines: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of (width, height, depth, color type, interlace) and filtered scanlines."""
    *described, interlace = header
    written = [(b"IHDR", struct.pack(">IIBBBBB", *described, 0, 0, interlace)), *chunks]
    written += [(b"IDAT", zlib.compress(scanlines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in written)


def encode_image(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def to_8_bits(picture: Picture) -> np.ndarray:
    return np.rint(picture.pixels * 255).astype(np.int64)


def join_scanlines(samples: np.ndarray) -> bytes:
    """16-bit samples [H, W, C] as scanlines, each after its filter type 0."""
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)


def assert_holds(picture: Picture, samples: np.ndarray) -> None:
    color, alpha = samples, None
    if samples.shape[2] in (2, 4):
        color, alpha = samples[..., :-1], samples[..., -1]
    assert np.array_equal(np.rint(picture.pixels * 65535), np.broadcast_to(color, (9, 12, 3)))
    assert picture.metadata.depth == 16
    if alpha is not None:
        assert np.array_equal(np.rint(picture.alpha * 65535), alpha)


def encode_tiff(samples: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()
