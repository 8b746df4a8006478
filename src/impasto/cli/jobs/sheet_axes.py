"""What varies on a contact sheet: axes of choices, and the cells of their product."""

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
"""Of the paintings at a grid's corners."""


@dataclass(frozen=True)
class Choice:
    """One value of what varies.

    Attributes:
        label: of the cell.
        changes: to the recipe's fields.
        recipe: another one to begin with.
        painting: index of the only one that is used.
    """

    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    painting: int | None = None

    def __and__(self, other: Choice) -> Choice:
        return Choice(
            ", ".join(filter(None, (self.label, other.label))),
            {**self.changes, **other.changes},
            other.recipe or self.recipe,
            self.painting if other.painting is None else other.painting,
        )


@dataclass(frozen=True)
class Axes:
    """Everything that varies on a sheet.

    Attributes:
        choices: one a cell, row by row.
        columns: in a row.
    """

    choices: list[Choice]
    columns: int

    @classmethod
    def of(cls, options: argparse.Namespace) -> Axes:
        """The product of all that the flags vary; of no flags, the paintings.

        Raises:
            InputError, RecipeError: flags that contradict each other or hold no values.
        """
        varied = [*_lists(options), *map(_varied, options.vary or [])]
        _check_once([*(each[0].changes for each in varied), *_set(options)])
        if options.recipes is not None:
            varied.insert(0, _recipes(options))
        if options.styles_grid is not None:
            varied.append(_grid(options))
        elif options.styles or not varied:
            varied.insert(0, _paintings(options))
        cells = [_joined(each) for each in itertools.product(*varied)]
        if options.styles_grid is not None:
            return cls(cells, options.styles_grid)
        several = len(varied) > 1 or len(cells) <= 4
        return cls(cells, len(varied[-1]) if several else math.ceil(math.sqrt(len(cells))))


def _set(options: argparse.Namespace) -> list[dict[str, Any]]:
    return [dict([parse_setting(text)]) for text in options.set or []]


def _check_once(changes: Sequence[dict[str, Any]]) -> None:
    keys = [key for each in changes for key in each]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is varied or set twice: give one of them")


def _joined(choices: Sequence[Choice]) -> Choice:
    joined = Choice("")
    for each in choices:
        joined = joined & each
    return joined


def _lists(options: argparse.Namespace) -> list[list[Choice]]:
    varied = []
    for key, flag in (("strength", "strength"), ("style.scale", "style_scale"), ("seed", "seed")):
        values = getattr(options, f"{flag}s")
        if values is None:
            continue
        if getattr(options, flag, None) is not None:
            one = "--" + flag.replace("_", "-")
            raise InputError(f"{one} and {one}s both choose: give one of them")
        varied.append(_varied(f"{key}={values}"))
    return varied


def _varied(text: str) -> list[Choice]:
    """From ``KEY=v1,v2``, values as of ``--set``."""
    key, equals, listed = text.partition("=")
    name = key.strip().rpartition(".")[2]
    if not equals or not listed.strip():
        raise InputError(f"{text!r} is not KEY=VALUE,VALUE, such as style.scale=0.5,1,2")
    try:
        values = tomllib.loads(f"values = [{listed}]")["values"]
    except (ValueError, RecursionError):  # bare words, .5
        values = [parse_setting(f"{key}={value}")[1] for value in listed.split(",")]
    return [Choice(f"{name} {value}", {key.strip(): value}) for value in values]


def _recipes(options: argparse.Namespace) -> list[Choice]:
    from impasto.engine.registry import find_capabilities
    from impasto.recipe.recipe import list_recipes, load_recipe

    if options.recipe or options.quality:
        raise InputError("--recipes and --recipe or --quality both choose: give one of them")
    if options.recipes:
        names = options.recipes.split(",")
    else:  # those that every installation can make
        names = [
            name for name in list_recipes() if find_capabilities(load_recipe(name)).extra is None
        ]
    return [Choice(Path(name).stem, recipe=name) for name in names]


def painting_labels(options: argparse.Namespace) -> list[str]:
    """Of the paintings: names of files, after the letters that a grid's cells call them by."""
    names = [Path(each).stem for each in options.style]
    lettered = zip(LETTERS, names, strict=False)
    return [f"{a}: {name}" for a, name in lettered] if options.styles_grid else names


def _paintings(options: argparse.Namespace) -> list[Choice]:
    if options.style_weight and len(options.style) > 1:
        raise InputError("--style-weight is for a blend, but each cell has one painting")
    if len(options.strength or []) > 1:
        raise InputError("each cell has one painting: give one --strength, or a list: --strengths")
    names = painting_labels(options)
    return [Choice(name, painting=index) for index, name in enumerate(names)]


def _grid(options: argparse.Namespace) -> list[Choice]:
    """Paintings at the corners, weights in between: two along a row, three with the last one all
    along the bottom, four.
    """
    count, side = len(options.style), options.styles_grid
    if not 2 <= count <= len(LETTERS):
        raise InputError(f"--styles-grid takes 2 to {len(LETTERS)} paintings, not {count}")
    if options.style_weight or options.styles:
        raise InputError("--styles-grid makes the weights: leave --style-weight and --styles out")
    steps = [n / (side - 1) for n in range(side)]
    rows = [0.0] if count == 2 else steps
    choices = []
    for down, across in itertools.product(rows, steps):
        weights = [(1 - down) * (1 - across), (1 - down) * across]
        weights += {2: [], 3: [down], 4: [down * (1 - across), down * across]}[count]
        parts = zip(LETTERS, weights, strict=False)
        label = "  ".join(f"{letter} {weight:.0%}" for letter, weight in parts if weight)
        choices.append(Choice(label, {"style.weights": weights}))
    return choices
