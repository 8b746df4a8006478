"""Whether a run fits into memory, asked before it starts: it would fail hours later."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from impasto.errors import ResourceError

RESULT_BYTES = {"float32": 3100, "bfloat16": 2000}
"""A pixel of the result, by precision: activations that the gradient needs, and the solver's
history. float32: peak resident memory of ``standard`` above what the loaded network takes is
479, 1054 and 2006 MiB at 256, 512 and 768 px square: 3050 a pixel and a fixed 290 MiB.
bfloat16: 682 MiB at 512 px, of which 1570 a pixel if the fixed part is the same, and a margin."""
PAINTING_BYTES = 750
"""A pixel of the largest painting at its style size, which needs no gradient: 1072 and 1974 MiB at
1024 and 1536 px square in float32."""

CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that this process may still take: of the machine or, if lower, of its container.

    None where the system does not tell (not Linux).
    """
    found = [1024 * _field(Path("/proc/meminfo"), "MemAvailable:")]
    for place in _group_paths():
        found.append(_left(CGROUP / place / "memory.max", "anon"))
        found.append(_left(CGROUP / "memory" / place / "memory.limit_in_bytes", "total_rss"))
    known = [each for each in found if not math.isnan(each)]
    return int(min(known)) if known else None


def check_memory(
    device: torch.device,
    precision: str,
    result: tuple[int, int],
    paintings: Sequence[tuple[int, int]],
) -> None:
    """Refuse a run on the CPU that needs more than :func:`available_memory`.

    Args:
        device: others than the CPU are not checked: they fail at once, not by swapping.
        precision: ``float32`` or ``bfloat16``, of the convolutions.
        result: width and height in pixels.
        paintings: likewise, at their style size.

    Raises:
        ResourceError: with the size that would fit.
    """
    available = available_memory() if device.type == "cpu" else None
    if available is None:
        return
    needed = math.prod(result) * RESULT_BYTES[precision]
    what = f"a result of {result[0]}x{result[1]} px"
    largest = max(paintings, key=math.prod)
    if math.prod(largest) * PAINTING_BYTES > needed:
        needed = math.prod(largest) * PAINTING_BYTES
        what = f"a painting taken at {largest[0]}x{largest[1]} px"
    if needed > available:
        fits = int(max(result) * math.sqrt(available / needed))
        raise ResourceError(
            f"{what} needs about {needed / 2**30:.1f} GiB of memory, and "
            f"{available / 2**30:.1f} GiB are free: --size {fits} would fit"
        )


def _group_paths() -> set[str]:
    """Of the control groups this process is in; a container sees its own as the root, ""."""
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return set()
    return {"", *(line.split(":", 2)[2].lstrip("/") for line in lines)}


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
