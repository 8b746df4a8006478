"""Limit the size of input pictures, checked on their headers before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.errors import LimitError

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits of an input file, all inclusive.

    Attributes:
        max_bytes: size of the file.
        max_pixels: width times height. 100 megapixels take 1.2 GB as float32.
        max_side: longer side in pixels.
        min_side: shorter side in pixels.
        max_aspect: longer side divided by the shorter one.
    """

    max_bytes: int = 512 * MIB
    max_pixels: int = 100_000_000
    max_side: int = 65_535
    min_side: int = 8
    max_aspect: float = 64.0

    def check_bytes(self, count: int, name: str) -> None:
        """Check the size of a file.

        Args:
            count: size in bytes, or a lower bound of it.
            name: name of the file, for the message.

        Raises:
            LimitError: the file is too large.
        """
        if count > self.max_bytes:
            raise LimitError(
                f"{count / MIB:.1f} MiB or more, over the limit of {self.max_bytes / MIB:.0f} MiB",
                where=name,
                limit=self.max_bytes,
            )

    def check_size(self, width: int, height: int, name: str) -> None:
        """Check the size of a picture in pixels.

        Raises:
            LimitError: the picture is too large, too small or too elongated.
        """
        size = f"{width}x{height} px"
        if max(width, height) > self.max_side:
            raise LimitError(
                f"{size}, over the limit of {self.max_side} px per side",
                where=name,
                limit=self.max_side,
            )
        if width * height > self.max_pixels:
            raise LimitError(
                f"{size} = {width * height / 1e6:.1f} megapixels, over the limit of "
                f"{self.max_pixels / 1e6:.0f} megapixels",
                where=name,
                limit=self.max_pixels,
            )
        if min(width, height) < self.min_side:
            raise LimitError(
                f"{size} is too small: at least {self.min_side} px per side are required",
                where=name,
                limit=self.min_side,
            )
        if max(width, height) > self.max_aspect * min(width, height):
            raise LimitError(
                f"{size}: aspect 1:{max(width, height) / min(width, height):.0f}, over the limit "
                f"of 1:{self.max_aspect:.0f}",
                where=name,
                limit=self.max_aspect,
            )
