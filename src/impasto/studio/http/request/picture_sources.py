"""Define where a picture of a request comes from, and put it into a folder from there."""

from __future__ import annotations

import base64
import binascii
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field
from starlette.datastructures import UploadFile

from impasto.studio.http.drawings import draw_file
from impasto.studio.http.message import JobId, Message
from impasto.studio.page.example_paintings import find_painting
from impasto.studio.problems import Problem
from impasto.studio.queue import job_files
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.job_rows import has_result
from impasto.studio.settings import MAX_PICTURES
from impasto.words.word_styles import choose_drawing_size


@dataclass(frozen=True)
class SourceContext:
    """What the pictures of a request are taken from.

    Attributes:
        folder: the data folder.
        queue: the queue in that folder.
        parts: files of the request, by the names of their parts.
        result: longer side of the result in pixels. None: unknown.
    """

    folder: DataFolder
    queue: JobQueue
    parts: Mapping[str, Sequence[UploadFile]]
    result: int | None = None


class Data(Message):
    """A picture inside the request."""

    data: str
    """The file in base64."""

    def stage(self, context: SourceContext, part: str, target: Path) -> str:  # noqa: ARG002
        """Write the picture to a file, and return the client's name for it.

        Args:
            context: what the request's pictures are taken from.
            part: name of its part, if it is an upload.
            target: the file.

        Raises:
            Problem: there is no such picture.
        """
        try:
            target.write_bytes(base64.b64decode(self.data, validate=True))
        except (binascii.Error, ValueError):
            raise Problem("bad_input", f"{target.name}: not base64") from None
        return target.name


class Upload(Message):
    """A file part of the same multipart request."""

    file: Annotated[int, Field(ge=0, lt=MAX_PICTURES)]
    """Position among the parts of its name, from 0."""

    def stage(self, context: SourceContext, part: str, target: Path) -> str:
        """See :meth:`Data.stage`."""
        uploads = context.parts.get(part, [])
        if self.file >= len(uploads):
            raise Problem(
                "bad_input",
                f"{part}: there is no part {self.file}; the request has {len(uploads)}",
            )
        upload = uploads[self.file]
        upload.file.seek(0)
        with target.open("wb") as file:
            shutil.copyfileobj(upload.file, file, 1 << 20)
        return clean_name(upload.filename) or target.name


class OfJob(Message):
    """A picture, or the clip, of an earlier job."""

    job: JobId
    what: Annotated[str, Field(pattern=r"^(photo|clip|init|result|preview|(style|mask)/[0-7])$")]

    def stage(self, context: SourceContext, part: str, target: Path) -> str:  # noqa: ARG002
        """See :meth:`Data.stage`."""
        row = context.queue.get(self.job)
        what, _, number = self.what.partition("/")
        file = {
            "photo": job_files.PHOTO,
            "clip": job_files.CLIP,
            "init": job_files.START,
            "result": job_files.RESULT,
            "preview": job_files.PREVIEW,
            "style": job_files.name_style(int(number or 0)),
            "mask": job_files.name_mask(int(number or 0)),
        }[what]
        path = context.folder.locate(row.id) / file
        if what == "mask" and not path.is_file():  # a word found it
            path = path.with_name(job_files.name_view(path.name))
        if not path.is_file() or (what == "result" and not has_result(row, path.parent)):
            raise Problem("no_result", f"the job {row.id} has no {self.what}")
        job_files.link_or_copy(path, target)
        names = {"photo": row.spec.names[0], "clip": row.spec.names[0]}
        names |= {f"style/{place}": name for place, name in enumerate(row.spec.names[1:])}
        return names.get(self.what, file)


class OfStyle(Message):
    """A painting that ships with impasto."""

    style_name: Annotated[str, Field(max_length=40)]

    def stage(self, context: SourceContext, part: str, target: Path) -> str:  # noqa: ARG002
        """See :meth:`Data.stage`."""
        path = find_painting(self.style_name).path
        shutil.copyfile(path, target)
        return path.name


class OfDrawing(Message):
    """A painting that impasto draws from words."""

    words: Annotated[str, Field(min_length=1, max_length=500)]
    """English or Chinese, such as ``blue woodcut, bold lines``; see docs/words.md."""

    def stage(self, context: SourceContext, part: str, target: Path) -> str:  # noqa: ARG002
        """See :meth:`Data.stage`."""
        name, data = draw_file(self.words, choose_drawing_size(context.result))
        target.write_bytes(data)
        return name


def clean_name(name: str | None) -> str:
    """Return a client's file name without folders and without characters that do not print."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(letter for letter in last if letter.isprintable()).strip()[:100]
