"""How pictures are made: recipe, paintings and masks, of a row or of all, and the hash of these."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.batch.batch_job import Job, Settings
from impasto.batch.sources import places
from impasto.batch.sources.manifest import Row, mask_file, respelled
from impasto.errors import ImpastoError, InputError, WeightsError
from impasto.image.files.decode import read_picture
from impasto.recipe.recipe import Recipe
from impasto.segment.mask_words import expand_auto

RecipeFor = Callable[[str | None, Mapping[str, Any], Sequence[str]], Recipe]
"""The batch's recipe, or another by name, with fields changed, for some paintings."""
_UNSEEN = {"name", "description", "snapshot_every"}
"""Fields of a recipe that change nothing of the file."""


@dataclass(frozen=True)
class Way:
    """Of making pictures: what :class:`Job` has of it that is not one photo's."""

    recipe: Recipe
    identity: str
    styles: tuple[str, ...]
    masks: tuple[str, ...]
    style_masks: tuple[str, ...]


class Ways:
    """Of one batch."""

    def __init__(
        self,
        settings: Settings,
        recipe_for: RecipeFor,
        styles: Sequence[str],
        masks: Sequence[str] = (),
        style_masks: Sequence[str] = (),
    ) -> None:
        """Read nothing yet.

        Args:
            settings: that all pictures share.
            recipe_for: see :data:`RecipeFor`.
            styles: the paintings of photos that have no own.
            masks, style_masks: likewise.
        """
        self._settings = settings
        self._recipe_for = recipe_for
        self._styles, self._masks, self._style_masks = styles, masks, style_masks
        self._known: dict[str, Way] = {}
        self._recipes: dict[str, tuple[Recipe, dict[str, Any]]] = {}
        self._hashes: dict[str, str] = {}
        self._described: dict[str, dict[str, Any]] = {}

    def of(self, row: Row | None) -> Way:
        """How a photo's picture is made."""
        parts = row and [row.styles, row.masks, row.style_masks, row.recipe, row.fields]
        asked = json.dumps(parts, default=str)
        if asked not in self._known:
            try:
                self._known[asked] = self._way_of(row)
            except ImpastoError as error:
                raise (error.copy_with_place(row.where) if row else error) from None
        return self._known[asked]

    def _way_of(self, row: Row | None) -> Way:
        masks, styles, parts = expand_auto(
            (row.masks if row else ()) or self._masks,
            (row.styles if row else ()) or self._styles,
            (row.style_masks if row else ()) or self._style_masks,
        )
        if not styles:
            raise InputError("no painting: give `style`, or a style in every row", field="style")
        name, fields = (row.recipe, row.fields) if row else (None, {})
        asked = json.dumps([name, fields, styles], default=str)
        if asked not in self._recipes:  # which many rows share, each with a mask of its own
            recipe = self._recipe_for(name, fields, styles)
            self._recipes[asked] = recipe, recipe.model_dump(mode="json", exclude=_UNSEEN)
        recipe, told = self._recipes[asked]
        recipe.check_counts(len(styles), len(masks), len(parts))
        way = Way(recipe, "", tuple(styles), tuple(masks), tuple(parts))
        return replace(way, identity=self._identity(way, told))

    def _identity(self, way: Way, told: dict[str, Any]) -> str:
        """The hash of all that makes an output but its photo, written out in the record once."""
        size = self._settings.print_size
        what: dict[str, Any] = {
            "styles": [{"name": each, "sha256": self._picture(each)} for each in way.styles],
            "is": told,
            "depth": self._settings.depth,
            "embed": self._settings.embed,
            "metadata": self._settings.keep_metadata,
        }
        more = {
            "print": size and size.written,
            "start": way.recipe.start.image and self._picture(way.recipe.start.image),
            "weights": self._settings.weights and self._weights(self._settings.weights),
            "masks": [{"name": each, "is": _mask(each)} for each in way.masks],
            "style_masks": [{"name": each, "is": _mask(each)} for each in way.style_masks],
        }
        what |= {name: given for name, given in more.items() if given}
        # By what they are, wherever they are.
        hashed = what | {"styles": [each["sha256"] for each in what["styles"]]}
        for name in {"masks", "style_masks"} & {*what}:
            hashed[name] = [each["is"] for each in what[name]]
        digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:16]
        self._described[digest] = what
        return digest

    def described(self, identity: str) -> dict[str, Any]:
        """What the hash stands for."""
        return self._described[identity]

    def _picture(self, place: str) -> str:
        """The hash of a painting's file, which can be read."""
        if place not in self._hashes:
            data = places.read(place)
            read_picture(data, name=place)
            self._hashes[place] = hashlib.sha256(data).hexdigest()
        return self._hashes[place]

    def _weights(self, path: str) -> str:
        if path not in self._hashes:
            try:
                with Path(path).open("rb") as file:
                    self._hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise WeightsError(f"no weights file {path} ({error.strerror})") from None
        return self._hashes[path]


def files_of(job: Job) -> list[str]:
    """That masks are read from."""
    return [file for file in map(mask_file, (*job.masks, *job.style_masks)) if file]


def _mask(mask: str) -> str:
    """What tells a mask from another: the hash of its file, or the word; if it cannot be read its
    photo alone will fail.
    """
    file = mask_file(mask)
    try:
        return mask if file is None else respelled(mask, sha256_of)
    except ImpastoError:
        return mask


def sha256_of(place: str) -> str:
    """The hash of a file, by path or URL.

    Raises:
        ImpastoError: it cannot be read.
    """
    return hashlib.sha256(places.read(place)).hexdigest()
