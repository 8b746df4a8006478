"""Files of pictures, built byte by byte."""

from __future__ import annotations

import struct
import zlib


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(header: tuple[int, ...], scanlines: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of (width, height, depth, color type, interlace) and filtered scanlines."""
    *described, interlace = header
    written = [(b"IHDR", struct.pack(">IIBBBBB", *described, 0, 0, interlace)), *chunks]
    written += [(b"IDAT", zlib.compress(scanlines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in written)
