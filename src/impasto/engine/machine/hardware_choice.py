"""Hold what the user asks of the hardware, before the machine that does the work is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import InputError

if TYPE_CHECKING:
    from impasto.engine.machine.hardware import Hardware


@dataclass(frozen=True)
class HardwareChoice:
    """The hardware of a run by name: plain data that loads no torch and crosses machines.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        weights: see :class:`impasto.engine.machine.hardware.Hardware`.
        max_memory: see there.
        scratch: see there.
    """

    device: str = "auto"
    weights: str | Path | None = None
    max_memory: int | None = None
    scratch: str | Path | None = None

    def __post_init__(self) -> None:
        """Check the memory limit, which is in bytes.

        Raises:
            InputError: it is not a positive number.
        """
        limit: object = self.max_memory
        if limit is None or (isinstance(limit, int | float) and limit > 0):
            return
        raise InputError(
            f"invalid `max_memory` {limit!r}",
            expected="a positive number of bytes, such as 800 * 2**20",
            field="max_memory",
        )

    def resolve(self) -> Hardware:
        """Find the device on this machine.

        Raises:
            InputError: there is no device of this name.
            ResourceError: this machine has no such device.
        """
        from impasto.engine.machine.hardware import Hardware, resolve_device

        return Hardware(
            device=resolve_device(self.device),
            weights=None if self.weights is None else Path(self.weights),
            max_memory=self.max_memory,
            scratch=None if self.scratch is None else Path(self.scratch),
        )
