"""The paintings that impasto comes with."""

from __future__ import annotations

import tomllib
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
    folder = Path(str(resources.files("impasto") / "studio" / "styles"))
    listed = tomllib.loads((folder / "styles.toml").read_text("utf-8"))
    return {
        name: Painting(name, entry["title"], entry["credit"], folder / f"{name}.jpg")
        for name, entry in listed.items()
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
