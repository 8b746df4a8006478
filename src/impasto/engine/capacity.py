"""How much memory and disk there is."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from pathlib import Path

import torch

CGROUP = Path("/sys/fs/cgroup")


def available_memory(device: torch.device | None = None) -> int | None:
    """Bytes that this process may still take: of a CUDA device, of the machine or, if lower, of
    its container or its own limit (``ulimit -v``).

    None where the system does not tell (Linux, CUDA and MPS do).
    """
    if device is not None and device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    if device is not None and device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    found = [1024 * _field(Path("/proc/meminfo"), "MemAvailable:"), _left_of_own_limit()]
    for place in _group_paths():
        found.append(_left(CGROUP / place / "memory.max", "anon"))
        found.append(_left(CGROUP / "memory" / place / "memory.limit_in_bytes", "total_rss"))
    known = [each for each in found if not math.isnan(each)]
    return int(min(known)) if known else None


def taken_memory(device: torch.device) -> int:
    """Bytes that this process holds already: resident, or allocated on a CUDA device; 0 where the
    system does not tell.
    """
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    resident = 1024 * _field(Path("/proc/self/status"), "VmRSS:")
    return 0 if math.isnan(resident) else int(resident)


def scratch_folder() -> Path:
    """Where large temporary files go: ``TMPDIR`` or, since /tmp is often memory, /var/tmp."""
    named = os.environ.get("TMPDIR")
    if named:
        return Path(named)
    large = Path("/var/tmp")
    return large if os.access(large, os.W_OK) else Path(tempfile.gettempdir())


def available_disk(folder: Path) -> int:
    """Bytes free in a folder; 0 if there is none of that name."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _left_of_own_limit() -> float:
    """Bytes of addresses that the process may still map, NaN without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.nan
    return limit - 1024 * _field(Path("/proc/self/status"), "VmSize:")


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
