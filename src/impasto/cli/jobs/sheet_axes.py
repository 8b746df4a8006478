"""Read the axes of a contact sheet, and list the cells that are their product."""

from __future__ import annotations

import argparse
import itertools
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.errors import InputError
from impasto.recipe.fields import parse_setting

LETTERS = "ABCD"
"""Names of the paintings at the corners of a grid."""


@dataclass(frozen=True)
class SheetChoice:
    """One value on an axis, or one cell.

    Attributes:
        label: the text of the cell.
        changes: new values of the recipe's fields, by dotted key.
        recipe: the name of another recipe. None: the recipe of the command.
        painting: index of the only painting to use. None: all of them.
    """

    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    painting: int | None = None

    def __and__(self, other: SheetChoice) -> SheetChoice:
        return SheetChoice(
            ", ".join(filter(None, (self.label, other.label))),
            {**self.changes, **other.changes},
            other.recipe or self.recipe,
            self.painting if other.painting is None else other.painting,
        )


@dataclass(frozen=True)
class SheetAxes:
    """The cells of a sheet.

    Attributes:
        choices: one for each cell, row by row.
        columns: cells in a row.
    """

    choices: list[SheetChoice]
    columns: int

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> SheetAxes:
        """Multiply the axes that the flags name. Without flags, the axis is the paintings.

        Raises:
            InputError, RecipeError: flags contradict each other or have no values.
        """
        axes = [*_read_lists(options), *map(_parse_axis, options.vary or [])]
        _check_unique([*(each[0].changes for each in axes), *_read_settings(options)])
        if options.recipes is not None:
            axes.insert(0, _list_recipe_choices(options))
        if options.styles_grid is not None:
            axes.append(_make_grid(options))
        elif options.styles or not axes:
            axes.insert(0, _list_paintings(options))
        cells = [_join_choices(each) for each in itertools.product(*axes)]
        if options.styles_grid is not None:
            return cls(cells, options.styles_grid)
        has_rows = len(axes) > 1 or len(cells) <= 4
        return cls(cells, len(axes[-1]) if has_rows else math.ceil(math.sqrt(len(cells))))


def _read_settings(options: argparse.Namespace) -> list[dict[str, Any]]:
    return [dict([parse_setting(text)]) for text in options.set or []]


def _check_unique(changes: Sequence[dict[str, Any]]) -> None:
    keys = [key for each in changes for key in each]
    duplicate = next((key for key in keys if keys.count(key) > 1), None)
    if duplicate is not None:
        raise InputError("is varied or set twice; give one of them", what=duplicate)


def _join_choices(choices: Sequence[SheetChoice]) -> SheetChoice:
    joined = SheetChoice("")
    for each in choices:
        joined = joined & each
    return joined


def _read_lists(options: argparse.Namespace) -> list[list[SheetChoice]]:
    axes = []
    for key, flag in (("strength", "strength"), ("style.scale", "style_scale"), ("seed", "seed")):
        values = getattr(options, f"{flag}s")
        if values is None:
            continue
        if getattr(options, flag, None) is not None:
            one = "--" + flag.replace("_", "-")
            raise InputError("cannot be combined", what=f"{one} and {one}s")
        axes.append(_parse_axis(f"{key}={values}"))
    return axes


def _parse_axis(text: str) -> list[SheetChoice]:
    """Parse ``KEY=v1,v2``, with values as in ``--set``."""
    key, equals, texts = text.partition("=")
    name = key.strip().rpartition(".")[2]
    if not equals or not texts.strip():
        raise InputError(where=repr(text), expected="KEY=VALUE,VALUE, such as style.scale=0.5,1,2")
    try:
        values = tomllib.loads(f"values = [{texts}]")["values"]
    except (ValueError, RecursionError):  # bare words, .5
        values = [parse_setting(f"{key}={value}")[1] for value in texts.split(",")]
    return [SheetChoice(f"{name} {value}", {key.strip(): value}) for value in values]


def _list_recipe_choices(options: argparse.Namespace) -> list[SheetChoice]:
    from impasto.recipe.engine_registry import find_engine
    from impasto.recipe.recipe import list_recipes, load_recipe

    if options.recipe or options.quality:
        raise InputError("cannot be combined with --recipe or --quality", what="--recipes")
    if options.recipes:
        names = options.recipes.split(",")
    else:  # those that need no optional package
        kinds = {name: load_recipe(name).engine.kind for name in list_recipes()}
        names = [name for name, kind in kinds.items() if find_engine(kind).module is None]
    return [SheetChoice(Path(name).stem, recipe=name) for name in names]


def label_paintings(options: argparse.Namespace) -> list[str]:
    """Return a label for each painting: its file name, after its letter in a grid."""
    names = [Path(each).stem for each in options.style]
    lettered = zip(LETTERS, names, strict=False)
    return [f"{a}: {name}" for a, name in lettered] if options.styles_grid else names


def _list_paintings(options: argparse.Namespace) -> list[SheetChoice]:
    if options.style_weight and len(options.style) > 1:
        raise InputError(
            "is for blends, but each cell has a single painting", what="--style-weight"
        )
    if len(options.strength or []) > 1:
        raise InputError(
            "has a single painting; give one --strength, or a list with --strengths",
            what="each cell",
        )
    names = label_paintings(options)
    return [SheetChoice(name, painting=index) for index, name in enumerate(names)]


def _make_grid(options: argparse.Namespace) -> list[SheetChoice]:
    """Make a grid with paintings at its corners and blends in between.

    Two paintings form a row. Of three paintings, the last one fills the bottom row.
    """
    count, side = len(options.style), options.styles_grid
    if not 2 <= count <= len(LETTERS):
        raise InputError(f"takes 2 to {len(LETTERS)} paintings, not {count}", what="--styles-grid")
    if options.style_weight or options.styles:
        raise InputError("cannot be combined with --style-weight or --styles", what="--styles-grid")
    steps = [n / (side - 1) for n in range(side)]
    rows = [0.0] if count == 2 else steps
    choices = []
    for down, across in itertools.product(rows, steps):
        weights = [(1 - down) * (1 - across), (1 - down) * across]
        weights += {2: [], 3: [down], 4: [down * (1 - across), down * across]}[count]
        parts = zip(LETTERS, weights, strict=False)
        label = "  ".join(f"{letter} {weight:.0%}" for letter, weight in parts if weight)
        choices.append(SheetChoice(label, {"style.weights": weights}))
    return choices
