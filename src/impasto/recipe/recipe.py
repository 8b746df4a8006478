"""Define the recipe: every choice of a run in one frozen, validated object.

The command line's flags, the Python keyword arguments, the TOML files in ``presets/`` and the
record inside a finished picture all describe this object. Sides are in pixels. Learning rates are
in 8-bit levels per step, so that "Adam 5.0" reads as it does in the tutorials. Everything else
refers to pictures in [0, 1].
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from impasto.errors import InputError, RecipeError, format_count
from impasto.recipe.capabilities import Capabilities
from impasto.recipe.engine_registry import find_engine, list_engines
from impasto.recipe.fields import (
    abbreviate,
    change_field,
    describe_invalid,
    find_unused_field,
    list_keys,
)
from impasto.recipe.tables import (
    CanvasChoice,
    ContentChoice,
    EncoderChoice,
    EngineChoice,
    NeighborChoice,
    PaletteChoice,
    PhotorealismChoice,
    RecipeTable,
    Schedule,
    SmoothnessChoice,
    SolverChoice,
    StartChoice,
    StyleChoice,
    TemporalChoice,
    Unit,
)

VERSION = 1
"""Version of the recipe's schema. A recipe of a newer version is refused."""


def _check_version(version: object) -> object:
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"this recipe has version {version} and comes from a newer impasto; "
            f"this impasto reads version {VERSION}"
        )
    return version


