"""Estimate the memory that reading a picture takes, and compare it with a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import ResourceError
from impasto.image.files.headers import Data, read_extents
from impasto.image.packed import LARGEST_IN_FLOATS

GIB = 2**30
FIXED_BYTES = 80 * 2**20
"""Bytes that reading takes whatever the size: bands of floats and the decoder itself."""
NOTICEABLE = 2 * FIXED_BYTES
"""A picture that takes less is not the cause where memory is short. The check of the run tells what
is."""
RUN_BYTES = 800 * 2**20
"""Bytes that a run takes besides the pictures, for the advice in a message: 250 MiB of libraries,
80 of the network, and the smallest tiles."""
DECODED_BYTES = {
    "JPEG": 4.0,
    "PNG": 4.0,
    "TIFF": 4.0,
    "WEBP": 21.0,
    "GIF": 5.0,
    "BMP": 4.0,
    "AVIF": 21.0,
    "HEIF": 21.0,
}
"""Bytes per pixel of the decoded picture, before its colors are converted. Measured for WebP: 15,
and 20 with alpha; for AVIF: 21."""
PROGRESSIVE_BYTES = 7.0
"""The same for a progressive JPEG, whose coefficients are kept as 16-bit integers: up to 6 per
pixel while 4 are decoded, but before any are converted."""
DEEP_PNG_BYTES = 13.0
"""The same for a PNG of 16 bits, whose upper and lower bytes are decoded apart."""
_PROGRESSIVE = re.compile(rb"\xff[\xc2\xc6\xca\xce]\x00")
_HEADER_BYTES = 2**16


@dataclass(frozen=True)
class ReadingCost:
    """What reading a picture takes.

    Attributes:
        pixels: number of pixels.
        result: bytes of the picture that is returned.
        peak: most bytes at any time, with the file and the result.
    """

    pixels: int
    result: int
    peak: int

    @classmethod
    def estimate(cls, data: Data, kind: str) -> ReadingCost:
        """Estimate the cost from the header of a file.

        Args:
            data: the file.
            kind: Pillow's name of its format.

        Returns:
            The cost; without a credible header, that of an empty picture.
        """
        extents = read_extents(data, kind)
        pixels = max((extent.width * extent.height for extent in extents), default=0)
        samples = max((extent.samples for extent in extents), default=3)
        bits = max((extent.bits for extent in extents), default=8)
        result = round(pixels * count_kept_bytes(pixels, samples, bits))
        decoded = DECODED_BYTES[kind]
        if kind == "JPEG" and _PROGRESSIVE.search(data[:_HEADER_BYTES]):
            decoded = PROGRESSIVE_BYTES
        elif kind == "PNG" and bits == 16:
            decoded = DEEP_PNG_BYTES * (1 if samples < 4 else 4 / 3)
        return cls(pixels, result, len(data) + result + round(pixels * decoded) + FIXED_BYTES)

    def check(self, max_memory: int | None, name: str) -> int:
        """Check that the process may take the memory.

        Args:
            max_memory: bytes that the process may take. None: there is no limit.
            name: name of the file.

        Returns:
            Bytes that the process takes at the peak.

        Raises:
            ResourceError: it may not, and the picture is large enough to be the cause.
        """
        used = measure_resident()
        peak = used + self.peak
        if max_memory is not None and peak > max_memory and self.peak > NOTICEABLE:
            enough = max(peak, used + self.result + RUN_BYTES)
            raise ResourceError(
                f"reading {self.pixels / 1e6:.0f} megapixels takes {peak / GIB:.2f} GiB of memory, "
                f"and `max_memory` is {max_memory / GIB:.2f} GiB",
                where=name,
                limit=max_memory,
                expected=f"a limit of {_round_up(enough):.1f}GiB, or a smaller picture",
                field="max_memory",
            )
        return peak


def count_kept_bytes(pixels: int, samples: int, bits: int) -> int:
    """Count the bytes per pixel of a picture in memory.

    Args:
        pixels: number of pixels.
        samples: samples per pixel in the file; more than three may include alpha.
        bits: bits per sample.
    """
    channels = 3 if samples in (1, 3) else 4
    if pixels <= LARGEST_IN_FLOATS or bits > 16:
        return 4 * channels
    return channels * (1 if bits <= 8 else 2)


def measure_resident() -> int:
    """Measure the bytes of memory that this process has. 0 where the system does not say."""
    try:
        text = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return 0
    match = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
    return 1024 * int(match[1]) if match else 0


def _round_up(count: int) -> float:
    """Return the GiB of some bytes, rounded up to a tenth."""
    return -(-10 * count // GIB) / 10
