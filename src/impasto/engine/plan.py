"""What a run will take, told before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from impasto.engine.sizes import Scale

State = Literal["device", "host", "disk"]
"""Where picture-sized state is kept."""

TILED_WORK = 1.45
"""Work of a tile's pixel against an untiled one's: two passes forward (for the moments and for the
gradient) where one does, and one backward, which costs 1.2 of them."""


KEPT = 1.25
"""Of the memory needed, where what is freed is kept; 1.06 to 1.09 were measured."""


@dataclass(frozen=True)
class Plan:
    """Of one run.

    Attributes:
        width, height: of the result, in pixels.
        scales: coarse to fine.
        tile: side in pixels of the tiles of larger scales; 0: none.
        state: where the solver's pictures and the photo's features are: ``device``, ``host`` or
            ``disk``.
        bytes_needed: of the device's memory at the peak, with what the process holds already.
        bytes_free: of the same, or what was allowed; none: not known.
        bytes_on_host: of the machine's memory, where the device has its own.
        bytes_on_disk: in ``scratch``.
        scratch: the folder; none: nothing is on disk.
        seconds: from the timed cost of an iteration.
        at_most: whether the run may come to its end sooner (``schedule.until``), so that
            iterations and seconds are bounds.
        device: where.
        precision: ``float32`` or ``bfloat16``, of the convolutions.
    """

    width: int
    height: int
    scales: tuple[Scale, ...]
    tile: int
    state: State
    bytes_needed: int
    bytes_free: int | None
    bytes_on_host: int
    bytes_on_disk: int
    scratch: str | None
    seconds: float
    at_most: bool
    device: str
    precision: str

    @property
    def is_roomy(self) -> bool:
        """Whether there is memory for keeping what is freed between iterations."""
        if self.tile or self.bytes_free is None:
            return not self.tile
        return KEPT * self.bytes_needed <= self.bytes_free


class Pace:
    """Seconds a pixel of work: as expected until a run has shown its own."""

    def __init__(self, expected: float | None = None) -> None:
        self._seconds = expected
        self._began = time.monotonic()
        self._work = 0.0
        self._first = True

    def begin(self) -> None:
        """Note that a scale begins."""
        self._began, self._work, self._first = time.monotonic(), 0.0, True

    def after(self, work: float) -> float:
        """Seconds a pixel, now that an iteration of so many pixels is done. A scale's first one
        measures targets as well, and counts only where nothing else is known.
        """
        taken = time.monotonic() - self._began
        if self._first:
            self.begin()
            self._first = False
            self._seconds = self._seconds or taken / work
        else:
            self._work += work
            self._seconds = taken / self._work
        return self._seconds


def work(scale: Scale, tile: int, halo: int) -> float:
    """Of one iteration at a scale, in pixels; those of tiles with their halos and second pass."""
    sides = (scale.width, scale.height)
    tiled = tile and max(sides) > tile
    return math.prod(sides) * (TILED_WORK * _overlap(sides, tile, halo) if tiled else 1)


def total_work(scales: Sequence[Scale], tile: int, halo: int) -> float:
    """Of a run: its iterations, and what is measured before and after those of a scale, which
    passes the network about as often as one.
    """
    return sum((scale.iterations + 1) * work(scale, tile, halo) for scale in scales)


def _overlap(sides: tuple[int, int], tile: int, halo: int) -> float:
    """Pixels seen by tiles over pixels there are."""
    return math.prod((side + 2 * halo * (math.ceil(side / tile) - 1)) / side for side in sides)