class Recipe(RecipeTable):
    """All choices of one run, without the pictures."""

    version: Annotated[Literal[1], BeforeValidator(_check_version)] = 1
    """Version of the schema."""
    name: str = "custom"
    """Name of the recipe: that of its preset or file."""
    description: str = ""
    """One sentence about the recipe."""
    size: Annotated[int, Field(ge=16, le=65_535)] | None = None
    """Longer side of the result in pixels. None: the photo's, up to what suits the device."""
    dpi: Annotated[float, Field(ge=1, le=100_000)] | None = None
    """Resolution in pixels per inch that is written into the file. It changes no pixel."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the noise that a run may start from."""
    colors: Literal["style", "content", "luminance", "match"] = "style"
    """Where the result's colors come from, see :mod:`impasto.engine.pixels.colors`."""
    strength: Unit = 1.0
    """Strength of the style, from 0 (the photo, unchanged) to 1 (the full style)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the convolutions. Losses are always computed in float32."""
    tile: Annotated[int, Field(ge=0, le=65_535)] | Literal["auto"] = "auto"
    """Side in pixels of the tiles in which a large picture is processed. Tiles need less memory and
    give the same result. 0 or ``auto``: as large as memory allows. A network needs no tiles."""
    snapshot_every: Annotated[int, Field(ge=1)] | None = None
    """Iterations between snapshots, if snapshots are written."""
    engine: EngineChoice = EngineChoice()
    encoder: EncoderChoice = EncoderChoice()
    content: ContentChoice = ContentChoice()
    style: StyleChoice = StyleChoice()
    palette: PaletteChoice = PaletteChoice()
    neighbors: NeighborChoice = NeighborChoice()
    smoothness: SmoothnessChoice = SmoothnessChoice()
    photorealism: PhotorealismChoice = PhotorealismChoice()
    temporal: TemporalChoice = TemporalChoice()
    start: StartChoice = StartChoice()
    canvas: CanvasChoice = CanvasChoice()
    schedule: Schedule = Schedule()
    solver: SolverChoice = SolverChoice()

    @model_validator(mode="after")
    def _check_canvas(self) -> Recipe:
        if self.canvas.kind == "laplacian":
            if self.solver.kind != "adam":
                raise ValueError(
                    f'canvas.kind "laplacian" requires solver.kind "adam", not "{self.solver.kind}"'
                )
            if self.schedule.carry:
                raise ValueError('canvas.kind "laplacian" does not support schedule.carry')
        return self

    @model_validator(mode="after")
    def _check_neighbors(self) -> Recipe:
        if self.style.distance == "neighbors":
            content = self.content
            if self.palette.weight or content.kind != "features" or content.structure:
                raise ValueError(
                    'style.distance "neighbors" requires content.kind "features", without '
                    "content.structure and palette.weight"
                )
        return self

    @model_validator(mode="after")
    def _check_tile(self) -> Recipe:
        if self.style.distance == "neighbors" and self.tile not in (0, "auto"):
            raise ValueError(
                'style.distance "neighbors" does not support tiles: tile must be 0 or "auto"'
            )
        return self

    @model_validator(mode="after")
    def _check_engine(self) -> Recipe:
        if not self.capabilities.tiles and self.tile not in (0, "auto"):
            raise ValueError(
                f'engine.kind "{self.engine.kind}" does not support tiles: tile must be 0 or "auto"'
            )
        find_engine(self.engine.kind).check_recipe(self)
        return self

    @property
    def capabilities(self) -> Capabilities:
        """What the recipe's engine can do."""
        return find_engine(self.engine.kind).capabilities

    def list_strengths(self, paintings: int) -> tuple[float, ...]:
        """Return the strength of each painting: its own multiplied by the recipe's.

        Args:
            paintings: the number of paintings.
        """
        return tuple(self.strength * own for own in self.style.strengths or (1.0,) * paintings)

    def check_counts(self, paintings: int, masks: int = 0, style_masks: int = 0) -> None:
        """Check that weights, strengths and masks match the number of paintings.

        Args:
            paintings: the number of paintings.
            masks: the number of masks of the photo.
            style_masks: the number of masks of the paintings.

        Raises:
            InputError: one of them does not match.
        """
        count = format_count(paintings, "painting")
        for values, noun, field in (
            (self.style.weights, "style weight", "style_weights"),
            (self.style.strengths, "style strength", "strength"),
        ):
            if values and len(values) != paintings:
                raise InputError(
                    f"{count} but {format_count(len(values), noun)}: "
                    f"`{field}` takes one for each painting",
                    field=field,
                )
        if style_masks not in (0, paintings):
            raise InputError(
                f"{count} but {format_count(style_masks, 'style mask')}: `style_masks` takes one "
                "for each painting, or the word none for a painting that counts as a whole",
                field="style_masks",
            )
        if masks and paintings not in (masks, masks + 1):
            raise InputError(
                f"{format_count(masks, 'mask')} but {count}",
                expected="a painting for each mask, and possibly one for the rest",
                field="masks",
            )

    @property
    def is_reduced(self) -> bool:
        """Whether any painting has less than full strength."""
        return min(self.list_strengths(1)) < 1

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """Return a copy with some fields replaced.

        Args:
            changes: new values by dotted key, which reaches into tables (``"style.scale"``) and to
                single layers (``"style.layers.relu3_1"``). A layer's weight of 0 removes it.

        Raises:
            RecipeError: a field does not exist, a value is out of its range, or the recipe is for a
                network and a field is not used by it.
        """
        data = self.model_dump(mode="json")
        for key, value in changes.items():
            change_field(data, key, value)
        changed = _validate(data, self.name)
        unused = changed.find_unused(self, changes)
        if unused is not None:
            raise changed.make_unused_error(f"`{unused}`", field=unused)
        return changed

    def find_unused(self, before: Recipe, keys: Iterable[str]) -> str | None:
        """Find a changed field that the engine does not use.

        Args:
            before: the recipe without the changes.
            keys: dotted keys of the fields that were set.

        Returns:
            The first such key. None: the engine uses every changed field.
        """
        uses = find_engine(self.engine.kind).fields
        return None if uses is None else find_unused_field(before, self, keys, uses)

    def make_unused_error(self, name: str, field: str | None = None) -> RecipeError:
        """Make the error about an option that the engine does not use.

        Args:
            name: the option as the message shows it.
            field: the option's name in Python. None: no interface replaces ``name`` by its own.
        """
        pace = "" if self.capabilities.iterates else "paints in one pass and "
        return RecipeError(
            f'uses the engine "{self.engine.kind}", which {pace}does not use {name}; the recipe '
            "sketch is the quickest that does",
            what=f"recipe {self.name!r}",
            field=field,
        )

    def to_json(self) -> str:
        """Return one line of JSON, from which :func:`parse_recipe` makes an equal recipe."""
        return self.model_dump_json()


