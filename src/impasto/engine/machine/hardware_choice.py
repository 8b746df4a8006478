"""Hold what the user asks of the hardware, before the machine that does the work is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
