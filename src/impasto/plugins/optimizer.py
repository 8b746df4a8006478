"""Add the optimizer, which improves a picture step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.recipe.capabilities import Capabilities
from impasto.recipe.engine_registry import EngineEntry

if TYPE_CHECKING:
    from impasto.engine.cache import EngineCache
    from impasto.engine.machine.hardware import Hardware
    from impasto.engine.protocol import PictureEngine
    from impasto.recipe.recipe import Recipe
    from impasto.video.engines.frame_context import FrameContext
    from impasto.video.stabilize.stabilizer import FrameEngine


def make_optimizer(recipe: Recipe, hardware: Hardware, cache: EngineCache) -> PictureEngine:
    """Make an engine; see :func:`impasto.network.network_draft.make_optimizer_engine`."""
    from impasto.network.network_draft import make_optimizer_engine

    return make_optimizer_engine(recipe, hardware, cache)


def make_optimizer_frames(context: FrameContext) -> FrameEngine:
    """Make the engine of a film's frames, each of which starts from the result before it."""
    from impasto.video.engines.optimizer_frames import OptimizerFrameEngine

    return OptimizerFrameEngine(context)


ENTRY = EngineEntry(
    name="optimizer",
    summary="improves the picture step by step.",
    capabilities=Capabilities(
        iterates=True,
        checkpoints=True,
        masks=True,
        style_masks=True,
        blends=True,
        tiles=True,
        temporal=True,
        refines=True,
    ),
    make=make_optimizer,
    make_frames=make_optimizer_frames,
)
