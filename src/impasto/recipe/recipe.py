"""The recipe: every choice of a run in one frozen, validated object.

The command line's flags, the Python keyword arguments, the TOML files in ``presets/`` and the
record inside a finished picture all describe this object. Sides are in pixels. Learning rates are
in 8-bit levels per step, so that "Adam 5.0" reads as it does in the tutorials. Everything else
refers to pictures in [0, 1].
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from impasto.errors import InputError, RecipeError, format_count
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

NETWORK_SUFFIX = ".safetensors"
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
        neighbors, network = self.style.distance == "neighbors", self.engine.kind != "optimizer"
        if (neighbors or network) and self.tile not in (0, "auto"):
            what = 'style.distance "neighbors"' if neighbors else "a network"
            raise ValueError(f'{what} does not support tiles: tile must be 0 or "auto"')
        return self

    @model_validator(mode="after")
    def _check_precision(self) -> Recipe:
        if self.engine.kind == "magenta" and self.precision == "bfloat16":
            raise ValueError(
                'engine.kind "magenta" computes in float32: precision must be "float32" or "auto"'
            )
        return self

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
        given = format_count(paintings, "painting")
        for values, noun, field in (
            (self.style.weights, "style weight", "style_weights"),
            (self.style.strengths, "style strength", "strength"),
        ):
            if values and len(values) != paintings:
                raise InputError(
                    f"{given} but {format_count(len(values), noun)}: "
                    f"`{field}` takes one for each painting",
                    field=field,
                )
        if style_masks not in (0, paintings):
            raise InputError(
                f"{given} but {format_count(style_masks, 'style mask')}: `style_masks` takes one "
                "for each painting, or the word none for a painting that counts as a whole",
                field="style_masks",
            )
        if masks and paintings not in (masks, masks + 1):
            raise InputError(
                f"{format_count(masks, 'mask')} but {given}: each mask needs one, and one more "
                "may paint the rest"
            )

    def check_optimizer(self) -> None:
        """Check that the recipe is for the optimizer.

        Raises:
            RecipeError: the recipe is for a network.
        """
        if self.engine.kind != "optimizer":
            raise RecipeError(
                f"recipe {self.name!r} is for a network, not for the optimizer: use "
                "impasto.stylize or the command line"
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
        if changed.engine.kind != "optimizer":
            unused = find_unused_field(self, changed, changes)
            if unused is not None:
                raise RecipeError(f"{_describe_unused(changed)} `{unused}`{INSTEAD}", field=unused)
        return changed

    def to_json(self) -> str:
        """Return one line of JSON, from which :func:`parse_recipe` makes an equal recipe."""
        return self.model_dump_json()


INSTEAD = "; the recipe sketch is the quickest that does"


def _describe_unused(recipe: Recipe) -> str:
    return f"recipe {recipe.name!r} uses a network, which paints in one pass and does not use"


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
    """Return the names of the presets, sorted."""
    folder = resources.files("impasto") / "recipe" / "presets"
    return tuple(
        sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))
    )


def read_preset(name: str) -> str:
    """Return the TOML text of a preset, with its comments.

    Raises:
        RecipeError: no preset has this name.
    """
    if name not in list_recipes():
        raise RecipeError(
            f"no recipe {name!r}: use one of {', '.join(list_recipes())}, "
            f"the path of a .toml file, or the path of a network's {NETWORK_SUFFIX} file"
        )
    return (resources.files("impasto") / "recipe" / "presets" / f"{name}.toml").read_text("utf-8")


def load_recipe(source: str | Path) -> Recipe:
    """Load a preset, a TOML file, or the recipe of a network's file.

    A TOML file may start with ``base = "standard"``, or the name of another preset, and then
    contain only what differs from it.

    Args:
        source: the name of a preset, or the path of a ``.toml`` or ``.safetensors`` file.

    Raises:
        RecipeError: no such preset or file, invalid TOML, an unknown field, or a bad value.
    """
    path = Path(source)
    if path.suffix == NETWORK_SUFFIX:
        return _validate(
            {"name": path.stem, "engine": {"kind": "network", "file": str(path)}}, path.stem
        )
    if path.suffix != ".toml":
        return _parse_toml(read_preset(str(source)), str(source))
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(f"cannot read recipe {path}: {reason}", where=str(path)) from None
    return _parse_toml(text, path.stem)


def _parse_toml(text: str, name: str) -> Recipe:
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also numbers with 4300 digits
        raise RecipeError(f"recipe {name!r} is not valid TOML: {error}") from None
    base, below = data.pop("base", None), Recipe()
    keys = list(list_keys(data))
    if base is not None:
        if base not in list_recipes():
            raise RecipeError(
                f"recipe {name!r}: base must be one of {', '.join(list_recipes())} "
                f"(got {abbreviate(base)})"
            )
        below = load_recipe(base)
        data = _merge(below.model_dump(mode="json"), data)
    recipe = _validate({**data, "name": name}, name)
    if recipe.engine.kind != "optimizer":
        unused = find_unused_field(below, recipe, keys)
        if unused is not None:
            # The user wrote the key itself, so no face may replace it by a name of its own.
            raise RecipeError(f"{_describe_unused(recipe)} {unused}{INSTEAD}", where=name)
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
        raise RecipeError(f"a recipe contains only numbers, text and tables: {error}") from None
