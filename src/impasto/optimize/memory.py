"""Whether and how a run fits into memory, asked before it starts: it would fail hours later."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from impasto.errors import ResourceError
from impasto.optimize.schedule import SHORTEST
from impasto.recipe_tables import Solver

ACTIVATION_BYTES = {"float32": 2750, "bfloat16": 1700}
"""A pixel that is back-propagated, by precision: the activations its gradient needs. float32: peak
resident memory of ``standard`` above what the loaded network takes is 479, 1054 and 2006 MiB at
256, 512 and 768 px square: 3050 a pixel, of which 360 are the solver's, and a fixed 290 MiB.
bfloat16: 682 MiB at 512 px, of which 1570 a pixel if the fixed part is the same, and a margin."""
FORWARD_BYTES = 750
"""A pixel that only passes the network, without a gradient: 1072 and 1974 MiB at 1024 and 1536 px
square in float32."""
FIXED_BYTES = 300 * 2**20
TILES = (2048, 1536, 1024, 768, 512, 384, 256)
"""Sides to choose from, in pixels. With a halo of 80 px the largest does 1.2 times the work of the
whole picture, the smallest 2.6 times, in a hundredth of its memory."""

CGROUP = Path("/sys/fs/cgroup")


def available_memory(device: torch.device | None = None) -> int | None:
    """Bytes that this process may still take: of a CUDA device, of the machine or, if lower, of
    its container.

    None where the system does not tell (neither Linux nor CUDA).
    """
    if device is not None and device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    if device is not None and device.type != "cpu":
        return None
    found = [1024 * _field(Path("/proc/meminfo"), "MemAvailable:")]
    for place in _group_paths():
        found.append(_left(CGROUP / place / "memory.max", "anon"))
        found.append(_left(CGROUP / "memory" / place / "memory.limit_in_bytes", "total_rss"))
    known = [each for each in found if not math.isnan(each)]
    return int(min(known)) if known else None


@dataclass(frozen=True)
class Demand:
    """What a run asks of memory.

    Attributes:
        result: (width, height) in pixels.
        painting: of the largest one, at its style size.
        halo: of a tile, in pixels.
        precision: ``float32`` or ``bfloat16``, of the convolutions.
        images: tensors of the result's size that the solver and the loop keep; see
            :func:`images_of`.
    """

    result: tuple[int, int]
    painting: tuple[int, int]
    halo: int
    precision: str
    images: int

    def bytes_needed(self, tile: int) -> int:
        """At the peak, above the loaded network; ``tile`` 0: no tiles."""
        result, painting = math.prod(self.result), math.prod(self.painting)
        kept = 12 * self.images * result
        if not tile:
            at_work = max(ACTIVATION_BYTES[self.precision] * result, FORWARD_BYTES * painting)
            return kept + at_work + FIXED_BYTES
        width, height = (min(tile + 2 * self.halo, side) for side in self.result)
        a_pixel = ACTIVATION_BYTES[self.precision] + FORWARD_BYTES
        return kept + 12 * painting + a_pixel * width * height + FIXED_BYTES


def images_of(solver: Solver) -> int:
    """How many pictures of the result's size a run holds at its peak."""
    own = {
        "adam": 9,
        "bounded": 10 + 2 * solver.history,
        "lbfgs": 8 + 2 * solver.history,
        # SciPy works in float64 and keeps its own copies.
        "lbfgsb": 2 * (8 + 2 * 10),
    }
    return own[solver.kind]


def choose_tile(demand: Demand, available: int | None, tiles: Sequence[int]) -> int:
    """The first tile that fits.

    Args:
        demand: of the run.
        available: bytes; none: not known, and then whatever comes first fits.
        tiles: sides in pixels, from the one that needs most; 0: the whole picture.

    Raises:
        ResourceError: even the last does not fit, with the size that would.
    """
    for tile in tiles:
        if available is None or demand.bytes_needed(tile) <= available:
            return tile
    allowed, tile = available or 0, tiles[-1]
    (width, height), fits = demand.result, _largest_fit(demand, allowed, tile)
    raise ResourceError(
        f"a result of {width}x{height} px needs about {demand.bytes_needed(tile) / 2**30:.2f} GiB "
        f"of memory{' even in tiles' if tile else ''}, and {allowed / 2**30:.2f} GiB may be used: "
        + (f"--size {fits} would fit" if fits >= SHORTEST else "too little for any size")
    )


def _largest_fit(demand: Demand, available: int, tile: int) -> int:
    """Longer side in pixels of the largest result of this shape that fits; 0: none does."""

    def fits(longer: int) -> bool:
        ratio = longer / max(demand.result)
        result, painting = (
            (math.ceil(width * ratio), math.ceil(height * ratio))
            for width, height in (demand.result, demand.painting)
        )
        smaller = replace(demand, result=result, painting=painting)
        return smaller.bytes_needed(tile) <= available

    return bisect.bisect_left(range(1, max(demand.result)), True, key=lambda n: not fits(n))


def _group_paths() -> set[str]:
    """Of the control groups this process is in; a container sees its own as the root, ""."""
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return set()
    own = (Path(line.split(":", 2)[2].lstrip("/")) for line in lines)
    return {"", *(str(path) for each in own for path in (each, *each.parents))}


def _left(limit: Path, used: str) -> float:
    """Bytes between a control group's limit and what its processes hold, caches not counted."""
    try:
        return int(limit.read_text("ascii")) - _field(limit.with_name("memory.stat"), used)
    except (OSError, ValueError):  # no such group, or "max"
        return math.nan


def _field(path: Path, name: str) -> float:
    """The number after a name, in a file with a name and a number a line."""
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError:
        return math.nan
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), math.nan)
