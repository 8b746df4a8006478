"""Register engines: what a recipe's ``engine.kind`` can name, and what each engine says.

A recipe is checked wherever it is read, from a file, a flag or a request, before an engine is made
and without torch. An entry is therefore plain data, with functions that import what they need when
they are called. Entries come from three places:

- the modules of :mod:`impasto.plugins`, each of which has an ``ENTRY``,
- other packages, which name theirs as an entry point of the group ``impasto.engines``, such as
  ``toy = "toy_engine:ENTRY"``,
- and :func:`register_engine`, which adds one while a program runs.

The first two are loaded in the same way, as entry points. The registry lies below the engines and
must not import them, and nothing above it is sure to be imported when a recipe is read: so it finds
them by name, as entry points do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from impasto.errors import RecipeError
from impasto.recipe.capabilities import Capabilities

PLUGINS = "impasto.plugins"
"""The package of impasto's own engines, one module each, under the name of the engine."""
GROUP = "impasto.engines"
"""Group of the entry points of other packages."""


def _accept_recipe(recipe: Any) -> None:
    """Accept every recipe."""


@dataclass(frozen=True)
class EngineEntry:
    """One kind of engine.

    Attributes:
        name: its name in ``engine.kind``.
        summary: what it does, as the rest of a sentence that begins with its name.
        capabilities: what every engine of this kind can do.
        make: makes an engine (:class:`impasto.engine.protocol.PictureEngine`) from a recipe, a
            :class:`impasto.engine.machine.hardware.Hardware`, and an
            :class:`impasto.engine.cache.EngineCache`.
        fields: dotted keys of the fields in a recipe's tables that the engine uses. A change of
            another one is refused; top-level fields and the table ``engine`` are for all engines.
            None: it uses all fields.
        check_recipe: raises ValueError if the values of a recipe do not suit the engine.
        presets: recipes that come with the engine, as TOML by name.
        network_suffix: suffix of files that :func:`impasto.load_recipe` takes as networks of this
            kind. None: there are no such files.
        locate_network: returns the path of the network's file for the recipe's ``engine.file``,
            which may be None. None: the engine reads no such file.
        make_frames: makes the engine of a film's frames from a
            :class:`impasto.video.engines.frame_context.FrameContext`. None: frames are painted by
            ``begin_shot`` if the engine has shots, and otherwise not at all.
        module: module that must be installed besides impasto. None: there is none.
        extra: name of the extra of impasto that installs it. None: no extra does.
    """

    name: str
    summary: str
    capabilities: Capabilities
    make: Callable[[Any, Any, Any], Any]
    fields: frozenset[str] | None = None
    check_recipe: Callable[[Any], None] = _accept_recipe
    presets: Mapping[str, str] = field(default_factory=dict)
    network_suffix: str | None = None
    locate_network: Callable[[str | None], Path] | None = None
    make_frames: Callable[[Any], Any] | None = None
    module: str | None = None
    extra: str | None = None

    def __post_init__(self) -> None:
        if self.capabilities.temporal and self.make_frames is None:
            raise ValueError(f"engine {self.name!r}: temporal requires make_frames")
        is_class = isinstance(self.make, type)  # what a function makes is seen when it is made
        if self.capabilities.shots and is_class and not hasattr(self.make, "begin_shot"):
            raise ValueError(f"engine {self.name!r}: shots requires a method begin_shot")


_REGISTERED: dict[str, EngineEntry] = {}


def register_engine(entry: EngineEntry) -> None:
    """Add a kind of engine in this process, or replace the one of the same name."""
    _REGISTERED[entry.name] = entry


def list_engines() -> tuple[EngineEntry, ...]:
    """Return all kinds: those that need nothing else installed first, then those that iterate."""
    entries = _load_installed() | _load_own() | _REGISTERED
    valid = [entry for entry in entries.values() if isinstance(entry, EngineEntry)]
    return tuple(sorted(valid, key=_rank))


def is_registered(name: object) -> bool:
    """Tell whether there is an engine with a name."""
    places = (lambda: _REGISTERED, _load_own, _load_installed)
    return any(name in load() for load in places)


def find_engine(name: str) -> EngineEntry:
    """Return the kind of engine with a name.

    Raises:
        RecipeError: no engine has this name, or its package cannot be imported.
    """
    entry = _REGISTERED.get(name) or _load_own().get(name) or _load_installed().get(name)
    if isinstance(entry, EngineEntry):
        return entry
    if entry is not None:
        raise RecipeError(f"engine {name!r} cannot be loaded: {entry}", field="engine.kind")
    names = ", ".join(each.name for each in list_engines())
    raise RecipeError(f"no engine {name!r}", expected=f"one of {names}")


def _rank(entry: EngineEntry) -> tuple[bool, bool, str]:
    return entry.module is not None, not entry.capabilities.iterates, entry.name


@cache
def _load_own() -> dict[str, EngineEntry | Exception]:
    """Load the entries of impasto's own engines."""
    folder = Path(__file__).parents[1] / PLUGINS.rpartition(".")[2]
    names = [module.name for module in iter_modules([str(folder)])]
    return _load(EntryPoint(name, f"{PLUGINS}.{name}:ENTRY", GROUP) for name in names)


@cache
def _load_installed() -> dict[str, EngineEntry | Exception]:
    """Load the entries of other packages."""
    return _load(entry_points(group=GROUP))


def _load(points: Iterable[EntryPoint]) -> dict[str, EngineEntry | Exception]:
    """Load entries; what a module raises is kept until somebody asks for its engine."""
    entries: dict[str, EngineEntry | Exception] = {}
    for point in points:
        try:
            entry = point.load()
            if not isinstance(entry, EngineEntry):
                raise TypeError(f"{point.value} is not an EngineEntry")
            entries[point.name] = entry
        except Exception as error:  # whatever a package raises must not stop the other engines
            entries[point.name] = error
    return entries
