"""Show frames as the display matrix of their track says: mirrored, turned, or both."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

_SIDE_DATA = "DISPLAYMATRIX"
_NUMBERS = 9


@dataclass(frozen=True)
class Placement:
    """How stored frames become upright ones.

    Attributes:
        transposes: whether rows become columns, first.
        mirrors: whether left and right change places, then.
        flips: whether top and bottom change places, then.
    """

    transposes: bool = False
    mirrors: bool = False
    flips: bool = False

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return a view of [H, W, ...] pixels as they are shown."""
        if self.transposes:
            pixels = pixels.swapaxes(0, 1)
        if self.mirrors:
            pixels = pixels[:, ::-1]
        return pixels[::-1] if self.flips else pixels


def read_placement(frame: Any) -> Placement:
    """Read the display matrix of a decoded frame; turns are rounded to quarters.

    The matrix maps a stored place (x, y) to the shown one (a x + c y, b x + d y). A negative
    determinant mirrors.
    """
    data = frame.side_data.get(_SIDE_DATA)
    if data is None:
        return Placement()
    raw = bytes(data)
    if len(raw) < 4 * _NUMBERS:
        return Placement()
    a, b, _, c, d, *_ = struct.unpack_from(f"={_NUMBERS}i", raw)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Placement(mirrors=a < 0, flips=d < 0)
    return Placement(transposes=True, mirrors=c < 0, flips=b < 0)
