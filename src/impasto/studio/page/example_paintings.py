"""List the paintings that ship with impasto: those on the page's shelf, and the library."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from impasto.library.library_paintings import load_shipped
from impasto.library.painting_search import THRESHOLD, NameIndex
from impasto.library.shipped_codes import list_similar
from impasto.studio.problems import Problem


@dataclass(frozen=True)
class ExamplePainting:
    """A painting that ships with impasto.

    Attributes:
        name: its id.
        title: title for people.
        credit: who painted it, and where the picture comes from.
        path: file of the picture.
    """

    name: str
    title: str
    credit: str
    path: Path


@cache
def load_paintings() -> dict[str, ExamplePainting]:
    """Return the paintings of the shelf by name, in their order on the page."""
    folder = Path(str(resources.files("impasto") / "studio" / "page" / "styles"))
    entries = json.loads((folder / "styles.json").read_text("utf-8"))
    return {
        each["name"]: ExamplePainting(
            each["name"], each["title"], each["credit"], folder / each["file"]
        )
        for each in entries
    }


@cache
def load_library_paintings() -> dict[str, ExamplePainting]:
    """Return the paintings of the library by name, the best known first."""
    return {
        each.name: ExamplePainting(
            each.name, each.title, f"{each.artist}, {each.year}; public domain", each.path
        )
        for each in load_shipped()
    }


def find_painting(name: str) -> ExamplePainting:
    """Return the painting of a name, from the shelf or the library.

    Raises:
        Problem: there is none.
    """
    painting = load_paintings().get(name) or load_library_paintings().get(name)
    if painting is None:
        raise Problem("not_found", f"unknown style; expected one of {', '.join(load_paintings())}")
    return painting


@cache
def _index_names() -> NameIndex:
    return NameIndex(load_shipped())


def search_paintings(text: str) -> tuple[list[ExamplePainting], list[str]]:
    """Find paintings of the library by what people call them.

    Returns:
        Those that match, the best first, and if there are none the titles of the nearest.
    """
    matches = _index_names().rank(text)
    paintings = load_library_paintings()
    hits = [paintings[each.painting.name] for each in matches if each.score >= THRESHOLD]
    return hits, [] if hits else _index_names().list_nearest(text)


def find_similar_paintings(name: str, count: int) -> list[ExamplePainting]:
    """Return the paintings of the library most like one of them, or like one of the shelf.

    Raises:
        Problem: there is no painting of this name.
    """
    painting = find_painting(name)
    return [load_library_paintings()[each] for each in list_similar(painting.name, count)]