def parse_recipe(text: str) -> Recipe:
    """Read a recipe from JSON, as it is stored inside pictures.

    Raises:
        RecipeError: not JSON, an unknown field, a value out of its range, or a newer version.
    """
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        raise describe_invalid(error, "the recipe") from None


def list_recipes() -> tuple[str, ...]:
    """Return the names of the presets, and of those that come with engines, sorted."""
    return tuple(sorted({*_list_preset_files(), *_list_engine_presets()}))


def read_preset(name: str) -> str:
    """Return the TOML text of a preset, with its comments.

    Raises:
        RecipeError: no preset has this name.
    """
    if name in _list_preset_files():
        return (_find_presets() / f"{name}.toml").read_text("utf-8")
    if name not in _list_engine_presets():
        suffixes = " or ".join(filter(None, (entry.network_suffix for entry in list_engines())))
        near = difflib.get_close_matches(name, list_recipes(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RecipeError(
            f"no recipe {name!r}{hint}",
            expected=f"one of {', '.join(list_recipes())}, the path of a .toml file, or the path "
            f"of a network's {suffixes} file",
        )
    return _list_engine_presets()[name]


def _find_presets() -> Traversable:
    return resources.files("impasto") / "recipe" / "presets"


def _list_preset_files() -> list[str]:
    names = (path.name for path in _find_presets().iterdir())
    return [name.removesuffix(".toml") for name in names if name.endswith(".toml")]


def _list_engine_presets() -> dict[str, str]:
    return {name: text for entry in list_engines() for name, text in entry.presets.items()}


def load_recipe(source: str | Path) -> Recipe:
    """Load a preset, a TOML file, or the recipe of a network's file.

    A TOML file may start with ``base = "standard"``, or the name of another preset, and then
    contain only what differs from it.

    Args:
        source: the name of a preset, or the path of a ``.toml`` or ``.safetensors`` file.

    Raises:
        RecipeError: no such preset or file, invalid TOML, an unknown field, or a bad value.
    """
    if not isinstance(source, str | Path):
        raise RecipeError(
            f"is a {type(source).__name__}",
            what="the recipe",
            expected="a Recipe, the name of one, or the path of a .toml file",
            field="recipe",
        )
    path = Path(source)
    if path.suffix != ".toml":
        for entry in list_engines() if path.suffix else ():
            if entry.network_suffix == path.suffix:
                engine = {"kind": entry.name, "file": str(path)}
                return _validate({"name": path.stem, "engine": engine}, path.stem)
        return _parse_toml(read_preset(str(source)), str(source))
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(f"the recipe cannot be read ({reason})", where=path) from None
    return _parse_toml(text, path.stem)


def _parse_toml(text: str, name: str) -> Recipe:
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also numbers with 4300 digits
        raise RecipeError(f"not valid TOML ({error})", where=f"recipe {name!r}") from None
    base, below = data.pop("base", None), Recipe()
    keys = list(list_keys(data))
    if base is not None:
        if base not in list_recipes():
            raise RecipeError(
                f"is {abbreviate(base)}, which is unknown",
                what="base",
                where=f"recipe {name!r}",
                expected=f"one of {', '.join(list_recipes())}",
            )
        below = load_recipe(base)
        data = _merge(below.model_dump(mode="json"), data)
    recipe = _validate({**data, "name": name}, name)
    unused = recipe.find_unused(below, keys)
    if unused is not None:
        # The user wrote the key itself, so no interface may replace it by a name of its own.
        raise recipe.make_unused_error(unused)
    return recipe


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merge = isinstance(value, dict) and isinstance(inner, dict) and key != "layers"
        merged[key] = _merge(inner, value) if merge and isinstance(inner, dict) else value
    return merged


def _validate(data: dict[str, Any], name: str) -> Recipe:
    try:
        return Recipe.model_validate_json(_to_json(data))
    except ValidationError as error:
        raise describe_invalid(error, f"recipe {name!r}") from None


def _to_json(data: dict[str, Any]) -> str:
    try:
        return json.dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(
            f"contains something else ({error})",
            what="the recipe",
            expected="numbers, text and tables",
        ) from None
