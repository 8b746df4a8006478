"""The fields of a recipe by dotted key, how one is written on a command line, and what is wrong."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from impasto.encoders.layers import canonical_layer
from impasto.errors import RecipeError

NETWORKS_TOO = {"style": ("scale", "weights", "strengths"), "photorealism": ("filter", "epsilon")}
"""Fields that a network heeds, of tables that are the optimizer's."""
OPTIMIZERS = (
    *("encoder", "content", "style", "palette", "neighbors", "smoothness", "photorealism"),
    *("temporal", "start", "canvas", "schedule", "solver"),
)
FLAGS = {
    "style.scale": "style-scale",
    "schedule.total": "iterations",
    "schedule.until": "until",
    "start": "init",
}
"""By which a user knows them."""


def check_heeded(before: Any, after: Any, keys: Iterable[str]) -> None:
    """That nothing which only the optimizer knows is changed of a network's recipe.

    Args:
        before, after: recipes.
        keys: dotted, of the fields that were set.

    Raises:
        RecipeError: something is.
    """
    for key in keys:
        table, _, field = key.partition(".")
        heeded = table not in OPTIMIZERS or field in NETWORKS_TOO.get(table, ())
        heeded = heeded and not (key == "style.scale" and after.engine.kind == "magenta")
        if not heeded and getattr(before, table) != getattr(after, table):
            raise RecipeError(
                f"recipe {after.name!r} is a network's, which paints in one pass and takes no "
                f"{FLAGS.get(key, key)}: the optimizer's quickest is the recipe sketch"
            )


def dotted(tables: dict[str, Any]) -> Iterator[str]:
    """The keys of a recipe's fields, of as many as there are."""
    for key, value in tables.items():
        yield from (f"{key}.{field}" for field in value) if isinstance(value, dict) else (key,)


def change_field(recipe: dict[str, Any], key: str, value: Any) -> None:
    """Replace one field of a recipe that was dumped whole.

    Args:
        recipe: nested tables, changed in place.
        key: dotted, ``"style.scale"``. A layer, in any spelling, is added or changed, and removed
            by 0: ``"style.layers.relu3_1"``.
        value: of the field, not checked.

    Raises:
        RecipeError: there is no such field, or no such layer.
    """
    *tables, field = key.split(".")
    target: Any = recipe
    for table in tables:
        target = target.get(table) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise _unknown(recipe, key)
    if tables[-1:] == ["layers"]:
        _change_layer(target, canonical_layer(field), value)
    elif field in target:
        target[field] = value
    else:
        raise _unknown(recipe, key)


def _change_layer(layers: dict[str, Any], name: str, weight: Any) -> None:
    if weight == 0 and not isinstance(weight, bool):
        layers.pop(name, None)
    else:
        layers[name] = weight


def _unknown(recipe: dict[str, Any], key: str) -> RecipeError:
    keys = list(_keys(recipe))
    last = key.rpartition(".")[2]
    # A field under its bare name is as likely a slip as a misspelled one.
    near = [each for each in keys if each.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(key, keys, 3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return RecipeError(f"recipe {recipe['name']!r}: {key}: no such field{meant}")


def _keys(table: dict[str, Any], above: str = "") -> Iterator[str]:
    for field, value in table.items():
        yield above + field
        if isinstance(value, dict) and field != "layers":
            yield from _keys(value, f"{above}{field}.")


def parse_setting(text: str) -> tuple[str, Any]:
    """A field and its value from ``KEY=VALUE``.

    The value is TOML (``0.5``, ``true``, ``"text"``, ``[1, 2]``, ``{ relu3_1 = 1 }``); a bare word
    is a text, and ``none`` is no value.

    Raises:
        RecipeError: no ``=``, or broken TOML.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise RecipeError(f"{text!r} is not KEY=VALUE, such as style.scale=1.5")
    if value == "none":
        return key, None
    try:
        parsed = tomllib.loads(f"value = {value}")
        if list(parsed) == ["value"]:
            return key, parsed["value"]
    except (ValueError, RecursionError):
        if value[:1] not in ("[", "{", '"', "'", ""):
            return key, value
    raise RecipeError(f"{text!r}: {value!r} is not a value of TOML, nor a bare word")


def first_complaint(error: ValidationError, what: str) -> str:
    """One line of what pydantic found, and where; ``what`` is the whole it is of."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "no such field"
    # What fields contradict each other is a whole table, and the message names them.
    whole = first["type"] == "value_error" and isinstance(first["input"], dict)
    got = "" if whole else f" (got {shown(first['input'])})"
    return f"{what}: {where + ': ' if where else ''}{message}{got}"


def shown(value: object) -> str:
    """A value in a message, cut where it is long."""
    try:
        return repr(str(value)[:60])
    except (ValueError, RecursionError):  # a number of thousands of digits, a list as deep
        return f"a {type(value).__name__} too large to show"
