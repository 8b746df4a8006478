"""Make the engine that a recipe asks for."""

from __future__ import annotations

from pathlib import Path

from impasto.engine.cache import EngineCache
from impasto.engine.machine.hardware import Hardware
from impasto.engine.protocol import PictureEngine
from impasto.errors import InputError
from impasto.recipe.engine_registry import find_engine
from impasto.recipe.recipe import Recipe


def make_engine(
    recipe: Recipe, hardware: Hardware | None = None, cache: EngineCache | None = None
) -> PictureEngine:
    """Make the engine that a recipe asks for.

    Args:
        recipe: the recipe of all runs.
        hardware: the hardware to use. None: the best device of this machine, with all of its free
            memory.
        cache: networks that other engines of the caller use. None: nothing is shared.

    Raises:
        InputError, ResourceError: the device does not exist, or a package is not installed; or the
            current folder has been deleted.
        WeightsError: weights are missing or damaged.
    """
    _check_folder()
    make = find_engine(recipe.engine.kind).make
    engine: PictureEngine = make(recipe, hardware or Hardware.resolve(), cache or EngineCache())
    return engine


def _check_folder() -> None:
    """Check that the current folder exists: without one, MKL ends the process at its first use."""
    try:
        Path.cwd()
    except OSError:
        raise InputError(
            "has been deleted; change to a folder that exists", what="the current folder"
        ) from None
