"""Describe the paintings of a library: those that ship with impasto, and those of a folder."""

from __future__ import annotations

import csv
import io
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from impasto.errors import InputError
from impasto.image.files.decode import EXTENSIONS

CAPTIONS = "captions.csv"
"""Table in a folder of paintings: ``file`` and any of ``title``, ``artist``, ``year``, ``movement``
and ``other``, which has more names with ``|`` between them."""
FOLDERS = "IMPASTO_LIBRARY"
"""Environment variable with folders of paintings, separated like those of ``PATH``."""
SUFFIXES = tuple(each for names in EXTENSIONS.values() for each in names)
_COLUMNS = ("file", "title", "artist", "year", "movement", "other")


@dataclass(frozen=True)
class LibraryPainting:
    """A painting that can be found by its names.

    Attributes:
        path: its file.
        title: title, or the words of the file's name.
        artist, year, movement: empty if they are unknown.
        other: more names, in any language.
    """

    path: Path
    title: str
    artist: str = ""
    year: str = ""
    movement: str = ""
    other: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the file without its suffix."""
        return self.path.stem

    def describe(self) -> str:
        """Write title, artist and year in one line."""
        return ", ".join(filter(None, (self.title, self.artist, self.year)))

    def list_names(self) -> list[str]:
        """List everything that the painting is called."""
        stem = read_title(self.path)
        names = (self.title, self.artist, self.movement, self.year, stem, *self.other)
        return list(dict.fromkeys(filter(None, names)))


@cache
def load_shipped() -> tuple[LibraryPainting, ...]:
    """Load the paintings that ship with impasto, the best known first."""
    folder = Path(str(resources.files("impasto") / "library"))
    catalog = tomllib.loads((folder / "catalog.toml").read_text("utf-8"))
    return tuple(
        LibraryPainting(
            folder / "paintings" / f"{name}.jpg",
            entry["title"],
            entry["artist"],
            entry["year"],
            entry["movement"],
            tuple(entry["other"]),
        )
        for name, entry in catalog.items()
    )


def read_folder(folder: Path) -> tuple[LibraryPainting, ...]:
    """Read the names of the pictures in a folder and its subfolders, sorted by path.

    Raises:
        InputError: there is no such folder, or its table of captions is invalid.
    """
    if not folder.is_dir():
        raise InputError("no such folder", where=folder, field="library")
    captions = _read_captions(folder / CAPTIONS)
    return tuple(
        captions.get(path) or LibraryPainting(path, read_title(path)) for path in list_files(folder)
    )


def list_files(folder: Path) -> list[Path]:
    """List the pictures in a folder and its subfolders, without hidden ones."""
    paths = (Path(here, name) for here, _, names in os.walk(folder) for name in names)
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_title(path: Path) -> str:
    """Return the words of a file's name."""
    return " ".join(re.split(r"[\s_-]+", path.stem)).strip()


def load_library(folders: Sequence[str | Path] | None = None) -> tuple[LibraryPainting, ...]:
    """Load the paintings of folders, and then those that ship with impasto.

    Args:
        folders: folders of paintings. None: those of the variable :data:`FOLDERS`.
    """
    if folders is None:
        folders = list(filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)))
    own = (painting for folder in folders for painting in read_folder(Path(folder)))
    return (*own, *load_shipped())


def _read_captions(table: Path) -> dict[Path, LibraryPainting]:
    try:
        text = table.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=table) from None
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError(str(error), where=table) from None
    return dict(_read_row(row, number, table) for number, row in enumerate(rows, 2))


def _read_row(row: dict[str, str], number: int, table: Path) -> tuple[Path, LibraryPainting]:
    where = f"{table} line {number}"
    _check_columns(row, where)
    cells = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    path = table.parent / cells["file"]
    if not cells["file"] or not path.is_file():
        raise InputError("no such file", where=f"{where}: {cells['file'] or 'file'}")
    other = tuple(filter(None, (each.strip() for each in cells["other"].split("|"))))
    title = cells["title"] or read_title(path)
    return path, LibraryPainting(
        path, title, cells["artist"], cells["year"], cells["movement"], other
    )


def _check_columns(row: Iterable[str], where: str) -> None:
    unknown = [name for name in row if name not in _COLUMNS]
    if unknown:
        raise InputError(
            "unknown column, or more cells than columns",
            where=f"{where}: {unknown[0] or ''}",
            expected=", ".join(_COLUMNS),
        )
