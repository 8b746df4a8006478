"""Register the engines under the names of a recipe's ``engine.kind``.

A new engine is one module with a function like :data:`MakeEngine`, and one entry here or, from
outside of impasto, one call of :func:`register_engine`. The module is imported when the first
engine is made, so that asking for capabilities loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from impasto.engine.capabilities import Capabilities
from impasto.errors import RecipeError
from impasto.recipe.recipe import Recipe

if TYPE_CHECKING:
    from impasto.engine.cache import EngineCache
    from impasto.engine.machine.hardware import Hardware
    from impasto.engine.protocol import PictureEngine

MakeEngine = Callable[["Recipe", "Hardware", "EngineCache"], "PictureEngine"]


@dataclass(frozen=True)
class EngineEntry:
    """One kind of engine.

    Attributes:
        kind: its name in recipes.
        make: the function that makes an engine, or its address as ``"module:function"``.
        capabilities: what every engine of this kind can do.
    """

    kind: str
    make: str | MakeEngine
    capabilities: Capabilities


_ENTRIES: dict[str, EngineEntry] = {}


def register_engine(entry: EngineEntry) -> None:
    """Add a kind of engine, or replace the one of the same name."""
    _ENTRIES[entry.kind] = entry


def list_engines() -> tuple[EngineEntry, ...]:
    """Return all registered kinds."""
    return tuple(_ENTRIES.values())


def find_engine(kind: str) -> EngineEntry:
    """Return the kind of engine with a name.

    Raises:
        RecipeError: no engine has this name.
    """
    if kind not in _ENTRIES:
        raise RecipeError(f"no engine {kind!r}", expected=f"one of {', '.join(_ENTRIES)}")
    return _ENTRIES[kind]


def find_capabilities(recipe: Recipe) -> Capabilities:
    """Return what the engine of a recipe can do, without loading it."""
    return find_engine(recipe.engine.kind).capabilities


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
        InputError, ResourceError: the device does not exist, or a package is not installed.
        WeightsError: weights are missing or damaged.
    """
    from impasto.engine.cache import EngineCache
    from impasto.engine.machine.hardware import Hardware

    make = find_engine(recipe.engine.kind).make
    if isinstance(make, str):
        module, _, name = make.partition(":")
        make = getattr(import_module(module), name)
    return make(recipe, hardware or Hardware.resolve(), cache or EngineCache())


register_engine(
    EngineEntry(
        "optimizer",
        "impasto.network.network_draft:make_optimizer_engine",
        Capabilities(
            iterates=True,
            checkpoints=True,
            masks=True,
            style_masks=True,
            blends=True,
            tiles=True,
            temporal=True,
            refines=True,
        ),
    )
)
register_engine(
    EngineEntry(
        "network",
        "impasto.network.painter.code_painter:make_network_engine",
        Capabilities(
            masks=True,
            style_masks=True,
            blends=True,
            shots=True,
            shot_statistics=True,
            batches=True,
            reuses_memory=True,
            network_file=True,
        ),
    )
)
register_engine(
    EngineEntry(
        "magenta",
        "impasto.network.magenta:make_magenta_engine",
        Capabilities(masks=True, shots=True, batches=True, reuses_memory=True, extra="magenta"),
    )
)
