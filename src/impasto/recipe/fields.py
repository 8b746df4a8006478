"""Read and change the fields of a recipe by dotted key, and explain invalid ones."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from impasto.encoders.encoder_registry import canonicalize_layer
from impasto.errors import RecipeError
from impasto.recipe.invalid_values import describe_expected


def find_unused_field(
    before: BaseModel, after: BaseModel, keys: Iterable[str], uses: frozenset[str]
) -> str | None:
    """Find a changed field that the engine of a recipe does not use.

    Args:
        before: the recipe without the changes.
        after: the recipe with them.
        keys: dotted keys of the fields that were set.
        uses: the fields of the tables that the engine uses.

    Returns:
        The first such key. None: the engine uses every changed field.
    """
    for key in keys:
        table = key.partition(".")[0]
        value = getattr(after, table)
        is_used = table == "engine" or key in uses or not isinstance(value, BaseModel)
        if not is_used and getattr(before, table) != value:
            return key
    return None


def list_keys(tables: dict[str, Any]) -> Iterator[str]:
    """Yield the dotted key of every field in two levels of tables."""
    for key, value in tables.items():
        yield from (f"{key}.{field}" for field in value) if isinstance(value, dict) else (key,)


def change_field(recipe: dict[str, Any], key: str, value: Any) -> None:
    """Replace one field of a complete recipe.

    Args:
        recipe: the recipe as nested tables, changed in place.
        key: dotted key, such as ``"style.scale"``. A layer, in any spelling, is added or changed,
            or removed by a weight of 0: ``"style.layers.relu3_1"``.
        value: the field's new value, which is not checked.

    Raises:
        RecipeError: the field or the layer does not exist.
    """
    *tables, field = key.split(".")
    target: Any = recipe
    for table in tables:
        target = target.get(table) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise _make_unknown_field_error(recipe, key)
    if tables[-1:] == ["layers"]:
        try:
            layer = canonicalize_layer(field)
        except RecipeError as error:
            raise error.copy_with_place(f"recipe {recipe['name']!r}: {key}") from None
        _change_layer(target, layer, value)
    elif field in target:
        target[field] = value
    else:
        raise _make_unknown_field_error(recipe, key)


def _change_layer(layers: dict[str, Any], name: str, weight: Any) -> None:
    if weight == 0 and not isinstance(weight, bool):
        layers.pop(name, None)
    else:
        layers[name] = weight


def _make_unknown_field_error(recipe: dict[str, Any], key: str) -> RecipeError:
    keys = list(_list_all_keys(recipe))
    last = key.rpartition(".")[2]
    # People forget the table of a field as often as they misspell its name.
    similar = [each for each in keys if each.rpartition(".")[2] == last]
    similar = similar or difflib.get_close_matches(key, keys, 3)
    hint = f"; did you mean {' or '.join(similar)}?" if similar else ""
    return RecipeError(f"no such field{hint}", where=f"recipe {recipe['name']!r}: {key}")


def _list_all_keys(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for field, value in table.items():
        yield prefix + field
        if isinstance(value, dict) and field != "layers":
            yield from _list_all_keys(value, f"{prefix}{field}.")


def parse_setting(text: str) -> tuple[str, Any]:
    """Parse ``KEY=VALUE`` into a dotted key and a value.

    The value is TOML (``0.5``, ``true``, ``"text"``, ``[1, 2]``, ``{ relu3_1 = 1 }``) or a bare
    word, which is text. The word ``none`` means None.

    Raises:
        RecipeError: there is no ``=``, or the value is not valid TOML.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise RecipeError(where=repr(text), expected="KEY=VALUE, such as style.scale=1.5")
    if value == "none":
        return key, None
    try:
        parsed = tomllib.loads(f"value = {value}")
        if list(parsed) == ["value"]:
            return key, parsed["value"]
    except (ValueError, RecursionError):
        if value[:1] not in ("[", "{", '"', "'", ""):
            return key, value
    raise RecipeError(f"{value!r} is neither a TOML value nor a bare word", where=repr(text))


def describe_invalid(error: ValidationError, whole: str) -> RecipeError:
    """Turn the first problem that pydantic found into an error of one line.

    Args:
        error: what pydantic raised.
        whole: names what was validated, such as ``"recipe 'mine'"``.
    """
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    expected = describe_expected(first)
    if expected is not None:
        got = abbreviate(first["input"])
        return RecipeError(
            f"is {got if isinstance(first['input'], str) else got.strip(chr(39))}",
            what=key or None,
            where=whole,
            expected=expected,
            field=key or None,
        )
    message = first["msg"].removeprefix("Value error, ")
    is_unknown = first["type"] == "extra_forbidden"
    if is_unknown:
        message = "no such field"
    # Fields that contradict each other are reported with their whole table, which is too long to
    # show. The message names the fields.
    is_table = first["type"] == "value_error" and isinstance(first["input"], dict)
    got = "" if is_table else f" (got {abbreviate(first['input'])})"
    place = f"{whole}: {key}" if key else whole
    return RecipeError(f"{message}{got}", where=place, field=None if is_unknown else key or None)


def abbreviate(value: object) -> str:
    """Write a value for a message, at most 60 characters of it."""
    try:
        return repr(str(value)[:60])
    except (ValueError, RecursionError):  # a number with thousands of digits, or a very deep list
        return f"a {type(value).__name__} too large to show"
