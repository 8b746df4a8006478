"""Writes TIFFs of any bit depth, compression and layout, byte by byte."""

from __future__ import annotations

import struct
import zlib

import numpy as np

NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32_773
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, INKS = 0, 1, 2, 5
UNSPECIFIED, ASSOCIATED, UNASSOCIATED = 0, 1, 2
_SHORT, _LONG, _BYTES = 3, 4, 7


def encode_lzw(data: bytes) -> bytes:
    """Encode with single letters only; the table is cleared before codes get longer."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    bits = "".join(f"{code:09b}" for code in (*codes, 257))
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def encode_packbits(data: bytes) -> bytes:
    """Encode with literal runs only."""
    runs = [data[start : start + 128] for start in range(0, len(data), 128)]
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


ENCODERS = {NONE: bytes, LZW: encode_lzw, DEFLATE: zlib.compress, PACKBITS: encode_packbits}


def pack(rows: np.ndarray, bits: int, order: str) -> bytes:
    """Pack rows of samples [rows, samples]; rows begin at a new byte."""
    if rows.dtype.kind == "f" or bits in (8, 16, 32, 64):
        return rows.astype(rows.dtype.newbyteorder(order)).tobytes()
    packed = []
    for row in rows.tolist():
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        packed.append(int(text, 2).to_bytes(len(text) // 8))
    return b"".join(packed)


def write_tiff(
    samples: np.ndarray,
    bits: int,
    *,
    photometric: int = BLACK_IS_ZERO,
    compression: int = NONE,
    extra: tuple[int, ...] = (),
    sample_format: int = 1,
    order: str = "<",
    planar: bool = False,
    tile: int = 0,
    rows_per_strip: int = 7,
    predictor: int = 1,
    profile: bytes = b"",
    tags: dict[int, bytes] | None = None,
) -> bytes:
    """Write samples [H, W, C]; ``tile`` is the side of tiles, a multiple of 16. 0: strips."""
    height, width, channels = samples.shape
    step = tile or rows_per_strip
    pieces = []
    for plane in range(channels) if planar else [slice(None)]:
        part = samples[..., plane].reshape(height, width, -1)
        for top in range(0, height, step):
            for left in range(0, width, tile or width):
                piece = part[top : top + step, left : left + (tile or width)]
                if tile:
                    gaps = [(0, tile - n) for n in piece.shape[:2]]
                    piece = np.pad(piece, [*gaps, (0, 0)])
                pieces.append(_predict(piece, bits, predictor, order))
    encoded = [ENCODERS[compression](each) for each in pieces]
    fields = {
        **{256: (_LONG, [width]), 257: (_LONG, [height]), 258: (_SHORT, [bits] * channels)},
        **{259: (_SHORT, [compression]), 262: (_SHORT, [photometric])},
        **{277: (_SHORT, [channels]), 284: (_SHORT, [2 if planar else 1])},
        **{317: (_SHORT, [predictor]), 339: (_SHORT, [sample_format] * channels)},
    }
    if extra:
        fields[338] = (_SHORT, list(extra))
    if profile:
        fields[34_675] = (_BYTES, profile)
    for tag, value in (tags or {}).items():
        fields[tag] = (_BYTES, value)
    places, counts = (324, 325) if tile else (273, 279)
    if tile:
        fields |= {322: (_LONG, [tile]), 323: (_LONG, [tile])}
    else:
        fields[278] = (_LONG, [step])
    starts = np.cumsum([8, *(len(each) for each in encoded)])
    fields |= {
        places: (_LONG, starts[:-1].tolist()),
        counts: (_LONG, [len(each) for each in encoded]),
    }
    return _join(b"".join(encoded), fields, order)


def _predict(piece: np.ndarray, bits: int, predictor: int, order: str) -> bytes:
    rows, _, channels = piece.shape
    if predictor == 2:
        piece = np.diff(piece, axis=1, prepend=np.zeros_like(piece[:, :1]))
    if predictor == 3:
        count = bits // 8
        big = piece.astype(piece.dtype.newbyteorder(">")).reshape(rows, -1)
        planes = big.view(np.uint8).reshape(rows, -1, count).transpose(0, 2, 1).reshape(rows, -1)
        pixels = planes.reshape(rows, -1, channels)
        return np.diff(pixels, axis=1, prepend=np.zeros_like(pixels[:, :1])).tobytes()
    return pack(piece.reshape(rows, -1), bits, order)


def _join(body: bytes, fields: dict, order: str) -> bytes:
    body += bytes(len(body) % 2)
    start, values, entries = 8 + len(body), b"", b""
    after = start + 2 + 12 * len(fields) + 4
    for tag, (kind, content) in sorted(fields.items()):
        letter = {_SHORT: "H", _LONG: "L"}.get(kind)
        raw = content if letter is None else struct.pack(f"{order}{len(content)}{letter}", *content)
        entries += struct.pack(f"{order}HHL", tag, kind, len(content))
        if len(raw) <= 4:
            entries += raw.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}L", after + len(values))
            values += raw + bytes(len(raw) % 2)
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HL", 42, start)
    directory = struct.pack(f"{order}H", len(fields)) + entries + bytes(4)
    return head + body + directory + values
