"""Embed a record in a finished picture that suffices to make it again and holds nothing private.

Files are named without their folders and identified by hashes, so that a replay can check that it
has found the right ones. A record that is read may come from anyone, so each name in it is reduced
to a plain file name (:mod:`impasto.record.names`). A record has no time: equal runs give equal
files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from impasto._version import __version__
from impasto.encoders.encoder_registry import find_encoder
from impasto.encoders.weight_sources import hash_file
from impasto.errors import ImageError, InputError
from impasto.image.files.decode import read_picture
from impasto.image.files.metadata import read_record
from impasto.image.masks import Mask
from impasto.recipe.recipe import Recipe, parse_recipe
from impasto.record.names import strip_mask_name, strip_name, strip_recipe


class FileHash(NamedTuple):
    """The name of a file without its folder, and a hexadecimal SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """The origin of a picture.

    Attributes:
        version: version of impasto.
        recipe: recipe with all automatic choices resolved and without folders.
        inputs: the photo and each painting, in this order, with hashes of their pixels.
        device: type of the device, ``cpu`` or ``cuda``.
        start: picture that the run started from, with a hash of its pixels. None: none was given.
        weights: weights file of the encoder, with a hash of its bytes. None: unknown, or there is
            none.
        network: file of the one-pass network, with a hash of its bytes. None: the optimizer.
        masks: masks of the photo, with hashes of their weights.
        style_masks: masks of the paintings. None as an item: all of that painting.
        keeps_metadata: the EXIF block of the photo was kept.
        refined: refinements in order, as JSON objects; the rest describes the picture before them.
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
    def describe_run(
        cls,
        recipe: Recipe,
        inputs: Sequence[FileHash],
        device: str,
        weights: FileHash | None,
        masks: Sequence[Mask] = (),
        style_masks: Sequence[Mask | None] = (),
        network: FileHash | None = None,
    ) -> Provenance:
        """Describe a run by this version.

        Args:
            recipe: recipe with all automatic choices resolved.
            inputs: the photo and each painting, with hashes of their pixels.
            device: type of the device.
            weights: weights file of the encoder. None: it reads none.
            masks: masks of the photo.
            style_masks: masks of the paintings. None as an item: all of that painting.
            network: file of the one-pass network. None: the optimizer.
        """
        start = None
        if recipe.start.image is not None:
            start = _hash_picture(Path(recipe.start.image))
            recipe = recipe.with_changes({"start.image": start.name})
        if recipe.engine.file is not None and network is not None:
            recipe = recipe.with_changes({"engine.file": network.name})
        return cls(
            version=__version__,
            recipe=recipe,
            inputs=tuple(inputs),
            device=device,
            start=start,
            weights=weights,
            network=network,
            masks=tuple(map(_hash_mask, masks)),
            style_masks=tuple(None if mask is None else _hash_mask(mask) for mask in style_masks),
        )

    def to_json(self) -> str:
        """Write the text that is embedded."""
        photo, *paintings = map(_write_entry, self.inputs)
        record: dict[str, Any] = {
            "impasto": self.version,
            "recipe": strip_recipe(self.recipe.model_dump(mode="json")),
            "photo": photo,
            "paintings": paintings,
            "device": self.device,
        }
        for key in ("start", "weights", "network"):
            file = getattr(self, key)
            if file is not None:
                record[key] = _write_entry(file)
        if self.masks:
            record["masks"] = [_write_entry(each) for each in self.masks]
        if self.style_masks:
            record["style_masks"] = [each and _write_entry(each) for each in self.style_masks]
        if not self.keeps_metadata:
            record["metadata"] = False
        if self.refined:
            record["refined"] = [_strip_note(each) for each in self.refined]
        return json.dumps(record)


def identify_weights(network: str, path: str | Path | None) -> FileHash | None:
    """Identify the weights file that a run loads.

    Args:
        network: name of the encoder.
        path: file that was asked for. None: the first source that is present.

    Returns:
        Its name and hash. None: the encoder reads no file.

    Raises:
        WeightsError: there are no weights for this network.
    """
    file = find_encoder(network).locate_weights(None if path is None else Path(path))
    return None if file is None else FileHash(file.name, hash_file(file))


def _write_entry(file: FileHash) -> dict[str, str]:
    return {"name": file.name, "sha256": file.sha256}


def _hash_picture(path: Path) -> FileHash:
    try:
        return FileHash(path.name, read_picture(path).compute_sha256())
    except ImageError:  # the file is gone since the start, which is no reason to lose the run
        return FileHash(path.name, "")


def _hash_mask(mask: Mask) -> FileHash:
    return FileHash(mask.name, mask.compute_sha256())


def read_provenance(path: Path) -> Provenance:
    """Read the record inside a picture.

    Raises:
        ImageError: the file is not a readable picture.
        InputError: there is no record, or it is damaged.
        RecipeError: the recipe is damaged, or of a newer version.
    """
    text = read_record(path)
    if text is None:
        raise InputError(
            "contains no impasto recipe (it was made by another program, stopped early, "
            "or saved without its recipe)",
            where=path,
        )
    return parse_provenance(text, path)


def parse_provenance(text: str, path: Path) -> Provenance:
    """Parse the text of a record; no name in the result has a folder.

    Args:
        text: text of the record.
        path: picture that contains it, for error messages.

    Raises:
        InputError: the record is damaged.
        RecipeError: the recipe is damaged, or of a newer version.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        photo, *paintings = map(_read_entry, [data["photo"], *data["paintings"]])
        start, weights, network = (
            _read_entry(data[key]) if key in data else None
            for key in ("start", "weights", "network")
        )
        entries: dict[str, Any] = {
            "version": str(data["impasto"]),
            "inputs": (photo, *paintings),
            "device": str(data["device"]),
            "start": start,
            "weights": weights,
            "network": network,
            "masks": tuple(_read_entry(each, strip_mask_name) for each in data.get("masks", ())),
            "style_masks": tuple(
                each and _read_entry(each, strip_mask_name) for each in data.get("style_masks", ())
            ),
            "keeps_metadata": data.get("metadata") is not False,
            "refined": tuple(_strip_note(dict(each)) for each in data.get("refined", ())),
        }
        recipe_text = json.dumps(strip_recipe(data["recipe"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"the impasto record is damaged ({error})", where=path) from None
    return Provenance(recipe=parse_recipe(recipe_text), **entries)


def _read_entry(entry: dict[str, Any], strip: Callable[[str], str] = strip_name) -> FileHash:
    name = entry["name"]
    if not isinstance(name, str):
        raise TypeError("a name is not text")
    return FileHash(strip(name), str(entry["sha256"]))


def _strip_note(note: dict[str, Any]) -> dict[str, Any]:
    """Copy the note of a refinement with plain file names in its recipe."""
    return {**note, "recipe": strip_recipe(note["recipe"])} if "recipe" in note else note
