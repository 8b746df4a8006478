"""The pictures of a request, put into a folder from wherever they come."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shutil
from pathlib import Path

from starlette.datastructures import UploadFile

from impasto.studio.http.schema import Data, JobRequest, OfJob, OfStyle, Source, Upload
from impasto.studio.http.views import has_result
from impasto.studio.page.examples import painting
from impasto.studio.problems import Problem
from impasto.studio.queue import folder as files
from impasto.studio.queue.folder import Folder
from impasto.studio.queue.queue import Queue


class Stager:
    """Puts the pictures of a request into a folder, and remembers what they were."""

    def __init__(
        self, folder: Folder, queue: Queue, parts: dict[str, list[UploadFile]], place: Path
    ) -> None:
        """Nothing is staged yet.

        Args:
            folder, queue: of earlier jobs.
            parts: files of the request, by the name of their part.
            place: the folder to fill.
        """
        self._folder = folder
        self._queue = queue
        self._parts = parts
        self._place = place
        self._hashes: list[str] = []

    def put(self, source: Source, part: str, file: str) -> str:
        """Stage a picture; what the client calls it.

        Raises:
            Problem: there is no such picture.
        """
        target = self._place / file
        if isinstance(source, Data):
            name = file
            try:
                target.write_bytes(base64.b64decode(source.data, validate=True))
            except (binascii.Error, ValueError):
                raise Problem("bad_input", f"{file}: not base64") from None
        elif isinstance(source, OfStyle):
            found = painting(source.style_name)
            name = found.path.name
            shutil.copyfile(found.path, target)
        elif isinstance(source, OfJob):
            name = self._of_job(source, target)
        else:
            name = self._upload(source, part, target)
        with target.open("rb") as data:
            self._hashes.append(f"{file} {hashlib.file_digest(data, 'sha256').hexdigest()}")
        return name

    def _upload(self, source: Upload, part: str, target: Path) -> str:
        given = self._parts.get(part, [])
        if source.file >= len(given):
            raise Problem("bad_input", f"{part}: there is no part {source.file}")
        upload = given[source.file]
        upload.file.seek(0)
        with target.open("wb") as file:
            shutil.copyfileobj(upload.file, file, 1 << 20)
        return display_name(upload.filename) or target.name

    def _of_job(self, source: OfJob, target: Path) -> str:
        row = self._queue.get(source.job)
        what, _, number = source.what.partition("/")
        file = {
            "photo": files.PHOTO,
            "clip": files.CLIP,
            "init": files.START,
            "result": files.RESULT,
            "preview": files.PREVIEW,
            "style": files.style_file(int(number or 0)),
            "mask": files.mask_file(int(number or 0)),
        }[what]
        path = self._folder.of(row.id) / file
        if what == "mask" and not path.is_file():  # it was found and not sent
            path = path.with_name(files.view_file(path.name))
        if not path.is_file() or (what == "result" and not has_result(row, path.parent)):
            raise Problem("no_result", f"the job {row.id} has no {source.what}")
        files.copy(path, target)
        names = {"photo": row.spec.names[0], "clip": row.spec.names[0]}
        names |= {f"style/{place}": name for place, name in enumerate(row.spec.names[1:])}
        return names.get(source.what, file)

    def digest(self, job: JobRequest) -> str:
        """Of the request and all its pictures."""
        sent = [job.model_dump_json(), *self._hashes]
        return hashlib.sha256("\n".join(sent).encode()).hexdigest()


def display_name(name: str | None) -> str:
    """A file's name of a client's: without folders, and nothing in it that does not print."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(letter for letter in last if letter.isprintable()).strip()[:100]
