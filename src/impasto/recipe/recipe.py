"""The recipe: every choice of a run in one frozen, validated object.

The command line's flags, the Python keyword arguments, the TOML files in ``recipes/`` and the
metadata inside a finished picture are all this one object. Units: sides in pixels, learning rates
in 8-bit levels a step (so that "Adam 5.0" reads as the tutorials print it), everything else on
pictures in [0, 1].
"""

from __future__ import annotations

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
from impasto.recipe.fields import change_field, check_heeded, dotted, first_complaint, shown
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
"""Of the recipe's schema; a picture made by a newer impasto is refused by name."""


def _readable(version: object) -> object:
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"this recipe has version {version}, made by a newer impasto; "
            f"this one reads version {VERSION}"
        )
    return version


class Recipe(RecipeTable):
    """One run of impasto, complete but for the pictures."""

    version: Annotated[Literal[1], BeforeValidator(_readable)] = 1
    name: str = "custom"
    description: str = ""
    size: Annotated[int, Field(ge=16, le=65_535)] | None = None
    """Longer side of the result in pixels; none: the photo's own, bounded by the device."""
    dpi: Annotated[float, Field(ge=1, le=100_000)] | None = None
    """Resolution written into the file, pixels an inch; changes no pixel."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    colors: Literal["style", "content", "luminance", "match"] = "style"
    """Whose the result's are, see :mod:`impasto.engine.colors`."""
    strength: Unit = 1.0
    """From 0, the photo unchanged, to 1, the full style."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the convolutions; losses are always float32."""
    tile: Annotated[int, Field(ge=0, le=65_535)] | Literal["auto"] = "auto"
    """Side in pixels of the tiles a large picture is worked on in, which changes its memory and not
    what is computed; 0 or auto: as free memory demands. A network needs none."""
    snapshot_every: Annotated[int, Field(ge=1)] | None = None
    """Iterations between snapshots, where snapshots are asked for."""
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
    def _pyramids_are_for_adam(self) -> Recipe:
        if self.canvas.kind == "laplacian":
            if self.solver.kind != "adam":
                raise ValueError(
                    f'canvas.kind "laplacian" needs solver.kind "adam", not "{self.solver.kind}"'
                )
            if self.schedule.carry:
                raise ValueError('canvas.kind "laplacian" cannot carry Adam\'s moments to a scale')
        return self

    @model_validator(mode="after")
    def _neighbors_are_of_the_whole_picture(self) -> Recipe:
        if self.style.distance == "neighbors":
            content = self.content
            if self.palette.weight or content.kind != "features" or content.structure:
                raise ValueError(
                    'style.distance "neighbors" goes with content.kind "features" alone: '
                    "no content.structure, no palette"
                )
        return self

    @model_validator(mode="after")
    def _tiles_are_for_losses_that_are_sums_over_places(self) -> Recipe:
        neighbors, network = self.style.distance == "neighbors", self.engine.kind != "optimizer"
        if (neighbors or network) and self.tile not in (0, "auto"):
            what = 'style.distance "neighbors"' if neighbors else "a network"
            raise ValueError(f'{what} knows no tiles: tile must be 0 or "auto"')
        return self

    @model_validator(mode="after")
    def _magenta_is_of_float32(self) -> Recipe:
        if self.engine.kind == "magenta" and self.precision == "bfloat16":
            raise ValueError('engine.kind "magenta" computes in float32: precision must be that')
        return self

    def strengths(self, paintings: int) -> tuple[float, ...]:
        """Of each painting: its own times the recipe's."""
        return tuple(self.strength * own for own in self.style.strengths or (1.0,) * paintings)

    def check_counts(self, paintings: int, masks: int = 0, style_masks: int = 0) -> None:
        """The numbers of things that belong to paintings.

        Raises:
            InputError: one of them does not match.
        """
        style, shown = self.style, format_count(paintings, "painting")
        for count, what in ((len(style.weights), "weight"), (len(style.strengths), "strength")):
            if count and count != paintings:
                raise InputError(f"{shown} but {format_count(count, f'style {what}')}")
        if style_masks not in (0, paintings):
            raise InputError(
                f"{shown} but {format_count(style_masks, 'style mask')}: give one for each "
                "painting, or the word none for a painting that counts as a whole"
            )
        if masks and paintings not in (masks, masks + 1):
            raise InputError(
                f"{format_count(masks, 'mask')} but {shown}: each mask needs one, and one "
                "more may paint the rest"
            )

    def check_optimizer(self) -> None:
        """That the optimizer is what the recipe asks for, by itself or from a network's draft.

        Raises:
            RecipeError: it asks for a network.
        """
        if self.engine.kind != "optimizer":
            raise RecipeError(
                f"recipe {self.name!r} is for a network, not for the optimizer: impasto.stylize "
                "and the command line run it"
            )

    @property
    def is_reduced(self) -> bool:
        """Whether some style is of less than full strength."""
        return min(self.strengths(1)) < 1

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """A copy with fields replaced; dotted keys reach into tables (``"style.scale"``) and to
        single layers (``"style.layers.relu3_1"``), which 0 removes.

        Raises:
            RecipeError: an unknown field, a value out of its range, or a network is asked for what
                only the optimizer knows.
        """
        data = self.model_dump(mode="json")
        for key, value in changes.items():
            change_field(data, key, value)
        changed = _validated(data, self.name)
        if changed.engine.kind != "optimizer":
            check_heeded(self, changed, changes)
        return changed

    def to_json(self) -> str:
        """One line of JSON that :func:`parse_recipe` reads back to an equal recipe."""
        return self.model_dump_json()


