"""An objective that survives running out of memory: it is made again, smaller, and asked again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from impasto.errors import ResourceError, is_out_of_memory

T = TypeVar("T")


class ObjectiveLike(Protocol):
    """What solvers and the loop ask of an objective."""

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses as numbers and the gradient of their total."""

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses as numbers."""


class RecoveringObjective:
    """An objective that is made when first asked."""

    def __init__(self, make: Callable[[], ObjectiveLike], smaller: Callable[[], bool]) -> None:
        """Nothing is made yet.

        Args:
            make: the objective.
            smaller: sees to it that ``make`` makes one that takes less, or says that it cannot.
        """
        self._make = make
        self._smaller = smaller
        self._made: ObjectiveLike | None = None

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """As :class:`ObjectiveLike`; raises as :meth:`attempted`."""
        return self.attempted(lambda: self._objective().evaluate(image))

    def losses(self, image: Tensor) -> dict[str, float]:
        """As :class:`ObjectiveLike`; raises as :meth:`attempted`."""
        return self.attempted(lambda: self._objective().losses(image))

    def attempted(self, work: Callable[[], T]) -> T:
        """What the work comes to, done again beside a smaller objective if memory runs out.

        Args:
            work: may ask the objective, and may have memory of its own run out; then it is to have
                changed nothing.

        Raises:
            ResourceError: memory ran out, and again in smaller tiles.
        """
        while True:
            try:
                return work()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Out of the handler, whose traceback holds on to what filled the memory.
            self._made = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if not self._smaller():
                raise ResourceError(
                    "memory ran out, and smaller tiles are of no help: ask for a smaller `size` "
                    "or close other programs",
                    field="size",
                )

    def _objective(self) -> ObjectiveLike:
        if self._made is None:
            self._made = self._make()
        return self._made
