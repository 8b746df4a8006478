"""The record of a batch: one JSON object a line, appended as things happen.

A line is on the disk before the next thing is done, so that a kill at any moment loses at most what
was in flight; a line that a kill cut short is passed over. Of each output the last line counts.
"""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from impasto._version import __version__
from impasto.batch.batch_job import Job, Outcome
from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import lock_file

NAME = "impasto-batch.jsonl"
HEADER = {"event": "batch", "format": 1, "impasto": __version__}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the record last said of an output.

    Attributes:
        event: ``begun``: nothing since, so that a kill may have come between.
        sha256: of the photo's file, if it was read.
        stamp: of the photo when it was found.
        identity: as :class:`Job` has it.
        bytes: of the output.
        replaces: whether another output was there before.
    """

    event: Literal["begun", "done", "failed"]
    sha256: str | None
    stamp: str | None
    identity: str
    bytes: int
    replaces: bool

    @property
    def in_flight(self) -> bool:
        """Whether its end was not seen."""
        return self.event == "begun"


class Record:
    """Of what was begun and what came of it; open to one process at a time."""

    def __init__(self, path: Path, *, only_read: bool = False) -> None:
        """Read what is there, and keep others from it.

        Args:
            path: of the file, which need not be there.
            only_read: whether nothing will be noted, and others need not be kept from it.

        Raises:
            InputError: it is not a record, or another batch holds it.
            ResourceError: it cannot be read or written.
        """
        self.path = path
        self._entries: dict[str, Entry] = {}
        self._described: set[str] = set()
        self._running: set[str] = set()
        self._file: Any = None
        self._torn = False
        try:
            if not only_read:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a+b")
                self._hold()
            elif path.exists():
                self._file = path.open("rb")
            if self._file is not None:
                self._file.seek(0)
                self._read(complete=not only_read)
        except OSError as error:
            raise self._unusable(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def last(self, key: str) -> Entry | None:
        """What was said of an output last."""
        return self._entries.get(key)

    def in_flight(self) -> list[str]:
        """The outputs that were begun, and whose end was not seen."""
        return [key for key, entry in self._entries.items() if entry.in_flight]

    def is_running(self, key: str) -> bool:
        """Whether an output was begun by this very process, and has not ended."""
        return key in self._running

    def describe(self, identity: str, what: dict[str, Any]) -> None:
        """Write out once what the hash of a recipe and its paintings stands for."""
        if identity not in self._described:
            self._append({"event": "recipe", "recipe": identity, **what})
            self._described.add(identity)

    def begun(self, job: Job) -> None:
        """A job is about to be handed to a worker."""
        self._note("begun", job, {"replaces": job.replaces})
        self._running.add(job.key)

    def ended(self, outcome: Outcome) -> None:
        """A job has come to an end."""
        self._note(outcome.name, outcome.job, outcome.figures())
        self._running.discard(outcome.job.key)

    def _note(self, event: str, job: Job, more: dict[str, Any]) -> None:
        line = {
            "event": event,
            "output": job.key,
            "photo": job.photo,
            "recipe": job.identity,
            "stamp": job.stamp,
            **more,
        }
        self._append(line)
        self._entries[job.key] = _entry(line)

    def _append(self, line: dict[str, Any]) -> None:
        try:
            self._write(line)
        except OSError as error:
            raise self._unusable(error) from None

    def _write(self, line: dict[str, Any]) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # ASCII, for a file's name may hold bytes that are no text.
        text = json.dumps({**line, "at": now}) + "\n"
        self._file.write(b"\n" * self._torn + text.encode("ascii"))
        self._torn = False
        self._file.flush()
        os.fsync(self._file.fileno())

    def _hold(self) -> None:
        if not lock_file(self._file):
            self._file.close()
            raise InputError(
                f"{self.path}: another batch is at work with this record: wait for its end"
            )

    def _read(self, *, complete: bool) -> None:
        line = self._file.readline()
        if line and not _is_header(line):
            self._file.close()
            raise InputError(
                f"{self.path}: not the record of a batch; choose another `record` file",
                field="record",
            )
        ours = line.endswith(b"\n")
        for line in self._file:
            try:
                data = json.loads(line)
                if data["event"] == "recipe":
                    self._described.add(str(data["recipe"]))
                elif data["event"] in ("begun", "done", "failed"):
                    self._entries[str(data["output"])] = _entry(data)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # cut short
        self._torn = bool(line) and not line.endswith(b"\n")
        if complete and not ours:  # new, or a kill came while it was begun
            self._file.truncate(0)
            self._torn = False
            self._write(HEADER)

    def _unusable(self, error: OSError) -> ResourceError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        return ResourceError(f"{self.path}: cannot be used as the record ({reason})")


def _entry(line: dict[str, Any]) -> Entry:
    return Entry(
        line["event"],
        line.get("sha256"),
        line.get("stamp"),
        str(line["recipe"]),
        int(line.get("bytes", 0)),
        line.get("replaces") is True,
    )


def _is_header(line: bytes) -> bool:
    begin = b'{"event": "batch", "format": 1,'
    return line.startswith(begin) or (not line.endswith(b"\n") and begin.startswith(line))
