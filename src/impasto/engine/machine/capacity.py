"""Measure how much memory and disk space is free."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from pathlib import Path

import torch

CGROUP = Path("/sys/fs/cgroup")


def measure_free_memory(device: torch.device | None = None) -> int | None:
    """Return the bytes that this process may still take, of the device or of the machine.

    On a CPU the limits of the container and of the process (``ulimit -v``) count too.

    Returns:
        None where the system does not say (Linux, CUDA and MPS do).
    """
    if device is not None and device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    if device is not None and device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    limits = [1024 * _read_field(Path("/proc/meminfo"), "MemAvailable:"), _measure_own_limit()]
    for place in _list_groups():
        limits.append(_measure_group(CGROUP / place / "memory.max", "anon"))
        limits.append(
            _measure_group(CGROUP / "memory" / place / "memory.limit_in_bytes", "total_rss")
        )
    finite = [each for each in limits if not math.isnan(each)]
    return int(min(finite)) if finite else None


def measure_taken_memory(device: torch.device) -> int:
    """Return the bytes that this process holds: resident, or allocated on a GPU.

    Returns:
        0 where the system does not say.
    """
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    resident = 1024 * _read_field(Path("/proc/self/status"), "VmRSS:")
    return 0 if math.isnan(resident) else int(resident)


def find_scratch_folder() -> Path:
    """Return the folder for large temporary files: ``TMPDIR`` if it exists, else /var/tmp.

    Not /tmp, which is often kept in memory.
    """
    folder = os.environ.get("TMPDIR")
    if folder and os.access(folder, os.W_OK | os.X_OK):  # it may be of a session that has ended
        return Path(folder)
    large = Path("/var/tmp")
    return large if os.access(large, os.W_OK) else Path(tempfile.gettempdir())


def measure_free_disk(folder: Path) -> int:
    """Return the bytes free in a folder; 0 if it does not exist."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _measure_own_limit() -> float:
    """Return the bytes of addresses that the process may still map, NaN without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.nan
    return limit - 1024 * _read_field(Path("/proc/self/status"), "VmSize:")


def _list_groups() -> set[str]:
    """Return the paths of this process's control groups.

    A container sees its own as the root, "".
    """
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return set()
    own = (Path(line.split(":", 2)[2].lstrip("/")) for line in lines)
    return {"", *(str(path) for each in own for path in (each, *each.parents))}


def _measure_group(limit: Path, used: str) -> float:
    """Return the bytes between a control group's limit and its processes' use without caches."""
    try:
        return int(limit.read_text("ascii")) - _read_field(limit.with_name("memory.stat"), used)
    except (OSError, ValueError):  # no such group, or "max"
        return math.nan


def _read_field(path: Path, name: str) -> float:
    """Return the number after a name, in a file with one name and one number a line."""
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError:
        return math.nan
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), math.nan)
