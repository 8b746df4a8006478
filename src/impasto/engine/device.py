"""Where the convolutions run and in which precision."""

from __future__ import annotations

from pathlib import Path

import torch

from impasto.errors import InputError, ResourceError

LONGEST_ON_CPU = 768
LONGEST_ON_GPU = 1536
"""Longer side of a result whose size was not asked for: about what a minute makes."""
_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""What Linux calls bfloat16 products: twice on x86, once on ARM."""


def resolve_device(name: str) -> torch.device:
    """The device meant by ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        InputError: not the name of a device.
        ResourceError: a device this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"no device {name!r}: use auto, cpu, cuda, cuda:N or mps")
    found = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }[device.type]
    if (device.index or 0) >= found:
        raise ResourceError(f"device {name!r} asked for, but this machine has {found} of that type")
    return device


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """What convolutions are cast to; none: nothing, they stay float32.

    ``auto`` takes bfloat16 where the hardware multiplies it natively: elsewhere it is emulated and
    slower than float32. Where it is native it is both faster and smaller, so that how much memory
    there is has no say.
    """
    if precision == "bfloat16" or (precision == "auto" and has_native_bfloat16(device)):
        return torch.bfloat16
    return None


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 matrix instructions."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        try:
            flags = set(Path("/proc/cpuinfo").read_text("ascii", errors="replace").split())
        except OSError:
            return False
        return not flags.isdisjoint(_CPU_FLAGS)
    return False


def default_longer_side(photo_side: int, device: torch.device) -> int:
    """Longer side in pixels of a result whose size was not asked for."""
    return min(photo_side, LONGEST_ON_CPU if device.type == "cpu" else LONGEST_ON_GPU)


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory so far: allocated on a GPU, resident on a CPU. Megabytes (2**20 bytes)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows has none
        return 0.0
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
