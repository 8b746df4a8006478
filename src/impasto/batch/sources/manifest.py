"""Read manifests: tables in CSV or JSON Lines with one row per picture.

The column ``photo`` names the photo, ``style`` one or more paintings, ``mask`` and ``style_mask``
their masks, and ``output`` the result. ``recipe`` or ``quality`` names a recipe. Every other column
is a field of the recipe, by its dotted key. Paths are relative to the folder of the table. Empty
cells are ignored.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.batch.sources import places
from impasto.errors import InputError, RecipeError
from impasto.library.painting_search import is_name
from impasto.segment.mask_words import get_mask_file
from impasto.words.word_styles import find_words

SUFFIXES = (".csv", ".jsonl", ".ndjson")
OTHER_TABLES = (".tsv", ".tab", ".xlsx", ".xls", ".ods", ".json", ".yaml", ".yml", ".parquet")
"""Suffixes of tables that are not read."""
SEPARATOR = "|"
"""Stands between several paintings or masks in a cell."""
LIST_COLUMNS = ("style", "mask", "style_mask")
NO_MASK = "none"
"""Stands for the mask of a painting that is used as a whole."""


@dataclass(frozen=True)
class ManifestRow:
    """One row of a manifest.

    Attributes:
        where: file and line, for messages.
        photo: path or URL.
        place: path of the photo below the table's folder, from which the output is named.
        styles: paths, URLs or words of paintings. Empty: those of the batch.
        masks, style_masks: paths, URLs or words. Empty: those of the batch.
        output: path below the output folder, with ``/``. None: named after photo and paintings.
        recipe: name or file of a recipe. None: the recipe of the batch.
        fields: changed fields of the recipe.
        stamp: None: rows have no stamp, unlike photos that were found.
    """

    where: str
    photo: str
    place: str
    styles: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    style_masks: tuple[str, ...] = ()
    output: str | None = None
    recipe: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    stamp: None = None


def is_manifest(source: str) -> bool:
    """Tell whether a source is a manifest, by its suffix.

    Raises:
        InputError: it is a table of a kind that is not read.
    """
    if source.lower().endswith(OTHER_TABLES):
        raise InputError(
            "tables of this kind are not read", where=source, expected="a .csv or .jsonl file"
        )
    return source.lower().endswith(SUFFIXES)


def read_rows(source: str) -> Iterator[ManifestRow]:
    """Read the rows of a manifest.

    Raises:
        InputError: the file cannot be read, or a row is invalid; the message has its line.
    """
    folder = source.rsplit("/", 1)[0] if places.is_url(source) else str(Path(source).parent)
    try:
        text = places.read(source).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text", where=source) from None
    parse = _parse_csv if source.lower().endswith(".csv") else _parse_json
    for line, cells in parse(text, source):
        where = f"{source} line {line}"
        values = {key: value for key, value in cells.items() if value not in (None, "", [])}
        photo, output = values.pop("photo", None), values.pop("output", None)
        if not isinstance(photo, str):
            raise InputError("the row has no photo; photo must be a path or URL", where=where)
        if "recipe" in values and "quality" in values:
            raise InputError(
                "recipe and quality both choose a recipe; remove one of them", where=where
            )
        yield ManifestRow(
            where=where,
            photo=_resolve_path(folder, photo),
            place=_place_output(photo),
            styles=tuple(
                _resolve_painting(folder, each) for each in _read_list(values, "style", where)
            ),
            masks=_read_masks(values, "mask", folder, where),
            style_masks=_read_masks(values, "style_mask", folder, where),
            output=None if output is None else _check_output(output, where),
            recipe=_check_recipe(values.pop("recipe", values.pop("quality", None)), folder, where),
            fields=values,
        )


def _parse_csv(text: str, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [each.strip() for each in next(reader, [])]
        if "photo" not in names:
            raise _explain_columns(names, source)
        if len(set(names)) < len(names):
            raise InputError("two columns have the same name", where=source)
        for cells in filter(None, reader):
            where = f"{source} line {reader.line_num}"
            if len(cells) > len(names):
                raise InputError("has more cells than the table has columns", where=where)
            row = zip(names, (cell.strip() for cell in cells), strict=False)
            yield (
                reader.line_num,
                {name: _parse_cell(name, cell, where) for name, cell in row if cell},
            )
    except csv.Error as error:
        raise InputError(str(error), where=f"{source} line {reader.line_num}") from None


def _explain_columns(names: Sequence[str], source: str) -> InputError:
    """Make the error of a table whose first line does not name the photo."""
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            return InputError(
                f"separates its cells by {word}",
                where=source,
                expected="commas",
            )
    return InputError(
        where=source, expected="the names of the columns in the first line, including photo"
    )


def _parse_cell(name: str, text: str, where: str) -> Any:
    from impasto.recipe.fields import parse_setting

    if name in LIST_COLUMNS:
        return [each.strip() for each in text.split(SEPARATOR) if each.strip()]
    if name in ("photo", "output", "recipe", "quality"):
        return text
    try:
        return parse_setting(f"{name}={text}")[1]
    except RecipeError as error:
        raise error.copy_with_place(where) from None


def _parse_json(text: str, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not JSON ({error})", where=f"{source} line {number}") from None
        if not isinstance(row, dict):
            raise InputError(
                where=f"{source} line {number}", expected='an object such as {"photo": ...}'
            )
        yield number, row


def _read_list(values: dict[str, Any], name: str, where: str) -> list[str]:
    value = values.pop(name, [])
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(each, str) for each in items):
        raise InputError("must be a path or a list of paths", what=name, where=where)
    return items


def _read_masks(values: dict[str, Any], name: str, folder: str, where: str) -> tuple[str, ...]:
    return tuple(
        respell_mask(each, lambda path: _resolve_path(folder, path))
        for each in _read_list(values, name, where)
    )


def respell_mask(mask: str, spell: Callable[[str], str]) -> str:
    """Replace the file name within a mask by another spelling; words are returned unchanged."""
    file = find_mask_file(mask)
    return mask if file is None else mask.removesuffix(file) + spell(file)


def find_mask_file(mask: str) -> str | None:
    """Return the file from which a mask is read. None: the mask needs no file."""
    return None if mask == NO_MASK else get_mask_file(mask)


def _check_recipe(value: Any, folder: str, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError("must be the name or the file of a recipe", what="recipe", where=where)
    return _resolve_path(folder, value) if value.endswith(".toml") else value


def _check_output(value: Any, where: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InputError("must be a path below the output folder", what="output", where=where)
    path = PurePosixPath(value.replace(os.sep, "/"))
    if path.is_absolute() or ".." in path.parts or not path.name or ":" in path.parts[0]:
        raise InputError(
            "is not a path below the output folder", what=f"output {value!r}", where=where
        )
    return str(path)


def _resolve_painting(folder: str, painting: str) -> str:
    """Return the path of a painting, or the words or the name that stand for one."""
    path = _resolve_path(folder, painting)
    if places.is_url(path) and find_words(painting) is None:
        return path
    has_no_file = find_words(painting) is not None or is_name(painting)
    return painting if has_no_file and not Path(path).is_file() else path


def _resolve_path(folder: str, path: str) -> str:
    path = places.normalize_place(path)
    return (
        path if places.is_url(path) or Path(path).is_absolute() else places.join_place(folder, path)
    )


def _place_output(photo: str) -> str:
    """Return the photo's path as the row has it, if it is below the table's folder, or its name."""
    path = PurePosixPath(photo.replace(os.sep, "/"))
    is_below = not (places.is_url(photo) or path.is_absolute() or ".." in path.parts)
    return str(path) if is_below else path.name
