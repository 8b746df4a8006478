"""Rows of a picture worked on together, so that a large one is never doubled in memory."""

from __future__ import annotations

from collections.abc import Sequence

BAND = 2**20
"""Pixels worked on together: enough to cost no time, 13 MB a tensor."""


def bands(height: int, width: int) -> Sequence[slice]:
    """Slices of the rows of a picture, :data:`BAND` pixels or one row each."""
    rows = max(1, BAND // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
