"""Define an objective that survives running out of memory: it is made again in smaller tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from impasto.errors import ResourceError, is_out_of_memory
from impasto.objective.evaluation import Objective

T = TypeVar("T")


class RecoveringObjective:
    """An objective that is made when it is first used, and again when memory runs out."""

    def __init__(self, make: Callable[[], Objective], shrink: Callable[[], bool]) -> None:
        """Prepare to make an objective.

        Args:
            make: makes the objective.
            shrink: causes ``make`` to make one that takes less memory. Returns False if that is
                impossible.
        """
        self._make = make
        self._shrink = shrink
        self._objective: Objective | None = None

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """Evaluate a picture; raises as :meth:`attempt`."""
        return self.attempt(lambda: self._get().evaluate(image))

    def compute_losses(self, image: Tensor) -> dict[str, float]:
        """Compute the losses of a picture; raises as :meth:`attempt`."""
        return self.attempt(lambda: self._get().compute_losses(image))

    def attempt(self, work: Callable[[], T]) -> T:
        """Do some work, and repeat it with a smaller objective if memory runs out.

        Args:
            work: may use the objective. It must change nothing before it runs out of memory, so
                that it can be repeated.

        Raises:
            ResourceError: memory ran out, and again in smaller tiles.
        """
        while True:
            try:
                return work()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, whose traceback refers to what filled the memory.
            self._objective = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if not self._shrink():
                raise ResourceError(
                    "memory ran out, and smaller tiles do not help: ask for a smaller `size` or "
                    "close other programs",
                    field="size",
                )

    def _get(self) -> Objective:
        if self._objective is None:
            self._objective = self._make()
        return self._objective
