"""Resolve how pictures are made: recipe, paintings and masks of a row, and a hash of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.batch.batch_job import BatchJob, WorkerSettings
from impasto.batch.sources import places
from impasto.batch.sources.manifest import ManifestRow, find_mask_file, respell_mask
from impasto.errors import ImpastoError, InputError, WeightsError
from impasto.image.files.decode import read_picture
from impasto.recipe.recipe import Recipe
from impasto.segment.mask_words import expand_auto

RecipeChooser = Callable[[str | None, Mapping[str, Any], Sequence[str]], Recipe]
"""Gives the recipe for a name (None: the batch's recipe), changed fields, and paintings."""
_IRRELEVANT_FIELDS = {"name", "description", "snapshot_every"}
"""Fields of a recipe that do not change the picture."""


@dataclass(frozen=True)
class JobTemplate:
    """The part of a :class:`BatchJob` that does not depend on the photo; see there."""

    recipe: Recipe
    identity: str
    styles: tuple[str, ...]
    masks: tuple[str, ...]
    style_masks: tuple[str, ...]


class JobTemplates:
    """The templates of one batch."""

    def __init__(
        self,
        settings: WorkerSettings,
        choose_recipe: RecipeChooser,
        styles: Sequence[str],
        masks: Sequence[str] = (),
        style_masks: Sequence[str] = (),
    ) -> None:
        """Store the settings; no file is read yet.

        Args:
            settings: settings of all pictures.
            choose_recipe: gives the recipe of a row.
            styles, masks, style_masks: paintings and masks of photos whose rows have none.
        """
        self._settings = settings
        self._choose_recipe = choose_recipe
        self._styles, self._masks, self._style_masks = styles, masks, style_masks
        self._templates: dict[str, JobTemplate] = {}
        self._recipes: dict[str, tuple[Recipe, dict[str, Any]]] = {}
        self._hashes: dict[str, str] = {}
        self._descriptions: dict[str, dict[str, Any]] = {}

    def choose(self, row: ManifestRow | None) -> JobTemplate:
        """Return the template for a row. None: a photo without a row.

        Raises:
            ImpastoError: the row asks for something impossible; the message has its line.
        """
        parts = row and [row.styles, row.masks, row.style_masks, row.recipe, row.fields]
        request = json.dumps(parts, default=str)
        if request not in self._templates:
            try:
                self._templates[request] = self._make_template(row)
            except ImpastoError as error:
                raise (error.copy_with_place(row.where) if row else error) from None
        return self._templates[request]

    def describe(self, identity: str) -> dict[str, Any]:
        """Return what an identity stands for, as it is written into the record."""
        return self._descriptions[identity]

    def _make_template(self, row: ManifestRow | None) -> JobTemplate:
        masks, styles, parts = expand_auto(
            (row.masks if row else ()) or self._masks,
            (row.styles if row else ()) or self._styles,
            (row.style_masks if row else ()) or self._style_masks,
        )
        if not styles:
            raise InputError(
                "no painting", expected="`style`, or a style in every row", field="style"
            )
        name, fields = (row.recipe, row.fields) if row else (None, {})
        request = json.dumps([name, fields, styles], default=str)
        if request not in self._recipes:  # rows often differ in their masks only
            recipe = self._choose_recipe(name, fields, styles)
            relevant = recipe.model_dump(mode="json", exclude=_IRRELEVANT_FIELDS)
            self._recipes[request] = recipe, relevant
        recipe, relevant = self._recipes[request]
        recipe.check_counts(len(styles), len(masks), len(parts))
        template = JobTemplate(recipe, "", tuple(styles), tuple(masks), tuple(parts))
        return replace(template, identity=self._compute_identity(template, relevant))

    def _compute_identity(self, template: JobTemplate, relevant: dict[str, Any]) -> str:
        """Hash everything but the photo that determines an output, and keep its description.

        Args:
            template: the template, without its identity.
            relevant: the relevant fields of its recipe.
        """
        size = self._settings.print_size
        description: dict[str, Any] = {
            "styles": [
                {"name": each, "sha256": self._hash_picture(each)} for each in template.styles
            ],
            "is": relevant,
            "depth": self._settings.depth,
            "embed": self._settings.embed,
            "metadata": self._settings.keep_metadata,
        }
        start = template.recipe.start.image
        weights = self._settings.hardware.weights
        optional = {
            "print": size and size.text,
            "start": start and self._hash_picture(start),
            "weights": weights and self._hash_weights(weights),
            "masks": [{"name": each, "is": _identify_mask(each)} for each in template.masks],
            "style_masks": [
                {"name": each, "is": _identify_mask(each)} for each in template.style_masks
            ],
        }
        description |= {name: value for name, value in optional.items() if value}
        # Files count by their contents, wherever they are.
        hashed = description | {"styles": [each["sha256"] for each in description["styles"]]}
        for name in {"masks", "style_masks"} & {*description}:
            hashed[name] = [each["is"] for each in description[name]]
        digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:16]
        self._descriptions[digest] = description
        return digest

    def _hash_picture(self, place: str) -> str:
        """Hash the file of a painting, and check that it can be decoded."""
        if place not in self._hashes:
            data = places.read(place)
            read_picture(data, name=place)
            self._hashes[place] = hashlib.sha256(data).hexdigest()
        return self._hashes[place]

    def _hash_weights(self, weights: str | Path) -> str:
        path = str(weights)
        if path not in self._hashes:
            try:
                with Path(path).open("rb") as file:
                    self._hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise WeightsError(
                    f"cannot be read ({error.strerror})", where=path, field="weights"
                ) from None
        return self._hashes[path]


def list_job_masks(job: BatchJob) -> list[str]:
    """List the files from which a job's masks are read."""
    return [file for file in map(find_mask_file, (*job.masks, *job.style_masks)) if file]


def _identify_mask(mask: str) -> str:
    """Return what distinguishes a mask: its word, or the hash of its file.

    For a file that cannot be read this is its name: only the photos that use it will fail.
    """
    file = find_mask_file(mask)
    try:
        return mask if file is None else respell_mask(mask, hash_place)
    except ImpastoError:
        return mask


def hash_place(place: str) -> str:
    """Compute the SHA-256 of a file, by path or URL.

    Raises:
        ImpastoError: the file cannot be read.
    """
    return hashlib.sha256(places.read(place)).hexdigest()
