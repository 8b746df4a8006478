"""The data folder: one lock, one table, and a folder a job with names that the server chose."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import lock_file, remove_orphans

ID = re.compile(r"[0-9a-f]{32}")
PHOTO, CLIP, START, RESULT = "photo", "clip", "start.png", "result.png"
FRAMES, SHEET_FRAMES, SHEET = "frames", "sheet.frames", "sheet.png"
"""Of a clip: folders of the frames that are done, and the contact sheet of its preview."""
PREVIEW, THUMBNAIL, CHECKPOINT = "preview.jpg", "thumbnail.jpg", "checkpoint"


def style_file(place: int) -> str:
    """Name of a painting's file in its job's folder."""
    return f"style-{place}"


def mask_file(place: int) -> str:
    """Likewise of a mask of the photo."""
    return f"mask-{place}"


def style_mask_file(place: int) -> str:
    """Likewise of the mask of a painting."""
    return f"style-mask-{place}"


def view_file(name: str) -> str:
    """What a browser is shown of an uploaded picture."""
    return f"{name}.view"


class Folder:
    """Where everything is that outlives the server."""

    def __init__(self, path: Path) -> None:
        """Make the folder if it is not there; nobody else of the machine may look into it.

        Raises:
            ResourceError: it cannot be made or written to.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for part in (self.jobs, self.staging):
                part.mkdir(exist_ok=True, mode=0o700)
            self.table.touch(mode=0o600)  # the folder may be one that others can look into
        except OSError as error:
            raise ResourceError(f"{path}: cannot be used as data folder ({error.strerror})") from (
                None
            )

    @property
    def table(self) -> Path:
        """The queue's file."""
        return self.path / "queue.sqlite"

    @property
    def jobs(self) -> Path:
        """The folder of jobs."""
        return self.path / "jobs"

    @property
    def staging(self) -> Path:
        """The folder of what is being uploaded."""
        return self.path / "staging"

    def of(self, job: str) -> Path:
        """The folder of a job, whose id is the server's own."""
        return self.jobs / job

    @contextlib.contextmanager
    def new(self) -> Iterator[tuple[str, Path]]:
        """A new id and a folder to upload to, which is gone afterwards if it was not kept."""
        job = uuid.uuid4().hex
        place = self.staging / job
        place.mkdir(mode=0o700)
        try:
            yield job, place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def keep(self, job: str) -> None:
        """Make what was uploaded the folder of a job, on the disk before the queue knows of it."""
        place = self.staging / job
        for path in (*place.iterdir(), place):
            _flush(path)
        place.rename(self.of(job))
        _flush(self.jobs)

    def discard(self, job: str) -> None:
        """Remove the folder of a job."""
        shutil.rmtree(self.of(job), ignore_errors=True)

    def tidy(self, known: Iterable[str]) -> None:
        """At the start of a server: remove what kills have left behind."""
        for path in self.staging.iterdir():
            shutil.rmtree(path, ignore_errors=True)
        jobs = set(known)
        for path in self.jobs.iterdir():
            if path.name in jobs:
                remove_orphans(path)
            else:
                shutil.rmtree(path, ignore_errors=True)

    def size(self, job: str) -> int:
        """Bytes of a job's files."""
        total = 0
        for path in self.of(job).rglob("*"):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def lock(self) -> BinaryIO:
        """Take the folder for this server, as long as the file that comes back is open.

        Raises:
            InputError: another server has it.
        """
        file = (self.path / "lock").open("wb")
        if not lock_file(file):
            file.close()
            raise InputError(
                f"{self.path}: another `impasto serve` uses this folder; "
                "choose another `data` folder",
                field="data",
            )
        return file


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, outlive the machine."""
    if os.name == "nt":  # which does so only for files that are being written
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def copy(source: Path, target: Path) -> None:
    """A file under another name too; its bytes only where the disk cannot share them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
