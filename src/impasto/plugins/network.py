"""Add impasto's own network, which paints in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from impasto.recipe.capabilities import Capabilities
from impasto.recipe.engine_registry import EngineEntry

if TYPE_CHECKING:
    from impasto.engine.cache import EngineCache
    from impasto.engine.machine.hardware import Hardware
    from impasto.engine.protocol import PictureEngine
    from impasto.recipe.recipe import Recipe

NETWORK_SUFFIX = ".safetensors"
NETWORK_FIELDS = frozenset(
    [
        "style.scale",
        "style.weights",
        "style.strengths",
        "photorealism.filter",
        "photorealism.epsilon",
    ]
)


def make_network(recipe: Recipe, hardware: Hardware, cache: EngineCache) -> PictureEngine:
    """Make an engine.

    Raises:
        WeightsError: the network's file, or VGG's, is missing or damaged.
    """
    from impasto.network.one_pass import OnePassEngine
    from impasto.network.painter.code_painter import CodePainter

    painter = CodePainter.load(recipe.engine.file, recipe.precision, hardware, cache)
    return OnePassEngine(recipe, hardware, painter)


def locate_network(file: str | None) -> Path:
    """Return the path of a network's file. None: of the network that comes with impasto."""
    from impasto.network.network_files import network_file

    return network_file(file)


ENTRY = EngineEntry(
    name="network",
    summary="is impasto's own network, which paints in one pass (:mod:`impasto.network`). It uses "
    "sizes, colors, strengths, weights, masks and ``style.scale``; everything else in a recipe is "
    "for the optimizer.",
    capabilities=Capabilities(
        masks=True,
        style_masks=True,
        blends=True,
        shots=True,
        shot_statistics=True,
        batches=True,
        reuses_memory=True,
    ),
    make=make_network,
    fields=NETWORK_FIELDS,
    network_suffix=NETWORK_SUFFIX,
    locate_network=locate_network,
)
