"""Define the protocol of engines, which turn a photo and paintings into a stream of steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeGuard

from torch import Tensor

from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware import Hardware
from impasto.engine.plan import Plan
from impasto.engine.step import Step
from impasto.image.picture import Picture
from impasto.recipe.capabilities import Capabilities
from impasto.recipe.recipe import Recipe


class PictureEngine(Protocol):
    """An engine for one recipe. Its networks are loaded once and serve any number of runs."""

    @property
    def recipe(self) -> Recipe:
        """The recipe that the engine was made for."""

    @property
    def hardware(self) -> Hardware:
        """The hardware that the engine uses."""

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do."""

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The precision of the convolutions; ``auto`` in the recipe is resolved."""

    def choose_size(self, photo: Picture) -> tuple[int, int]:
        """Return the (width, height) of the result for a photo.

        Raises:
            LimitError: the shorter side would be too short for the networks.
        """

    def plan(self, inputs: Inputs) -> Plan:
        """Estimate what a run would take.

        Raises:
            ImpastoError: as :meth:`run`, before its first step.
        """

    def run(
        self,
        inputs: Inputs,
        *,
        checkpoint: Path | None = None,
        resume: Path | None = None,
        every_s: float | None = None,
        plan: Plan | None = None,
    ) -> Generator[Step, None, None]:
        """Repaint a photo and yield every step, at least one; the last one has the result.

        Closing the generator, or an exception in its consumer, stops the run. A run with a
        checkpoint writes its state then.

        Args:
            inputs: the photo, the paintings, and their regions.
            checkpoint: a file to keep the state in. None: the state is not kept.
            resume: a checkpoint of a run with the same recipe and inputs. None: start from the
                beginning.
            every_s: seconds between two writes of the state. None: the engine's own choice.
            plan: what :meth:`plan` returned for the same inputs. None: the run makes its own.

        Raises:
            InputError: the engine cannot paint these inputs, or has no checkpoints.
            LimitError: the result would be too small for the networks.
            ResourceError: the result is too large for the free memory.
        """

    def run_together(self, inputs: Sequence[Inputs]) -> list[Step]:
        """Repaint photos whose results have one size and return the last step of each.

        Args:
            inputs: one for each photo, with the same paintings and regions.

        Raises:
            InputError, LimitError, ResourceError: as :meth:`run`, for all of them together.
        """


class ShotEngine(PictureEngine, Protocol):
    """An engine that measures the paintings once for all frames of a shot."""

    def begin_shot(
        self, inputs: Inputs, size: tuple[int, int], *, freeze_statistics: bool = False
    ) -> Callable[[Tensor], Tensor]:
        """Return the function that paints the frames of a shot.

        Args:
            inputs: the first frame and the paintings, in the colors that the network sees.
            size: (width, height) of the frames in pixels.
            freeze_statistics: whether all frames are normalized by the first one's statistics.

        Returns:
            From a frame [1, 3, H, W] in [0, 1] to a painted one of the same shape.

        Raises:
            ResourceError: there is too little memory for a frame.
        """


def has_shots(engine: PictureEngine) -> TypeGuard[ShotEngine]:
    """Tell whether an engine can paint the frames of a shot."""
    return callable(getattr(engine, "begin_shot", None))
