"""List the paintings that ship with impasto."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

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
    """Return the paintings by name, in their order on the page."""
    folder = Path(str(resources.files("impasto") / "studio" / "page" / "styles"))
    entries = json.loads((folder / "styles.json").read_text("utf-8"))
    return {
        each["name"]: ExamplePainting(
            each["name"], each["title"], each["credit"], folder / each["file"]
        )
        for each in entries
    }


def find_painting(name: str) -> ExamplePainting:
    """Return the painting of a name.

    Raises:
        Problem: there is none.
    """
    painting = load_paintings().get(name)
    if painting is None:
        raise Problem("not_found", f"unknown style; expected one of {', '.join(load_paintings())}")
    return painting
