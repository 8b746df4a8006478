"""Own the data folder: one lock, one table, and a folder for each job."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import (
    flush_folder,
    lock_file,
    open_without_link,
    report_write_errors,
)
from impasto.studio.queue.disk_reserve import DiskReserve
from impasto.studio.queue.job_rows import ID
from impasto.studio.queue.job_table import find_damage, inspect_table
from impasto.studio.queue.ownership import (
    JOB_FILE,
    JobMark,
    StudioMark,
    claim_folder,
    is_in_use,
    read_job_mark,
    read_studio_mark,
    write_job_mark,
    write_studio_mark,
)

TRASH_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{32}")
"""Name of a folder in the trash."""
REPAIR = "move it away to have the jobs listed from their folders, or restore an intact copy"

log = logging.getLogger("impasto.studio")


class DataFolder:
    """Everything that outlives the server.

    The studio touches only what it can prove to be its own. The data folder has a marker, and so
    has each folder of a job or an upload, which also names the data folder. Anything else stays.
    """

    def __init__(self, path: Path) -> None:
        """Open a data folder, or make one that no other user of the machine can read.

        A folder that holds other files becomes a data folder beside them if none of them has a
        name that the studio uses; otherwise it is refused. A data folder of version 0.1, which has
        a table and no marker, is adopted.

        Raises:
            InputError: it is a file; or the folder, or its table, is not the studio's, or a newer
                impasto wrote it.
            ResourceError: it cannot be made or written to.
        """
        self.path = path
        self.reserve = DiskReserve(path / ".impasto-reserve")
        self._staged: set[str] = set()
        try:
            is_new = not path.exists()
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if is_new:
                flush_folder(path.parent)
            self._mark = read_studio_mark(path) or self._claim()
            self._check_table()
            for part in (self.jobs, self.staging, self.trash):
                part.mkdir(exist_ok=True, mode=0o700)
            self.table.touch(mode=0o600)  # others may be able to look into the folder
        except (FileExistsError, NotADirectoryError):
            file = next((each for each in (path, *path.parents) if each.is_file()), path)
            raise InputError(
                "is a file", where=file, expected="a folder for `data`", field="data"
            ) from None
        except OSError as error:
            raise ResourceError(
                f"cannot be used as data folder ({error.strerror})", where=path, field="data"
            ) from None

    def _claim(self) -> StudioMark:
        """Mark a folder that has no marker yet."""
        table = inspect_table(self.table)
        names = (self.jobs, self.staging, self.trash, self.clock, self._lock_file)
        foreign = [path.name for path in names if is_in_use(path)]
        if table == "foreign":
            foreign.append(self.table.name)
        if foreign and table != "own":
            raise InputError(
                f"holds {', '.join(foreign)} but is no data folder of the studio; "
                f"choose a new or empty folder, or put {self.table.name} back if it was moved away",
                where=self.path,
            )
        return claim_folder(self.path, StudioMark(uuid.uuid4().hex, is_adopting=table == "own"))

    def _check_table(self) -> None:
        if inspect_table(self.table, is_own=True) == "foreign":
            raise InputError(f"damaged, or not the studio's table; {REPAIR}", where=self.table)
        if is_in_use(self.table):
            return
        # SQLite would delete the log, and with it what it holds of the table that was moved away.
        rest = self.table.with_name(f"{self.table.name}-wal")
        if is_in_use(rest):
            raise InputError(
                f"its table {self.table.name} is missing; put the table back, or move this "
                "file away as well to have the jobs listed from their folders",
                where=rest,
            )

    def check_integrity(self) -> None:
        """Check the whole table, as the server does before it opens the table.

        Raises:
            InputError: it is damaged.
        """
        damage = find_damage(self.table)
        if damage is not None:
            raise InputError(f"damaged ({damage}); {REPAIR}", where=self.table)

    @property
    def table(self) -> Path:
        """File of the queue."""
        return self.path / "queue.sqlite"

    @property
    def jobs(self) -> Path:
        """Folder of the jobs."""
        return self.path / "jobs"

    @property
    def staging(self) -> Path:
        """Folder of uploads that are not jobs yet."""
        return self.path / "staging"

    @property
    def trash(self) -> Path:
        """Folder of what expired a short while ago."""
        return self.path / "trash"

    @property
    def clock(self) -> Path:
        """File of the trusted clock."""
        return self.path / "clock.json"

    @property
    def token(self) -> Path:
        """File of the token, where the server has made one."""
        return self.path / ".impasto-token"

    @property
    def _lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def is_adopting(self) -> bool:
        """Whether the folder is one of version 0.1, whose jobs have no markers yet."""
        return self._mark.is_adopting

    @property
    def id(self) -> str:
        """Random id of the data folder, which the markers of its own folders name."""
        return self._mark.studio

    def locate(self, job: str) -> Path:
        """Return the folder of a job."""
        return self.jobs / job

    def read_mark(self, path: Path) -> JobMark | None:
        """Read the marker of a folder in jobs, staging or trash. None: it is not the studio's."""
        pattern = TRASH_NAME if path.parent == self.trash else ID
        if not pattern.fullmatch(path.name):
            return None
        job, mark = path.name[-32:], read_job_mark(path)
        return mark if mark is not None and (mark.studio, mark.job) == (self.id, job) else None

    def make(self, place: Path) -> None:
        """Make an empty folder of the studio's own, which is named with an id."""
        place.mkdir(mode=0o700)
        try:
            write_job_mark(place, JobMark(self.id, place.name))
        except ResourceError:
            place.rmdir()
            raise

    @contextlib.contextmanager
    def stage(self) -> Iterator[tuple[str, Path]]:
        """Hold a new id and a folder for uploads, which is deleted unless it is accepted."""
        job = uuid.uuid4().hex
        place = self.staging / job
        self._staged.add(job)
        try:
            self.make(place)
            try:
                yield job, place
            finally:
                self.erase(place)
        finally:
            self._staged.discard(job)

    def list_own(self) -> list[tuple[Path, JobMark]]:
        """Return the folders of the studio's own in jobs and staging that no request is filling."""
        paths = [*self.jobs.iterdir(), *self.staging.iterdir()]
        staged = set(self._staged)  # afterwards, so that none of them is missing
        marks = [(path, self.read_mark(path)) for path in sorted(paths)]
        return [(path, mark) for path, mark in marks if mark and mark.job not in staged]

    def accept(self, job: str) -> None:
        """Make an upload the folder of a job, on the disk before the queue lists the job."""
        place = self.staging / job
        for path in (*place.iterdir(), place):
            _flush(path)
        place.rename(self.locate(job))
        _flush(self.jobs)

    def adopt(self, job: str, record: dict[str, Any]) -> None:
        """Mark the folder of a job of version 0.1 as the studio's own."""
        place = self.locate(job)
        if ID.fullmatch(job) and place.is_dir() and not place.is_symlink():
            write_job_mark(place, JobMark(self.id, job, record))

    def end_adoption(self) -> None:
        """Store that all jobs of version 0.1 have their markers."""
        self._mark = replace(self._mark, is_adopting=False)
        write_studio_mark(self.path, self._mark)

    def write_record(self, job: str, record: dict[str, Any]) -> None:
        """Store a job's row in its folder as well; a failure is logged, and the job goes on."""
        self._change_mark(self.locate(job), record=record)

    def mark_deleted(self, job: str, is_deleted: bool = True) -> None:
        """Store that a job is about to be deleted, so that a kill cannot bring it back."""
        self._change_mark(self.locate(job), is_deleted=is_deleted)

    def _change_mark(self, place: Path, **changes: Any) -> None:
        mark = self.read_mark(place)
        if mark is None or mark == replace(mark, **changes):
            return
        try:
            write_job_mark(place, replace(mark, **changes))
        except ResourceError as error:
            log.warning("marker not written", extra={"job": mark.job, "reason": str(error)})

    def delete(self, job: str) -> bool:
        """Delete the folder of a job for good.

        Returns:
            Whether nothing of the studio's own is left.
        """
        place = self.locate(job)
        self.mark_deleted(job)
        # Into the trash first: what cannot be deleted now is deleted from there later.
        target = self._move_to_trash(place, time.time()) or place
        return self.erase(target) or self.read_mark(target) is None

    def discard(self, place: Path, now: float, age: float) -> None:
        """Move a folder of the studio's own to the trash; anything else stays.

        Args:
            place: a folder in jobs or staging.
            now: seconds since 1970, for the name.
            age: :attr:`TrustedClock.age`, from which its time in the trash counts.
        """
        target = self._move_to_trash(place, now)
        if target is not None:
            self.stamp_trash(target, age)

    def _move_to_trash(self, place: Path, now: float) -> Path | None:
        """Return where a folder is now. None: it is missing, not the studio's own, or stuck."""
        if not os.path.lexists(place):
            return None
        if self.read_mark(place) is None:
            log.warning("not the studio's own, not removed", extra={"folder": str(place)})
            return None
        when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(max(0.0, now)))
        target = self.trash / f"{when}-{place.name}"
        try:
            place.rename(target)
        except OSError as error:
            log.warning("not removed", extra={"folder": str(place), "reason": error.strerror})
            return None
        return target

    def stamp_trash(self, place: Path, age: float | None) -> None:
        """Count a folder's time in the trash from now. None: it is no longer in the trash."""
        self._change_mark(place, trashed=age)

    def erase_trash_of(self, job: str) -> bool:
        """Delete what the trash has of a job, and tell whether there was something."""
        places = [place for place in self.trash.glob(f"*-{job}") if self.read_mark(place)]
        for place in places:
            self.erase(place)
        return bool(places)

    def erase(self, place: Path) -> bool:
        """Delete a folder of the studio's own from the disk, and tell whether it is gone.

        Its marker goes last, so that what a kill leaves behind is still known as the studio's.
        """
        mark = self.read_mark(place)
        if mark is None:
            return not os.path.lexists(place)
        try:
            for path in place.iterdir():
                if path.name == JOB_FILE:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            (place / JOB_FILE).unlink()
            place.rmdir()
        except OSError as error:
            log.warning("not removed", extra={"folder": str(place), "reason": error.strerror})
            if place.is_dir() and not (place / JOB_FILE).exists():  # something came in meanwhile
                with contextlib.suppress(ResourceError):
                    write_job_mark(place, mark)
            return False
        return True

    def measure_size(self, job: str) -> int:
        """Return the bytes of a job's files."""
        return measure_folder(self.locate(job))

    def lock(self) -> IO[bytes]:
        """Take the folder for this server, for as long as the returned file is open.

        Raises:
            InputError: another server has it.
            ResourceError: the lock cannot be written.
        """
        with report_write_errors(self._lock_file):
            file = open_without_link(self._lock_file, append=True)
        if not lock_file(file):
            file.close()
            raise InputError(
                "another `impasto serve` uses this folder; choose another `data` folder",
                where=self.path,
                field="data",
            )
        return file


def measure_folder(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _flush(path: Path) -> None:
    """Write a file, or the names in a folder, through to the disk."""
    if os.name == "nt":  # which can do so only for files that are open for writing
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
