"""Make the engine of a film's frames from the engine of pictures that a recipe names."""

from __future__ import annotations

from impasto.errors import InputError
from impasto.recipe.engine_registry import find_engine
from impasto.video.engines.frame_context import FrameContext
from impasto.video.engines.network_frames import NetworkFrameEngine
from impasto.video.stabilize.stabilizer import FrameEngine


def make_frame_engine(context: FrameContext) -> FrameEngine:
    """Make the engine of a film's frames.

    Raises:
        InputError: the engine cannot paint films, or not with these settings.
        ImpastoError: as :func:`impasto.engine.factory.make_engine`.
    """
    entry = find_engine(context.recipe.engine.kind)
    if context.settings.freeze_statistics and not entry.capabilities.shot_statistics:
        raise InputError(
            f"`statistics` shot: the engine {entry.name} measures every frame by itself; the "
            "recipe draft can keep those of a shot",
            field="statistics",
        )
    if entry.make_frames is not None:
        engine: FrameEngine = entry.make_frames(context)
        return engine
    if entry.capabilities.shots:
        return NetworkFrameEngine(context)
    raise InputError("its engine cannot paint films", where=f"recipe {context.recipe.name!r}")
