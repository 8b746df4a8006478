"""Plan a batch: name the outputs, skip what is done, and refuse outputs that collide."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from impasto.batch.batch_job import BatchJob, Outcome
from impasto.batch.batch_record import BatchRecord, RecordEntry
from impasto.batch.job_templates import JobTemplates, hash_place, list_job_masks
from impasto.batch.sources import places
from impasto.batch.sources.manifest import ManifestRow, respell_mask
from impasto.batch.sources.photo_search import FoundPhoto
from impasto.errors import ImpastoError, InputError, format_count


@dataclass
class BatchPlan:
    """What there is to do.

    Attributes:
        jobs: jobs to run, in order.
        complete: number of outputs that already exist for the same photo and recipe.
        saved: outcomes of those that were written just before a kill and are not in the record.
        changed: jobs whose output exists, but of another photo or recipe. They are kept.
        ours: number of photos that were skipped because they are outputs of this batch.
        running: number of outputs that are being made at the moment.
    """

    jobs: list[BatchJob] = field(default_factory=list)
    complete: int = 0
    saved: list[Outcome] = field(default_factory=list)
    changed: list[BatchJob] = field(default_factory=list)
    ours: int = 0
    running: int = 0


class BatchPlanner:
    """Makes jobs for one output folder and its record."""

    def __init__(
        self,
        output: str,
        record: BatchRecord,
        templates: JobTemplates,
        *,
        suffix: str = ".png",
        full_names: bool = False,
        force: bool = False,
        absolute: bool = False,
    ) -> None:
        """Store the settings; no file is read yet.

        Args:
            output: output folder, a path or URL.
            record: record of what was done in this folder.
            templates: gives the recipe, paintings and masks of a photo.
            suffix: suffix of outputs that a row does not name.
            full_names: keep the photo's suffix before the output's.
            force: make outputs again that exist, but of another photo or recipe.
            absolute: use absolute paths in jobs, for workers on other machines.
        """
        self._spell = places.make_absolute if absolute else str
        self._output = self._spell(output)
        self._record = record
        self._templates = templates
        self._suffix = suffix
        self._full_names = full_names
        self._force = force
        self._stored: dict[str, int] | None = None
        self._real_folders: dict[str, str] = {}
        self._names: dict[str, BatchJob] = {}
        self._folders: set[str] = set()

    def plan(self, photos: Iterable[FoundPhoto | ManifestRow]) -> BatchPlan:
        """Plan the pictures to make of the given photos.

        Raises:
            InputError: two photos would have the same output, an output would replace an input or a
                file that is not of this batch, or a painting cannot be read.
        """
        plan, keys, inputs = BatchPlan(), set[str](), set[str]()
        self._stored = None
        if places.is_url(self._output):  # a few requests, instead of one for each output
            self._stored = {each.name: each.size for each in places.list_store_files(self._output)}
        foreign: list[str] = []
        for photo in photos:
            if self._is_own_output(photo.photo):
                plan.ours += 1
                continue
            job = self._make_job(photo)
            self._reserve_name(job)
            if job.key not in keys:  # a list may name a photo twice
                keys.add(job.key)
                files = (job.photo, *job.styles, *list_job_masks(job))
                inputs.update(map(self._resolve_place, files))
                self._sort(job, plan, foreign)
        if foreign:
            raise InputError(
                f"{format_count(len(foreign), 'output')} not in this batch's record would be "
                f"replaced, such as {foreign[0]}; `overwrite` allows it",
                field="overwrite",
            )
        for job in (*plan.jobs, *plan.changed):
            if self._resolve_place(job.output) in inputs:
                raise InputError("is an input; inputs are never overwritten", where=job.output)
        return plan

    def describe(self, job: BatchJob) -> None:
        """Write what the job's identity stands for into the record."""
        self._record.describe(job.identity, self._templates.describe(job.identity))

    def _make_job(self, photo: FoundPhoto | ManifestRow) -> BatchJob:
        row = photo if isinstance(photo, ManifestRow) else None
        template, key = self._templates.choose(row), self._name_output(photo, row)
        masks = [respell_mask(each, self._spell) for each in template.masks]
        style_masks = [respell_mask(each, self._spell) for each in template.style_masks]
        return BatchJob(
            key=key,
            photo=self._spell(photo.photo),
            styles=tuple(map(self._spell, template.styles)),
            output=places.join_place(self._output, key),
            recipe=template.recipe,
            identity=template.identity,
            stamp=photo.stamp or places.read_place_stamp(photo.photo),
            masks=tuple(masks),
            style_masks=tuple(style_masks),
        )

    def _name_output(self, photo: FoundPhoto | ManifestRow, row: ManifestRow | None) -> str:
        if row and row.output:
            name = PurePosixPath(row.output)
            return str(name if name.suffix else name.with_name(name.name + self._suffix))
        place = PurePosixPath(photo.place)
        stem = place.name if self._full_names else place.stem
        if row and row.styles:
            stem = "-".join([stem, *(PurePosixPath(each).stem for each in row.styles)])
        return str(place.with_name(stem + self._suffix))

    def _resolve_place(self, place: str) -> str:
        """Return a unique spelling of a path or URL; links are followed."""
        if places.is_url(place):
            return place.rstrip("/")
        folder, name = os.path.split(place)
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder or ".")
        here = os.path.join(self._real_folders[folder], name)  # noqa: PTH118 -- 3 times faster
        return os.path.realpath(here) if name in ("", ".", "..") or os.path.islink(here) else here  # noqa: PTH114

    def _is_own_output(self, photo: str) -> bool:
        """Tell whether a photo is an output of this batch."""
        if places.is_url(photo) != places.is_url(self._output):
            return False
        folder = self._resolve_place(self._output) + ("/" if places.is_url(photo) else os.sep)
        photo = self._resolve_place(photo)
        return photo.startswith(folder) and photo.removeprefix(folder) in self._record

    def _reserve_name(self, job: BatchJob) -> None:
        """Reserve the name of an output.

        Names that differ in case or Unicode form only are the same on some file systems.

        Raises:
            InputError: another photo has this name, or it is the folder of other outputs.
        """
        name = unicodedata.normalize("NFC", job.key).casefold()
        other = self._names.setdefault(name, job)
        is_same = other is job or (
            self._resolve_place(other.photo) == self._resolve_place(job.photo)
        )
        if not is_same or other.identity != job.identity:
            clash = f"{other.photo} and {job.photo} would both become {job.output}"
            if is_same:
                raise InputError(expected="different outputs in these rows", where=clash)
            raise InputError(
                "`full_names` keeps their extensions, or rename one",
                where=clash,
                field="full_names",
            )
        parents = set(map(str, PurePosixPath(name).parents))
        self._folders |= parents
        if name in self._folders or not parents.isdisjoint(self._names):
            raise InputError(
                "would be both a picture and a folder of other outputs", where=job.output
            )

    def _sort(self, job: BatchJob, plan: BatchPlan, foreign: list[str]) -> None:
        """Put a job into the part of the plan where it belongs, or its output into ``foreign``."""
        if self._record.is_running(job.key):
            plan.running += 1
            return
        entry, size = self._record.find_entry(job.key), self._find_size(job)
        if size is None:
            plan.jobs.append(job)
        elif entry is not None and self._is_done(job, entry, size):
            plan.complete += 1
            if entry.is_unfinished:
                plan.saved.append(Outcome(job, sha256=hash_place(job.photo), bytes=size))
        elif self._force:
            plan.jobs.append(replace(job, replaces=True))
        elif entry is None:
            foreign.append(job.output)
        else:
            plan.changed.append(job)

    def _find_size(self, job: BatchJob) -> int | None:
        """Return the size of the output in bytes. None: it does not exist."""
        return places.read_size(job.output) if self._stored is None else self._stored.get(job.key)

    def _is_done(self, job: BatchJob, entry: RecordEntry, size: int) -> bool:
        """Tell whether an existing output of a size in bytes is the one that the job would make.

        Outputs are written completely or not at all. If a job was begun when there was no output
        and there is one now, then the batch was killed between writing the output and the record.
        """
        if entry.is_unfinished:
            is_complete = not entry.replaces
        else:
            is_complete = entry.event == "done" and entry.bytes == size
        return is_complete and entry.identity == job.identity and self._is_same_photo(job, entry)

    def _is_same_photo(self, job: BatchJob, entry: RecordEntry) -> bool:
        """Tell whether the photo has not changed since the record was written."""
        if job.stamp is None or entry.stamp == job.stamp:
            return job.stamp is not None
        try:
            return entry.sha256 == hash_place(job.photo)
        except ImpastoError:
            return False
