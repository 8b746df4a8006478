"""From what was found to what is to be made: names, what is done already, what collides."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from impasto.batch.batch_job import Job, Outcome
from impasto.batch.batch_record import Entry, Record
from impasto.batch.sources import places
from impasto.batch.sources.manifest import Row, respelled
from impasto.batch.sources.search import Found
from impasto.batch.ways import Ways, files_of, sha256_of
from impasto.errors import ImpastoError, InputError, format_count


@dataclass
class Plan:
    """What there is to do.

    Attributes:
        jobs: to be made, in order.
        done: outputs that are there, of the same photo and recipe.
        saved: those of them whose writing the record did not live to see.
        changed: outputs that are there, of another photo or recipe, and are left as they are.
        ours: photos passed over, for they are outputs of this batch.
        running: outputs that are being made right now.
    """

    jobs: list[Job] = field(default_factory=list)
    done: int = 0
    saved: list[Outcome] = field(default_factory=list)
    changed: list[Job] = field(default_factory=list)
    ours: int = 0
    running: int = 0


class Planner:
    """Makes jobs, for one output folder and its record."""

    def __init__(
        self,
        output: str,
        record: Record,
        ways: Ways,
        *,
        suffix: str = ".png",
        full_names: bool = False,
        force: bool = False,
        absolute: bool = False,
    ) -> None:
        """Read nothing yet.

        Args:
            output: folder, by path or URL.
            record: of what was done there.
            ways: how pictures are made.
            suffix: of outputs that have no name of their own.
            full_names: whether they keep the photo's extension before that.
            force: whether outputs that are there, but of something else, are made again.
            absolute: whether jobs name files in full, for workers that are elsewhere.
        """
        self._spelled = places.absolute if absolute else str
        self._output = self._spelled(output)
        self._record = record
        self._ways = ways
        self._suffix = suffix
        self._full_names = full_names
        self._force = force
        self._stored: dict[str, int] | None = None
        self._real: dict[str, str] = {}
        self._taken: dict[str, Job] = {}
        self._folders: set[str] = set()

    def plan(self, found: Iterable[Found | Row]) -> Plan:
        """What is to be made of photos that were found.

        Raises:
            InputError: two of them would become one output, an output would replace an original or
                is there and not of this batch, or a painting cannot be read.
        """
        plan, seen, originals = Plan(), set[str](), set[str]()
        self._stored = None
        if places.is_url(self._output):  # in a few requests rather than one for each
            self._stored = {each.name: each.size for each in places.listing(self._output)}
        foreign: list[str] = []
        for each in found:
            if self._is_ours(each.photo):
                plan.ours += 1
                continue
            job = self._job(each)
            self._take(job)
            if job.key not in seen:  # a list may name a photo twice
                seen.add(job.key)
                originals.update(map(self._key, (job.photo, *job.styles, *files_of(job))))
                self._sort(job, plan, foreign)
        if foreign:
            raise InputError(
                f"{format_count(len(foreign), 'output')} not in this batch's record would be "
                f"replaced, such as {foreign[0]}; `overwrite` allows it",
                field="overwrite",
            )
        for job in (*plan.jobs, *plan.changed):
            if self._key(job.output) in originals:
                raise InputError(f"{job.output}: is an input, originals are never replaced")
        return plan

    def _job(self, found: Found | Row) -> Job:
        row = found if isinstance(found, Row) else None
        way, key = self._ways.of(row), self._name(found, row)
        return Job(
            key=key,
            photo=self._spelled(found.photo),
            styles=tuple(map(self._spelled, way.styles)),
            output=places.joined(self._output, key),
            recipe=way.recipe,
            identity=way.identity,
            stamp=found.stamp or places.stamp(found.photo),
            masks=tuple(respelled(each, self._spelled) for each in way.masks),
            style_masks=tuple(respelled(each, self._spelled) for each in way.style_masks),
        )

    def _name(self, found: Found | Row, row: Row | None) -> str:
        if row and row.output:
            named = PurePosixPath(row.output)
            return str(named if named.suffix else named.with_name(named.name + self._suffix))
        place = PurePosixPath(found.place)
        stem = place.name if self._full_names else place.stem
        if row and row.styles:
            stem = "-".join([stem, *(PurePosixPath(each).stem for each in row.styles)])
        return str(place.with_name(stem + self._suffix))

    def describe(self, job: Job) -> None:
        """Write out in the record what the identity of a job stands for."""
        self._record.describe(job.identity, self._ways.described(job.identity))

    def _key(self, place: str) -> str:
        """One spelling of a place, links followed."""
        if places.is_url(place):
            return place.rstrip("/")
        folder, name = os.path.split(place)
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder or ".")
        here = os.path.join(self._real[folder], name)  # noqa: PTH118 -- thrice as fast
        return os.path.realpath(here) if name in ("", ".", "..") or os.path.islink(here) else here  # noqa: PTH114

    def _is_ours(self, photo: str) -> bool:
        """Whether a file is an output of this batch."""
        if places.is_url(photo) != places.is_url(self._output):
            return False
        below = self._key(self._output) + ("/" if places.is_url(photo) else os.sep)
        photo = self._key(photo)
        return photo.startswith(below) and photo.removeprefix(below) in self._record

    def _take(self, job: Job) -> None:
        """The name, which on some file systems is that of others in other letters."""
        name = unicodedata.normalize("NFC", job.key).casefold()
        other = self._taken.setdefault(name, job)
        same = other is job or self._key(other.photo) == self._key(job.photo)
        if not same or other.identity != job.identity:
            clash = f"{other.photo} and {job.photo} would both become {job.output}"
            if same:
                raise InputError(f"{clash}: give the rows different outputs", field="output")
            raise InputError(
                f"{clash}: `full_names` keeps their extensions, or rename one", field="full_names"
            )
        above = set(map(str, PurePosixPath(name).parents))
        self._folders |= above
        if name in self._folders or not above.isdisjoint(self._taken):
            raise InputError(f"{job.output}: would be a picture, and a folder of others")

    def _sort(self, job: Job, plan: Plan, foreign: list[str]) -> None:
        if self._record.is_running(job.key):
            plan.running += 1
            return
        entry, there = self._record.last(job.key), self._size(job)
        if there is None:
            plan.jobs.append(job)
        elif entry is not None and self._is_done(job, entry, there):
            plan.done += 1
            if entry.in_flight:
                plan.saved.append(Outcome(job, sha256=sha256_of(job.photo), bytes=there))
        elif self._force:
            plan.jobs.append(replace(job, replaces=True))
        elif entry is None:
            foreign.append(job.output)
        else:
            plan.changed.append(job)

    def _size(self, job: Job) -> int | None:
        return places.size(job.output) if self._stored is None else self._stored.get(job.key)

    def _is_done(self, job: Job, entry: Entry, there: int) -> bool:
        """Whether an output of some size is what the job would make.

        One that was begun where none was before, and is there, is whole: the batch was killed
        between the writing of it and of the record.
        """
        if entry.in_flight:
            finished = not entry.replaces
        else:
            finished = entry.event == "done" and entry.bytes == there
        return finished and entry.identity == job.identity and self._is_same(job, entry)

    def _is_same(self, job: Job, entry: Entry) -> bool:
        """Whether the photo is what it was when the record was written."""
        if job.stamp is None or entry.stamp == job.stamp:
            return job.stamp is not None
        try:
            return entry.sha256 == sha256_of(job.photo)
        except ImpastoError:
            return False
