"""Reduce the file names in a record, which may come from anyone, to plain names, and find them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

LONGEST_NAME = 255
"""Longest file name in characters; no common file system allows longer ones."""
PATH_FIELDS = (("start", "image"), ("engine", "file"))
"""The fields of a recipe that hold a path, each with its table."""
_SCRIBBLE = "scribble:"
_SEPARATORS = re.compile(
    r"[/\\"
    "\u2044\u2215\u2571\u29f8\uff0f"  # look like a slash
    "\u2216\u2572\u29f5\u29f9\ufe68\uff3c"  # look like a backslash
    "]"
)
_DRIVE = re.compile(r"[A-Za-z]:")
_ONLY_DOTS = re.compile(r"[. \uff0e]*")
_IMPOSSIBLE = re.compile(r"[\0\ud800-\udc7f\udd00-\udfff]")
"""Characters that no file name contains. The other surrogates encode bytes that are not UTF-8."""
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *([.:].*)?",
    re.IGNORECASE | re.DOTALL,
)


def strip_name(text: str) -> str:
    """Reduce a path of any operating system, or a URL, to a plain file name.

    The part after the last separator is kept. Slashes, backslashes and characters that look like
    them are separators, and a drive letter is removed. Nothing is decoded: ``%2F`` stays three
    characters of the name.

    Returns:
        A name that stays in the folder to which it is appended, at most :data:`LONGEST_NAME`
        characters long. Empty: no file can have the name.
    """
    name = _SEPARATORS.split(text)[-1]
    while _DRIVE.match(name):
        name = name[2:]
    if _IMPOSSIBLE.search(name) or len(name) > LONGEST_NAME or _ONLY_DOTS.fullmatch(name):
        return ""
    return name


def strip_mask_name(text: str) -> str:
    """Reduce the file name of a mask, or of ``scribble:FILE``; other mask words name no file."""
    if text.startswith(_SCRIBBLE):
        return _SCRIBBLE + strip_name(text.removeprefix(_SCRIBBLE))
    return strip_name(text)


def strip_recipe(recipe: Any) -> Any:
    """Copy the JSON form of a recipe with plain names for its files.

    Anything that is not a recipe is returned as it is; validation reports it later.
    """
    if not isinstance(recipe, dict):
        return recipe
    stripped = dict(recipe)
    for table, field in PATH_FIELDS:
        values = stripped.get(table)
        if isinstance(values, dict) and isinstance(values.get(field), str):
            stripped[table] = {**values, field: strip_name(values[field])}
    return stripped


def find_file(name: str, folder: Path) -> Path | None:
    """Find the file that a record names in a folder.

    Args:
        name: plain name, see :func:`strip_name`.
        folder: folder to search, without its subfolders.

    Returns:
        A regular file, or a link to one inside the folder. None: there is none, or the name is that
        of a device on this system.
    """
    if not name or (os.name == "nt" and is_reserved(name)):
        return None
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        return path if inside and path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, or not encodable
        return None


def is_reserved(name: str) -> bool:
    """Tell whether a name is that of a device on Windows, such as ``NUL`` or ``con.png``."""
    return _RESERVED.fullmatch(name) is not None
