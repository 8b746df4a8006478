"""Stage the pictures of a request: put them into a folder, wherever they come from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from impasto.studio.http.request.picture_sources import SourceContext
from impasto.studio.http.schema import JobRequest, PaintingSource


class Stager:
    """Puts the pictures of a request into a folder, and remembers their hashes."""

    def __init__(self, context: SourceContext, place: Path) -> None:
        """Prepare to fill a folder.

        Args:
            context: what the pictures are taken from.
            place: the folder to fill.
        """
        self._context = context
        self._place = place
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
        name = source.stage(self._context, part, target)
        with target.open("rb") as staged:
            self._hashes.append(f"{file} {hashlib.file_digest(staged, 'sha256').hexdigest()}")
        return name

    def hash_request(self, job: JobRequest) -> str:
        """Return the SHA-256 of the request and all its pictures."""
        parts = [job.model_dump_json(), *self._hashes]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
