"""Tables of what to make: a row a picture, as CSV or JSON Lines.

``photo`` names the photo, ``style`` the painting or several, ``mask`` and ``style_mask`` their
masks, ``output`` the result; every other column is a field of the recipe, by its dotted key,
or ``recipe`` or ``quality``, which name one. Paths are relative to the table's folder. An empty
cell leaves the field alone.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.batch.sources import places
from impasto.errors import InputError, RecipeError
from impasto.segment.mask_words import get_mask_file

SUFFIXES = (".csv", ".jsonl", ".ndjson")
SEVERAL = "|"
"""Between the paintings, or the masks, of a cell."""
LISTS = ("style", "mask", "style_mask")
NONE = "none"
"""In place of the mask of a painting that counts as a whole."""


@dataclass(frozen=True)
class Row:
    """Of a table.

    Attributes:
        where: file and line.
        photo: path or URL.
        place: where its output belongs if ``output`` does not say, with the photo's extension.
        styles: paths or URLs; none: the batch's own.
        masks, style_masks: paths, URLs or words; none: the batch's own.
        output: below the output folder, with ``/``; none: made of the photo's and the paintings'.
        recipe: its name or file; none: the batch's own.
        fields: of the recipe.
        stamp: never known from a table.
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


def is_table(source: str) -> bool:
    """By its extension."""
    return source.lower().endswith(SUFFIXES)


def read_rows(source: str) -> Iterator[Row]:
    """The rows of a table.

    Raises:
        InputError: it cannot be read, or a row has no photo or is damaged; with its line.
    """
    folder = source.rsplit("/", 1)[0] if places.is_url(source) else str(Path(source).parent)
    try:
        text = places.read(source).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{source}: is not UTF-8 text") from None
    read = _csv_rows if source.lower().endswith(".csv") else _json_rows
    for line, cells in read(text, source):
        where = f"{source} line {line}"
        given = {key: value for key, value in cells.items() if value not in (None, "", [])}
        photo, output = given.pop("photo", None), given.pop("output", None)
        if not isinstance(photo, str):
            raise InputError(f"{where}: a row needs a photo")
        if "recipe" in given and "quality" in given:
            raise InputError(f"{where}: recipe and quality both choose a recipe")
        yield Row(
            where=where,
            photo=_beside(folder, photo),
            place=_place(photo),
            styles=tuple(_beside(folder, each) for each in _several(given, "style", where)),
            masks=_masks(given, "mask", folder, where),
            style_masks=_masks(given, "style_mask", folder, where),
            output=None if output is None else _output(output, where),
            recipe=_recipe(given.pop("recipe", given.pop("quality", None)), folder, where),
            fields=given,
        )


def _csv_rows(text: str, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [each.strip() for each in next(reader, [])]
        if "photo" not in names:
            raise InputError(
                f"{source}: the first line names the columns, and photo is one of them"
            )
        if len(set(names)) < len(names):
            raise InputError(f"{source}: two columns have one name")
        for cells in filter(None, reader):
            where = f"{source} line {reader.line_num}"
            if len(cells) > len(names):
                raise InputError(f"{where}: has more cells than there are columns")
            row = zip(names, (cell.strip() for cell in cells), strict=False)
            yield reader.line_num, {name: _cell(name, cell, where) for name, cell in row if cell}
    except csv.Error as error:
        raise InputError(f"{source} line {reader.line_num}: {error}") from None


def _cell(name: str, text: str, where: str) -> Any:
    from impasto.recipe.fields import parse_setting

    if name in LISTS:
        return [each.strip() for each in text.split(SEVERAL) if each.strip()]
    if name in ("photo", "output", "recipe", "quality"):
        return text
    try:
        return parse_setting(f"{name}={text}")[1]
    except RecipeError as error:
        raise error.copy_with_place(where) from None


def _json_rows(text: str, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source} line {number}: is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f'{source} line {number}: {{"photo": ..., ...}} is needed')
        yield number, row


def _several(given: dict[str, Any], name: str, where: str) -> list[str]:
    value = given.pop(name, [])
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        raise InputError(f"{where}: {name} is one path, or a list of them")
    return several


def _masks(given: dict[str, Any], name: str, folder: str, where: str) -> tuple[str, ...]:
    return tuple(
        respelled(each, lambda path: _beside(folder, path)) for each in _several(given, name, where)
    )


def respelled(mask: str, spelled: Callable[[str], str]) -> str:
    """A mask, or the word for it, with the file that it is read from spelled in another way."""
    file = mask_file(mask)
    return mask if file is None else mask.removesuffix(file) + spelled(file)


def mask_file(mask: str) -> str | None:
    """The file that a mask is read from; none: there is none."""
    return None if mask == NONE else get_mask_file(mask)


def _recipe(value: Any, folder: str, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{where}: a recipe is given by its name or its file")
    return _beside(folder, value) if value.endswith(".toml") else value


def _output(value: Any, where: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InputError(f"{where}: output is a path below the output folder")
    path = PurePosixPath(value.replace(os.sep, "/"))
    if path.is_absolute() or ".." in path.parts or not path.name or ":" in path.parts[0]:
        raise InputError(f"{where}: output {value!r} is not a path below the output folder")
    return str(path)


def _beside(folder: str, path: str) -> str:
    path = places.normalized(path)
    return path if places.is_url(path) or Path(path).is_absolute() else places.joined(folder, path)


def _place(photo: str) -> str:
    """As the row has it, if that is below the table's folder; else the name."""
    path = PurePosixPath(photo.replace(os.sep, "/"))
    inside = not (places.is_url(photo) or path.is_absolute() or ".." in path.parts)
    return str(path) if inside else path.name
