"""Convert RGB by an ICC profile of a matrix and curves with all bits of the samples.

LittleCMS is given 8 bits per channel here. Most profiles of cameras and displays (Display P3, Adobe
RGB, ProPhoto) are a curve for each channel and a matrix, which are computed in floats.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from impasto.image.color.spaces import Floats, linear_to_srgb

_HEADER_BYTES, _TAG_BYTES = 128, 12
_MOST_TAGS = 100
_MOST_POINTS = 65_536
_NODES = 65_536
"""Points of a curve; values between them are interpolated."""
_TOLERANCE = 1e-3
_PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
"""Number of parameters of a curve by its type (ICC.1:2022, 10.18)."""
_COLORS = (b"r", b"g", b"b")
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class MatrixConversion:
    """Converts RGB to sRGB.

    Attributes:
        curves: [3, N] linear light of N evenly spaced values of each channel.
        matrix: from that light to linear light with sRGB's primaries.
    """

    curves: Matrix
    matrix: Matrix

    @classmethod
    def parse(cls, profile: bytes) -> Self | None:
        """Parse a profile. None: it is not of a matrix and curves, or damaged."""
        try:
            tags = _split_tags(profile)
            if any(tag.startswith(b"A2B") for tag in tags):  # a table, which has priority
                return None
            columns = _read_columns(tags)
            curves = np.stack([_read_curve(tags[color + b"TRC"]) for color in _COLORS])
        except (KeyError, struct.error, ValueError):
            return None
        if not np.allclose(curves[:, [0, -1]], (0, 1), atol=_TOLERANCE):
            return None  # black or white is not where LittleCMS's compensation puts it
        return cls(curves, np.linalg.inv(_read_srgb_columns()) @ columns)

    def convert(self, values: Floats) -> Floats:
        """Convert values [rows, W, 1 or 3] in [0, 1] to sRGB [rows, W, 3]."""
        values = np.broadcast_to(values, (*values.shape[:-1], 3))
        nodes = np.linspace(0, 1, self.curves.shape[1])
        channels = [np.interp(values[..., n], nodes, self.curves[n]) for n in range(3)]
        light = np.stack(channels, -1) @ self.matrix.T
        return linear_to_srgb(light.clip(0, 1).astype(np.float32)).clip(0, 1)


@cache
def _read_srgb_columns() -> Matrix:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return _read_columns(_split_tags(profile))


def _split_tags(profile: bytes) -> dict[bytes, bytes]:
    """Return the contents of the tags of an RGB profile whose other side is XYZ."""
    if profile[16:24] != b"RGB XYZ ":
        raise ValueError
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    tags = {}
    for place in range(min(count, _MOST_TAGS)):
        at = _HEADER_BYTES + 4 + place * _TAG_BYTES
        name, start, length = struct.unpack_from(">4sII", profile, at)
        tags[name] = profile[start : start + length]
    return tags


def _read_columns(tags: dict[bytes, bytes]) -> Matrix:
    """Return the matrix from linear light to XYZ; each primary is a column."""
    primaries = [struct.unpack_from(">4s4x3i", tags[color + b"XYZ"]) for color in _COLORS]
    if any(kind != b"XYZ " for kind, *_ in primaries):
        raise ValueError
    return np.array([values for _, *values in primaries], np.float64).T / 2**16


def _read_curve(tag: bytes) -> Matrix:
    """Return the light of evenly spaced values."""
    values = np.linspace(0, 1, _NODES)
    if tag[:4] == b"para":
        return _compute_parametric(tag, values).clip(0, 1)
    if tag[:4] != b"curv":
        raise ValueError
    (count,) = struct.unpack_from(">I", tag, 8)
    if count > _MOST_POINTS:
        raise ValueError
    points = np.array(struct.unpack_from(f">{count}H", tag, 12), np.float64)
    if count == 0:
        return values
    if count == 1:
        return np.asarray(values ** (points[0] / 256), np.float64)
    return np.interp(values, np.linspace(0, 1, count), points / 65_535)


def _compute_parametric(tag: bytes, values: Matrix) -> Matrix:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind not in _PARAMETERS:
        raise ValueError
    numbers = np.array(struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)) / 2**16
    power, a, b, slope, limit, above, below = 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind == 0:
        (power,) = numbers
    elif kind in (1, 2):
        power, a, b = numbers[:3]
        limit = -b / a if a else 0.0
        above = below = numbers[3] if kind == 2 else 0.0
    else:
        power, a, b, slope, limit = numbers[:5]
        above, below = numbers[5:] if kind == 4 else (0.0, 0.0)
    high = np.maximum(a * values + b, 0) ** power + above
    return np.where(values >= limit, high, slope * values + below)