def parse_recipe(text: str) -> Recipe:
    """A recipe from its JSON form, as found inside a picture.

    Raises:
        RecipeError: not JSON, an unknown field, a value out of range, or a newer version.
    """
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        raise RecipeError(first_complaint(error, "the recipe")) from None


def recipe_names() -> tuple[str, ...]:
    """The shipped recipes, sorted by name."""
    folder = resources.files("impasto") / "recipe" / "presets"
    return tuple(
        sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))
    )


def recipe_text(name: str) -> str:
    """The TOML of a shipped recipe, comments included.

    Raises:
        RecipeError: no shipped recipe has this name.
    """
    if name not in recipe_names():
        raise RecipeError(
            f"no recipe {name!r}; there are {', '.join(recipe_names())}, "
            f"or give the path of a .toml file, or of a network's {NETWORK_SUFFIX}"
        )
    return (resources.files("impasto") / "recipe" / "presets" / f"{name}.toml").read_text("utf-8")


def load_recipe(source: str | Path) -> Recipe:
    """A recipe by its shipped name, from a TOML file of the user's, or of a network's file.

    A TOML file may begin with ``base = "standard"`` (any shipped name) and then hold changes only.

    Raises:
        RecipeError: no such recipe or file, not TOML, an unknown field, or a bad value.
    """
    path = Path(source)
    if path.suffix == NETWORK_SUFFIX:
        return _validated(
            {"name": path.stem, "engine": {"kind": "network", "file": str(path)}}, path.stem
        )
    if path.suffix != ".toml":
        return _from_toml(recipe_text(str(source)), str(source))
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(f"cannot read recipe {path}: {reason}") from None
    return _from_toml(text, path.stem)


def _from_toml(text: str, name: str) -> Recipe:
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of 4300 digits
        raise RecipeError(f"recipe {name!r} is not valid TOML: {error}") from None
    base, below = data.pop("base", None), Recipe()
    fields = list(dotted(data))
    if base is not None:
        if base not in recipe_names():
            raise RecipeError(
                f"recipe {name!r}: base must be a shipped recipe, one of "
                f"{', '.join(recipe_names())} (got {shown(base)})"
            )
        below = load_recipe(base)
        data = _overlaid(below.model_dump(mode="json"), data)
    recipe = _validated({**data, "name": name}, name)
    if recipe.engine.kind != "optimizer":
        check_heeded(below, recipe, fields)
    return recipe


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merge = isinstance(value, dict) and isinstance(inner, dict) and key != "layers"
        merged[key] = _overlaid(inner, value) if merge and isinstance(inner, dict) else value
    return merged


def _validated(data: dict[str, Any], name: str) -> Recipe:
    try:
        return Recipe.model_validate_json(_to_json(data))
    except ValidationError as error:
        raise RecipeError(first_complaint(error, f"recipe {name!r}")) from None


def _to_json(data: dict[str, Any]) -> str:
    import json

    try:
        return json.dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(f"a recipe holds numbers, text and tables only: {error}") from None
