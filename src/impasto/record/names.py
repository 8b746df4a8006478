"""Names of files in a record, which may come from anyone: plain names, and where they are found."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

LONGEST_NAME = 255
"""Characters of a file's name; no common file system has longer ones."""
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
"""In no file's name. The other surrogates stand for the bytes of a name that is not UTF-8."""
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *([.:].*)?",
    re.IGNORECASE | re.DOTALL,
)


def strip_name(text: str) -> str:
    """Reduce a path of any operating system, or a URL, to a plain file name.

    What follows the last separator is kept: slashes, backslashes and characters that look like
    them all separate, and a drive letter goes. Nothing is decoded, so that ``%2F`` stays three
    characters of a name.

    Returns:
        A name that lies in the folder it is appended to, at most :data:`LONGEST_NAME` characters
        long; or ``""`` where no file can have the name.
    """
    name = _SEPARATORS.split(text)[-1]
    while _DRIVE.match(name):
        name = name[2:]
    if _IMPOSSIBLE.search(name) or len(name) > LONGEST_NAME or _ONLY_DOTS.fullmatch(name):
        return ""
    return name


def strip_mask_name(text: str) -> str:
    """Reduce the name of a mask, or the file in ``scribble:FILE``; other words have no file."""
    if text.startswith(_SCRIBBLE):
        return _SCRIBBLE + strip_name(text.removeprefix(_SCRIBBLE))
    return strip_name(text)


def strip_recipe(recipe: Any) -> Any:
    """Copy a recipe's JSON form with plain names for its files; anything else is left for
    validation to refuse.
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
        name: of :func:`strip_name`.
        folder: to look in, not below.

    Returns:
        A regular file, or a link to one inside the folder. ``None``: there is none, or the name
        means a device on this system.
    """
    if not name or (os.name == "nt" and is_reserved(name)):
        return None
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        return path if inside and path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, not encodable
        return None


def is_reserved(name: str) -> bool:
    """Whether a name means a device on Windows, such as ``NUL`` or ``con.png``."""
    return _RESERVED.fullmatch(name) is not None
