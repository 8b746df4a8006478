"""The paintings that impasto comes with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from impasto.studio.problems import Problem


@dataclass(frozen=True)
class Painting:
    """One of them."""

    name: str
    title: str
    credit: str
    path: Path


@cache
def paintings() -> dict[str, Painting]:
    """By name, in the order of the list."""
    folder = Path(str(resources.files("impasto") / "studio" / "page" / "styles"))
    listed = json.loads((folder / "styles.json").read_text("utf-8"))
    return {
        each["name"]: Painting(each["name"], each["title"], each["credit"], folder / each["file"])
        for each in listed
    }


def painting(name: str) -> Painting:
    """The painting of a name.

    Raises:
        Problem: there is none.
    """
    found = paintings().get(name)
    if found is None:
        raise Problem(
            "not_found", f"there is no style of this name; there are {', '.join(paintings())}"
        )
    return found
