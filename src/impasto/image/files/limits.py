"""How large a picture may be; checked on its header, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.errors import LimitError

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds on an input file. A picture on a bound is accepted.

    Attributes:
        max_bytes: of the file.
        max_pixels: width times height; 100 megapixels decode into 1.2 GB of float32.
        max_side: in pixels.
        min_side: in pixels.
        max_aspect: longer side over shorter side.
    """

    max_bytes: int = 512 * MIB
    max_pixels: int = 100_000_000
    max_side: int = 65_535
    min_side: int = 8
    max_aspect: float = 64.0

    def check_bytes(self, count: int, name: str) -> None:
        """Raises LimitError for a file of too many bytes."""
        if count > self.max_bytes:
            raise LimitError(
                f"{name}: {count / MIB:.1f} MiB or more, over the limit of "
                f"{self.max_bytes / MIB:.0f} MiB"
            )

    def check_size(self, width: int, height: int, name: str) -> None:
        """Raises LimitError for a picture that is too large, too small or too long."""
        size = f"{name}: {width}x{height} px"
        if max(width, height) > self.max_side:
            raise LimitError(f"{size}, over the limit of {self.max_side} px a side")
        if width * height > self.max_pixels:
            raise LimitError(
                f"{size} = {width * height / 1e6:.1f} megapixels, over the limit of "
                f"{self.max_pixels / 1e6:.0f} megapixels"
            )
        if min(width, height) < self.min_side:
            raise LimitError(f"{size} is too small: at least {self.min_side} px a side are needed")
        if max(width, height) > self.max_aspect * min(width, height):
            raise LimitError(
                f"{size}: sides of 1:{max(width, height) / min(width, height):.0f}, "
                f"over the limit of 1:{self.max_aspect:.0f}"
            )
