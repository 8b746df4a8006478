"""Hold what an engine of frames is made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from impasto.engine.cache import EngineCache
from impasto.engine.machine.hardware import Hardware
from impasto.engine.step import Step
from impasto.image.picture import Picture
from impasto.recipe.recipe import Recipe


@dataclass(frozen=True)
class FrameSettings:
    """How the frames of a film are painted.

    Attributes:
        stability: how close frames are kept to the ones before, in [0, 1].
        iterations: on all of every later frame, for an optimizer. None: what its reliability calls
            for.
        freeze_statistics: whether a network normalizes all frames of a shot by the first one's
            statistics.
    """

    stability: float
    iterations: int | None = None
    freeze_statistics: bool = False


@dataclass(frozen=True)
class FrameContext:
    """Everything that an engine of frames is made from.

    Attributes:
        recipe: the recipe of the first frame of a shot, whose colors all frames get.
        paintings: the paintings.
        size: (width, height) of the frames in pixels.
        settings: stability, iterations and statistics.
        hardware: the hardware to use.
        cache: networks that other engines of the caller use.
        on_step: receives the step of every iteration, where there are iterations.
    """

    recipe: Recipe
    paintings: Sequence[Picture]
    size: tuple[int, int]
    settings: FrameSettings
    hardware: Hardware = field(default_factory=Hardware.resolve)
    cache: EngineCache = field(default_factory=EngineCache)
    on_step: Callable[[Step], None] = lambda _: None
