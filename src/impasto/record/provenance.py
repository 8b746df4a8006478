"""The record embedded in a finished picture: enough to make it again, nothing private.

Files are named without their folders, and carry a hash, so that a replay can tell whether it
found the right ones. A record that is read may come from anyone: each name in it is reduced to a
plain one (:mod:`impasto.record.names`). There is no time in it: equal runs give equal files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto._version import __version__
from impasto.encoders.layers import Network
from impasto.errors import ImageError, InputError
from impasto.image.files.decode import read_picture
from impasto.image.files.metadata import read_record
from impasto.image.masks import Mask
from impasto.recipe.recipe import Recipe, parse_recipe
from impasto.record.names import strip_mask_name, strip_name, strip_recipe

FileHash = tuple[str, str]
"""A file's name without its folder, and a SHA-256."""


@dataclass(frozen=True)
class Provenance:
    """How a picture was made.

    Attributes:
        version: of impasto.
        recipe: with everything automatic spelled out, and no folders in it.
        inputs: the photo and each painting, in this order; the hash is of the pixels.
        device: type of the device, ``cpu`` or ``cuda``.
        start: the picture of the user's that the run began with, hashed by its pixels.
        weights: VGG's file, hashed by its bytes; none: not known.
        network: the one-pass network's file, likewise; none: it was the optimizer.
        masks: of the photo, hashed by their weights.
        style_masks: of the paintings, likewise; none: all of the painting.
        keeps_metadata: whether the photo's EXIF and copyright were kept.
        refined: what was painted again afterwards, in turn, as JSON objects; the rest says how the
            picture was made before that.
    """

    version: str
    recipe: Recipe
    inputs: tuple[FileHash, ...]
    device: str
    start: FileHash | None = None
    weights: FileHash | None = None
    network: FileHash | None = None
    masks: tuple[FileHash, ...] = ()
    style_masks: tuple[FileHash | None, ...] = ()
    keeps_metadata: bool = True
    refined: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        inputs: Sequence[FileHash],
        device: str,
        weights: FileHash,
        masks: Sequence[Mask] = (),
        style_masks: Sequence[Mask | None] = (),
        network: FileHash | None = None,
    ) -> Provenance:
        """The record of a run by this version."""
        start = None
        if recipe.start.image is not None:
            start = _named(Path(recipe.start.image))
            recipe = recipe.with_changes({"start.image": start[0]})
        if recipe.engine.file is not None and network is not None:
            recipe = recipe.with_changes({"engine.file": network[0]})
        regions = tuple((mask.name, mask.compute_sha256()) for mask in masks)
        parts = tuple(None if m is None else (m.name, m.compute_sha256()) for m in style_masks)
        return cls(
            __version__, recipe, tuple(inputs), device, start, weights, network, regions, parts
        )

    def to_json(self) -> str:
        """The text that is embedded."""
        photo, *paintings = map(_entry, self.inputs)
        record: dict[str, Any] = {
            "impasto": self.version,
            "recipe": strip_recipe(self.recipe.model_dump(mode="json")),
            "photo": photo,
            "paintings": paintings,
            "device": self.device,
        }
        for key in ("start", "weights", "network"):
            named = getattr(self, key)
            if named is not None:
                record[key] = _entry(named)
        if self.masks:
            record["masks"] = [_entry(each) for each in self.masks]
        if self.style_masks:
            record["style_masks"] = [each and _entry(each) for each in self.style_masks]
        if not self.keeps_metadata:
            record["metadata"] = False
        if self.refined:
            record["refined"] = [_strip_note(each) for each in self.refined]
        return json.dumps(record)


def identify_weights(network: Network, path: str | Path | None) -> FileHash:
    """The weights file a run of this network loads, given the path that was asked for.

    Raises:
        WeightsError: there is none.
    """
    from impasto.encoders.sources import SOURCES, find_cached_file, find_wheel_file, hash_file

    if path is None:
        cached = (find_cached_file(each) for each in SOURCES if each.network == network)
        path = next(filter(None, cached), None) or find_wheel_file()
    return Path(path).name, hash_file(Path(path))


def _entry(named: FileHash) -> dict[str, str]:
    return {"name": named[0], "sha256": named[1]}


def _named(path: Path) -> FileHash:
    try:
        return path.name, read_picture(path).compute_sha256()
    except ImageError:  # gone since the run read it: no reason to lose the run
        return path.name, ""


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
            f"{path}: contains no impasto recipe (it was made by another program, stopped early, "
            "or saved without its recipe)"
        )
    return parse_provenance(text, path)


def parse_provenance(text: str, path: Path) -> Provenance:
    """Read a record from the text that was found in the picture at ``path``.

    No name in it has a folder, neither in its entries nor in its recipes.

    Raises:
        InputError: it is damaged.
        RecipeError: the recipe is of a newer version, or damaged.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        photo, *others = map(_read_entry, [data["photo"], *data["paintings"]])
        start, weights, network = (
            _read_entry(data[key]) if key in data else None
            for key in ("start", "weights", "network")
        )
        masks = tuple(_read_entry(each, strip_mask_name) for each in data.get("masks", ()))
        parts = tuple(
            each and _read_entry(each, strip_mask_name) for each in data.get("style_masks", ())
        )
        recipe_text = json.dumps(strip_recipe(data["recipe"]))
        version, device = str(data["impasto"]), str(data["device"])
        keeps_metadata = data.get("metadata") is not False
        refined = tuple(_strip_note(dict(each)) for each in data.get("refined", ()))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: its impasto record is damaged ({error})") from None
    recipe = parse_recipe(recipe_text)
    inputs = (photo, *others)
    return Provenance(
        version,
        recipe,
        inputs,
        device,
        start,
        weights,
        network,
        masks,
        parts,
        keeps_metadata,
        refined,
    )


def _read_entry(entry: dict[str, Any], strip: Callable[[str], str] = strip_name) -> FileHash:
    name = entry["name"]
    if not isinstance(name, str):
        raise TypeError("a name is not text")
    return strip(name), str(entry["sha256"])


def _strip_note(note: dict[str, Any]) -> dict[str, Any]:
    """Copy a note of a refinement with plain names in its recipe."""
    return {**note, "recipe": strip_recipe(note["recipe"])} if "recipe" in note else note
