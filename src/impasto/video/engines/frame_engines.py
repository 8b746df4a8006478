"""Make the engine for the frames of a film from the engine of pictures that a recipe names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from impasto.engine.cache import EngineCache
from impasto.engine.machine.hardware import Hardware
from impasto.engine.protocol import ShotEngine
from impasto.engine.registry import find_capabilities, make_engine
from impasto.engine.step import Step
from impasto.errors import InputError
from impasto.image.picture import Picture
from impasto.recipe.recipe import Recipe
from impasto.video.engines.frame_settings import FrameSettings
from impasto.video.engines.network_frames import NetworkFrameEngine
from impasto.video.engines.optimizer_frames import OptimizerFrameEngine
from impasto.video.stabilize.stabilizer import FrameEngine


def make_frame_engine(
    recipe: Recipe,
    paintings: Sequence[Picture],
    size: tuple[int, int],
    settings: FrameSettings,
    hardware: Hardware | None = None,
    *,
    on_step: Callable[[Step], None] = lambda _: None,
    cache: EngineCache | None = None,
) -> FrameEngine:
    """Make the engine for the frames of a film.

    Args:
        recipe: the recipe of the first frame of a shot.
        paintings: the paintings.
        size: (width, height) of the frames.
        settings: stability, iterations, and statistics.
        hardware: the hardware to use. None: the best device of this machine, with all of its free
            memory.
        on_step: receives the step of every iteration of an optimizer.
        cache: networks that other engines of the caller use. None: nothing is shared.

    Raises:
        InputError: the engine cannot paint films, or not with these settings.
        ImpastoError: as :func:`impasto.engine.registry.make_engine`.
    """
    capabilities = find_capabilities(recipe)
    if capabilities.temporal:
        if settings.freeze_statistics:
            raise InputError(
                "`statistics` shot needs a network, such as the recipe draft", field="statistics"
            )
        return OptimizerFrameEngine(
            recipe, paintings, size, settings, hardware, on_step=on_step, cache=cache
        )
    if not capabilities.shots:
        raise InputError(f"recipe {recipe.name!r}: its engine cannot paint films")
    engine = make_engine(recipe.with_changes({"colors": "style"}), hardware, cache)
    return NetworkFrameEngine(
        recipe,
        paintings,
        cast(ShotEngine, engine),
        freeze_statistics=settings.freeze_statistics,
    )
