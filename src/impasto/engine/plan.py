"""Estimate the time and memory of a run before it starts."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from impasto.engine.sizes import Scale

State = Literal["device", "host", "disk"]
"""Where tensors of the size of the picture are stored."""

TILED_WORK = 1.45
"""The work of a tiled pixel, relative to an untiled one's: two forward passes (for the moments and
for the gradient) instead of one, and one backward pass, which costs 1.2 of them."""
RETENTION = 1.25
"""Memory of a process that keeps what it frees, relative to the planned memory. Measured: 1.06 to
1.09."""


@dataclass(frozen=True)
class Plan:
    """The sizes, the time and the memory of one run.

    Attributes:
        width: width of the result in pixels.
        height: height of the result in pixels.
        scales: the scales, coarse to fine.
        tile: side in pixels of the tiles of larger scales; 0: no tiles.
        state: where the solver's pictures and the photo's features are stored.
        bytes_needed: peak memory of the device, including what the process holds already.
        bytes_free: free or allowed memory of the device. None: not known.
        bytes_on_host: peak memory of the machine, where the device has its own.
        bytes_on_disk: disk space in ``scratch``.
        scratch: folder of files with the state. None: no state is on disk.
        seconds: estimate of the time, from one timed iteration.
        at_most: whether the run may end sooner (``schedule.until``), so that iterations and seconds
            are upper bounds.
        device: name of the device.
        precision: precision of the convolutions, ``float32`` or ``bfloat16``.
        bytes_to_read: peak memory of the process while it read the pictures, as estimated from
            their headers. On a CPU, ``bytes_needed`` is at least this.
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
    bytes_to_read: int = 0

    @property
    def is_roomy(self) -> bool:
        """Whether there is enough memory to keep what is freed between iterations."""
        if self.tile or self.bytes_free is None:
            return not self.tile
        return RETENTION * self.bytes_needed <= self.bytes_free


class Pace:
    """The seconds that a pixel of work takes: an estimate until a run has measured its own."""

    def __init__(self, expected: float | None = None) -> None:
        self._seconds = expected
        self._began = time.monotonic()
        self._work = 0.0
        self._first = True

    def begin(self) -> None:
        """Start the clock of a scale."""
        self._began, self._work, self._first = time.monotonic(), 0.0, True

    def update(self, work: float) -> float:
        """Count an iteration, and return the seconds per pixel of work.

        The first iteration of a scale measures targets too, and counts only if nothing else is
        known.

        Args:
            work: work of the iteration, in pixels.
        """
        seconds = time.monotonic() - self._began
        if self._first:
            self.begin()
            self._first = False
            self._seconds = self._seconds or seconds / work
        else:
            self._work += work
            self._seconds = seconds / self._work
        return self._seconds


def estimate_work(scale: Scale, tile: int, halo: int) -> float:
    """Return the work of one iteration at a scale, in pixels, with the extra work of tiles."""
    sides = (scale.width, scale.height)
    tiled = tile and max(sides) > tile
    return math.prod(sides) * (TILED_WORK * _measure_overlap(sides, tile, halo) if tiled else 1)


def estimate_total_work(scales: Sequence[Scale], tile: int, halo: int) -> float:
    """Return the work of a run, in pixels.

    What is measured before and after the iterations of a scale costs about as much as one.
    """
    return sum((scale.iterations + 1) * estimate_work(scale, tile, halo) for scale in scales)


def _measure_overlap(sides: tuple[int, int], tile: int, halo: int) -> float:
    """Return the ratio of the pixels in all tiles, with their halos, to those of the picture."""
    return math.prod((side + 2 * halo * (math.ceil(side / tile) - 1)) / side for side in sides)
