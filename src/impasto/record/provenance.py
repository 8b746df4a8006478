"""The record embedded in a finished picture: enough to make it again, nothing private.

Pictures are named without their folders, and carry a hash of their pixels, so that a replay can
tell whether it found the right ones. There is no time in it: equal runs give equal files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto._version import __version__
from impasto.errors import InputError
from impasto.media.metadata import read_record
from impasto.recipe import Recipe, parse_recipe


@dataclass(frozen=True)
class Provenance:
    """How a picture was made.

    Attributes:
        version: of impasto.
        recipe: with everything automatic spelt out.
        inputs: (file name, SHA-256 of the pixels) of the photo and each painting, in this order.
        device: type of the device, ``cpu`` or ``cuda``.
    """

    version: str
    recipe: Recipe
    inputs: tuple[tuple[str, str], ...]
    device: str

    @classmethod
    def of(cls, recipe: Recipe, inputs: Sequence[tuple[str, str]], device: str) -> Provenance:
        """The record of a run by this version."""
        return cls(__version__, recipe, tuple(inputs), device)

    def to_json(self) -> str:
        """The text that is embedded."""
        photo, *paintings = ({"name": name, "sha256": digest} for name, digest in self.inputs)
        return json.dumps(
            {
                "impasto": self.version,
                "recipe": self.recipe.model_dump(mode="json"),
                "photo": photo,
                "paintings": paintings,
                "device": self.device,
            }
        )


def read_provenance(path: Path) -> Provenance:
    """The record inside a picture.

    Raises:
        ImageError: not a readable picture.
        InputError: no record, or a damaged one.
        RecipeError: the recipe is of a newer version, or damaged.
    """
    text = read_record(path)
    if text is None:
        raise InputError(
            f"{path}: carries no impasto recipe (made by something else, or --no-embed)"
        )
    try:
        data: dict[str, Any] = json.loads(text)
        inputs = [data["photo"], *data["paintings"]]
        named = tuple((str(each["name"]), str(each["sha256"])) for each in inputs)
        recipe_text = json.dumps(data["recipe"])
        version, device = str(data["impasto"]), str(data["device"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: its impasto record is damaged ({error})") from None
    return Provenance(version, parse_recipe(recipe_text), named, device)
