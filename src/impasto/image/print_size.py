"""A size on paper, ``60x40cm@300dpi``, in pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass

from impasto.errors import InputError
from impasto.image.files.limits import Limits

_UNITS = {"mm": 1 / 25.4, "cm": 1 / 2.54, "in": 1.0}
"""In inches."""
_NUMBER = r"(\d+(?:\.\d+)?)"
_WRITTEN = re.compile(rf"{_NUMBER}(?:x{_NUMBER})?(mm|cm|in)@{_NUMBER}dpi")


@dataclass(frozen=True)
class PrintSize:
    """A sheet, or the longer side of a print, at a resolution.

    Attributes:
        longer: side in inches.
        shorter: side in inches; none: as the picture's aspect has it.
        dpi: pixels an inch.
        written: as the user put it.
    """

    longer: float
    shorter: float | None
    dpi: float
    written: str

    @classmethod
    def parse(cls, text: str) -> PrintSize:
        """From ``60x40cm@300dpi``, a sheet, or ``60cm@300dpi``, a longer side; cm, mm or in.

        Raises:
            InputError: written differently, or nothing in size.
        """
        match = _WRITTEN.fullmatch(text.replace(" ", "").lower())
        if match is None or not all(float(n) for n in match.group(1, 4)) or match[2] == "0":
            raise InputError(
                f"{text!r} is no size of a print: write 60x40cm@300dpi, or 60cm@300dpi for the "
                "longer side; units are cm, mm and in"
            )
        first, second, unit, dpi = match.groups()
        sides = sorted(float(side) * _UNITS[unit] for side in (first, second) if side)
        return cls(sides[-1], sides[0] if second else None, float(dpi), text)

    def compute_longer_side(self, width: int, height: int) -> int:
        """Pixels of the longer side of a picture of this aspect, fitted within the sheet, which is
        turned the way the picture lies.

        Raises:
            LimitError: more pixels than a picture may have, or too few.
        """
        longer, shorter = max(width, height), min(width, height)
        inches = self.longer
        if self.shorter is not None:
            inches = min(inches, self.shorter * longer / shorter)
        side = min(inches * self.dpi, 1e9)  # anything that large is refused alike
        Limits().check_size(
            round(side), round(side * shorter / longer), f"the print size {self.written}"
        )
        return round(side)
