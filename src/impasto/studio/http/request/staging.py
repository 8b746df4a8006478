"""Stage the pictures of a request: put them into a folder, wherever they come from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shutil
from pathlib import Path

from starlette.datastructures import UploadFile

from impasto.studio.http.drawings import draw_file
from impasto.studio.http.routes.job_views import has_result
from impasto.studio.http.schema import (
    Data,
    JobRequest,
    OfDrawing,
    OfJob,
    OfStyle,
    PaintingSource,
    Upload,
)
from impasto.studio.page.example_paintings import find_painting
from impasto.studio.problems import Problem
from impasto.studio.queue import job_files
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.job_queue import JobQueue
from impasto.words.word_styles import choose_drawing_size


class Stager:
    """Puts the pictures of a request into a folder, and remembers their hashes."""

    def __init__(
        self,
        folder: DataFolder,
        queue: JobQueue,
        parts: dict[str, list[UploadFile]],
        place: Path,
        result: int | None = None,
    ) -> None:
        """Prepare to fill a folder.

        Args:
            folder: the data folder.
            queue: the queue in that folder.
            parts: files of the request, by the names of their parts.
            place: the folder to fill.
            result: longer side of the result in pixels. None: unknown.
        """
        self._folder = folder
        self._queue = queue
        self._parts = parts
        self._place = place
        self._result = result
        self._hashes: list[str] = []

    def put(self, source: PaintingSource, part: str, file: str) -> str:
        """Stage a picture.

        Args:
            source: where it comes from.
            part: name of its part, if it is an upload.
            file: name of its file in the folder.

        Returns:
            The client's name for it.

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
            painting = find_painting(source.style_name)
            name = painting.path.name
            shutil.copyfile(painting.path, target)
        elif isinstance(source, OfDrawing):
            name, data = draw_file(source.words, choose_drawing_size(self._result))
            target.write_bytes(data)
        elif isinstance(source, OfJob):
            name = self._put_file_of_job(source, target)
        else:
            name = self._put_upload(source, part, target)
        with target.open("rb") as staged:
            self._hashes.append(f"{file} {hashlib.file_digest(staged, 'sha256').hexdigest()}")
        return name

    def _put_upload(self, source: Upload, part: str, target: Path) -> str:
        uploads = self._parts.get(part, [])
        if source.file >= len(uploads):
            raise Problem(
                "bad_input",
                f"{part}: there is no part {source.file}; the request has {len(uploads)}",
            )
        upload = uploads[source.file]
        upload.file.seek(0)
        with target.open("wb") as file:
            shutil.copyfileobj(upload.file, file, 1 << 20)
        return clean_name(upload.filename) or target.name

    def _put_file_of_job(self, source: OfJob, target: Path) -> str:
        row = self._queue.get(source.job)
        what, _, number = source.what.partition("/")
        file = {
            "photo": job_files.PHOTO,
            "clip": job_files.CLIP,
            "init": job_files.START,
            "result": job_files.RESULT,
            "preview": job_files.PREVIEW,
            "style": job_files.name_style(int(number or 0)),
            "mask": job_files.name_mask(int(number or 0)),
        }[what]
        path = self._folder.locate(row.id) / file
        if what == "mask" and not path.is_file():  # a word found it
            path = path.with_name(job_files.name_view(path.name))
        if not path.is_file() or (what == "result" and not has_result(row, path.parent)):
            raise Problem("no_result", f"the job {row.id} has no {source.what}")
        job_files.link_or_copy(path, target)
        names = {"photo": row.spec.names[0], "clip": row.spec.names[0]}
        names |= {f"style/{place}": name for place, name in enumerate(row.spec.names[1:])}
        return names.get(source.what, file)

    def hash_request(self, job: JobRequest) -> str:
        """Return the SHA-256 of the request and all its pictures."""
        parts = [job.model_dump_json(), *self._hashes]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def clean_name(name: str | None) -> str:
    """Return a client's file name without folders and without characters that do not print."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(letter for letter in last if letter.isprintable()).strip()[:100]
