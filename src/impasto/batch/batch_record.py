"""Keep the record of a batch: JSON Lines, appended while the batch runs.

Every line reaches the disk before the batch continues. A kill at any moment therefore loses only
the jobs that were running. Incomplete lines are ignored. The last line about an output counts.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto._version import __version__
from impasto.batch.batch_job import BatchJob, Outcome
from impasto.errors import InputError, ResourceError, is_disk_full
from impasto.image.files.atomic import lock_file

RECORD_NAME = "impasto-batch.jsonl"
HEADER = {"event": "batch", "format": 1, "impasto": __version__}


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """The last line about an output.

    Attributes:
        event: ``begun`` means that the end of the job was not recorded.
        sha256: hash of the photo's file. None: it was not read.
        stamp, identity: as in :class:`BatchJob`.
        bytes: size of the output.
        replaces: the job replaced an existing output.
    """

    event: Literal["begun", "done", "failed"]
    sha256: str | None
    stamp: str | None
    identity: str
    bytes: int
    replaces: bool

    @property
    def is_unfinished(self) -> bool:
        """Whether the job was begun, but its end was not recorded."""
        return self.event == "begun"


class BatchRecord:
    """The record of a batch, open in one process at a time."""

    def __init__(self, path: Path, *, only_read: bool = False) -> None:
        """Read the record and lock it.

        Args:
            path: path of the file. It need not exist.
            only_read: do not write to the record and do not lock it.

        Raises:
            InputError: the file is not a record, or another batch is using it.
            ResourceError: the file cannot be read or written.
        """
        self.path = path
        self._entries: dict[str, RecordEntry] = {}
        self._described: set[str] = set()
        self._running: set[str] = set()
        self._file: Any = None
        self._is_torn = False
        try:
            if not only_read:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a+b")
                self._lock()
            elif path.exists():
                self._file = path.open("rb")
            if self._file is not None:
                self._file.seek(0)
                self._read(repair=not only_read)
        except OSError as error:
            raise self._translate_error(error) from None

    def close(self) -> None:
        """Close the file, which ends the lock."""
        if self._file is not None:
            self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def find_entry(self, key: str) -> RecordEntry | None:
        """Return the last entry of an output. None: it is not in the record."""
        return self._entries.get(key)

    def list_unfinished(self) -> list[str]:
        """List the outputs that were begun, but whose end was not recorded."""
        return [key for key, entry in self._entries.items() if entry.is_unfinished]

    def is_running(self, key: str) -> bool:
        """Tell whether this process has begun an output and not ended it yet."""
        return key in self._running

    def describe(self, identity: str, what: dict[str, Any]) -> None:
        """Write what an identity stands for, once per identity."""
        if identity not in self._described:
            self._append({"event": "recipe", "recipe": identity, **what})
            self._described.add(identity)

    def note_start(self, job: BatchJob) -> None:
        """Write that a job is about to be handed to a worker."""
        self._note("begun", job, {"replaces": job.replaces})
        self._running.add(job.key)

    def note_end(self, outcome: Outcome) -> None:
        """Write the outcome of a job."""
        self._note(outcome.event, outcome.job, outcome.list_figures())
        self._running.discard(outcome.job.key)

    def _note(self, event: str, job: BatchJob, more: dict[str, Any]) -> None:
        line = {
            "event": event,
            "output": job.key,
            "photo": job.photo,
            "recipe": job.identity,
            "stamp": job.stamp,
            **more,
        }
        self._append(line)
        self._entries[job.key] = _parse_entry(line)

    def _append(self, line: dict[str, Any]) -> None:
        try:
            self._write(line)
        except OSError as error:
            raise self._translate_error(error) from None

    def _write(self, line: dict[str, Any]) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # json.dumps escapes to ASCII: a file name may contain bytes that are not valid text.
        text = json.dumps({**line, "at": now}) + "\n"
        self._file.write(b"\n" * self._is_torn + text.encode("ascii"))
        self._is_torn = False
        self._file.flush()
        os.fsync(self._file.fileno())

    def _lock(self) -> None:
        if not lock_file(self._file):
            self._file.close()
            raise InputError(
                "another batch is using this record; wait until it has ended", where=self.path
            )

    def _read(self, *, repair: bool) -> None:
        line = self._file.readline()
        if line and not _is_header(line):
            self._file.close()
            raise InputError(
                "not the record of a batch; choose another `record` file",
                where=self.path,
                field="record",
            )
        has_header = line.endswith(b"\n")
        for line in self._file:
            try:
                data = json.loads(line)
                if data["event"] == "recipe":
                    self._described.add(str(data["recipe"]))
                elif data["event"] in ("begun", "done", "failed"):
                    self._entries[str(data["output"])] = _parse_entry(data)
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # an incomplete line
        self._is_torn = bool(line) and not line.endswith(b"\n")
        if repair and not has_header:  # a new record, or one whose header was cut short by a kill
            self._file.truncate(0)
            self._is_torn = False
            self._write(HEADER)

    def _translate_error(self, error: OSError) -> ResourceError:
        reason = "the disk is full" if is_disk_full(error) else error.strerror or str(error)
        return ResourceError(f"cannot be used as the record ({reason})", where=self.path)


def _parse_entry(line: dict[str, Any]) -> RecordEntry:
    return RecordEntry(
        event=line["event"],
        sha256=line.get("sha256"),
        stamp=line.get("stamp"),
        identity=str(line["recipe"]),
        bytes=int(line.get("bytes", 0)),
        replaces=line.get("replaces") is True,
    )


def _is_header(line: bytes) -> bool:
    begin = b'{"event": "batch", "format": 1,'
    return line.startswith(begin) or (not line.endswith(b"\n") and begin.startswith(line))
