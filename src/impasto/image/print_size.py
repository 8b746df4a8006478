"""Convert a print size such as ``60x40cm@300dpi`` to pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass

from impasto.errors import InputError
from impasto.image.files.limits import Limits

_UNITS = {"mm": 1 / 25.4, "cm": 1 / 2.54, "in": 1.0}
"""Inches per unit."""
_NUMBER = r"(\d+(?:\.\d+)?)"
_PRINT_SIZE = re.compile(rf"{_NUMBER}(?:x{_NUMBER})?(mm|cm|in)@{_NUMBER}dpi")


@dataclass(frozen=True)
class PrintSize:
    """The sides of a sheet, or the longer side of a print, at a resolution.

    Attributes:
        longer: longer side in inches.
        shorter: shorter side in inches. None: it follows from the aspect of the picture.
        dpi: pixels per inch.
        text: the print size as the user wrote it.
    """

    longer: float
    shorter: float | None
    dpi: float
    text: str

    @classmethod
    def parse(cls, text: str) -> PrintSize:
        """Parse a sheet, ``60x40cm@300dpi``, or a longer side, ``60cm@300dpi``; cm, mm or in.

        Raises:
            InputError: the text has another form, or a number is 0.
        """
        match = _PRINT_SIZE.fullmatch(text.replace(" ", "").lower())
        if match is None or not all(float(n) for n in match.group(1, 4)) or match[2] == "0":
            raise InputError(
                f"invalid print size {text!r}",
                expected="60x40cm@300dpi, or 60cm@300dpi for the "
                "longer side; units are cm, mm and in",
                field="print_size",
            )
        first, second, unit, dpi = match.groups()
        sides = sorted(float(side) * _UNITS[unit] for side in (first, second) if side)
        return cls(sides[-1], sides[0] if second else None, float(dpi), text)

    def compute_longer_side(self, width: int, height: int) -> int:
        """Compute the longer side in pixels of a picture that fits on the sheet.

        The sheet is rotated to the orientation of the picture.

        Args:
            width, height: sides of a picture with this aspect, in pixels.

        Raises:
            LimitError: the print has more pixels than a picture may have, or too few.
        """
        longer, shorter = max(width, height), min(width, height)
        inches = self.longer
        if self.shorter is not None:
            inches = min(inches, self.shorter * longer / shorter)
        side = min(inches * self.dpi, 1e9)  # anything this large exceeds the limits
        Limits().check_size(
            round(side), round(side * shorter / longer), f"the print size {self.text}"
        )
        return round(side)
