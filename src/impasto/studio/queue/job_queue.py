"""Keep the queue that the server and its workers share, and what each may do to a job.

Whoever changes a job names the attempt. A worker whose job was given to another worker can
therefore change nothing.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any, Literal

from impasto.studio.problems import Problem
from impasto.studio.queue.job_rows import ENDED, ID, UNREADABLE, JobRow, JobSpec
from impasto.studio.queue.job_table import JobTable, add_to

MAX_LOSSES = 4
"""Workers that a job may cost without making progress before it fails."""
RECORD_COLUMNS = (
    "id",
    "state",
    "draft",
    "title",
    "spec",
    "key",
    "body",
    "created",
    "started",
    "ended",
    "used",
    "progress",
    "width",
    "height",
    "preview",
    "problem",
)
"""Columns that are also stored in the job's folder, to list the job again if the table is lost."""

_RECORD = ", ".join(RECORD_COLUMNS)
_COUNT_WAITING = "SELECT count(*) FROM jobs WHERE state = 'queued'"
_SELECT_NEXT = "SELECT seq FROM jobs WHERE state = 'queued' ORDER BY draft DESC, seq LIMIT 1"
_SET_QUEUED = (
    "state = CASE asked WHEN 'cancel' THEN 'cancelled' ELSE 'queued' END, "
    "ended = CASE asked WHEN 'cancel' THEN (julianday('now') - 2440587.5) * 86400.0 END, "
    "worker = NULL, version = version + 1"
)
"""Changes of a job that its worker lets go."""


@dataclass(frozen=True)
class NewJob:
    """A job to be added to the queue.

    Attributes:
        id: id of the job; its folder exists already.
        spec: what the job makes.
        draft: whether it goes ahead of others.
        title: the client's title.
        key: idempotency key. None: there is none.
        digest: hash of everything that the client sent.
    """

    id: str
    spec: JobSpec
    draft: bool = False
    title: str = ""
    key: str | None = None
    digest: str = ""


class JobQueue(JobTable):
    """One process's view of the jobs."""

    # What clients do.

    def add(self, job: NewJob, *, max_queue: int) -> tuple[JobRow, bool]:
        """Put a job into the queue.

        Args:
            job: the job.
            max_queue: number of jobs that may wait.

        Returns:
            The row, and whether it is new: a key that is in use brings its own job.

        Raises:
            Problem: the queue is full, or the key belongs to another request.
        """
        with self.change() as base:
            same = base.execute("SELECT * FROM jobs WHERE key = ?", (job.key,)).fetchone()
            if same is not None:
                if same["body"] != job.digest:
                    raise Problem("key_reused", "this Idempotency-Key belongs to another request")
                return JobRow.read(same), False
            _check_room(base, max_queue)
            base.execute(
                "INSERT INTO jobs (id, draft, title, spec, key, body, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    job.id,
                    job.draft,
                    job.title,
                    job.spec.to_json(),
                    job.key,
                    job.digest,
                    time.time(),
                ),
            )
            add_to(base, "accepted")
            row = base.execute("SELECT * FROM jobs WHERE id = ?", (job.id,)).fetchone()
            return JobRow.read(row), True

    def get(self, job: str) -> JobRow:
        """Return a job.

        Raises:
            Problem: there is none.
        """
        rows = self.query("SELECT * FROM jobs WHERE id = ?", job)
        if not rows:
            raise Problem("not_found", "no job has this id")
        return JobRow.read(rows[0])

    def list_newest(self, before: str | None, limit: int) -> list[JobRow]:
        """Return jobs from the newest.

        Args:
            before: id of a job; only earlier ones are returned. None: all are.
            limit: number of jobs.

        Raises:
            Problem: there is no such job.
        """
        seq = 2**62 if before is None else self.get(before).seq
        query = "SELECT * FROM jobs WHERE seq < ? ORDER BY seq DESC LIMIT ?"
        rows = [JobRow.read(row) for row in self.query(query, seq, limit)]
        return [row for row in rows if ID.fullmatch(row.id)]

    def has_key(self, key: str) -> bool:
        """Tell whether a job came with this idempotency key."""
        return bool(self.query("SELECT 1 FROM jobs WHERE key = ?", key))

    def count_waiting(self) -> int:
        """Count the jobs that wait."""
        return int(self.query(_COUNT_WAITING)[0][0])

    def find_position(self, row: JobRow) -> int | None:
        """Count the jobs ahead of one in the queue. None: it does not wait."""
        if row.state != "queued":
            return None
        ahead = self.query(
            "SELECT count(*) FROM jobs WHERE state = 'queued' "
            "AND (draft > ? OR (draft = ? AND seq < ?))",
            row.draft,
            row.draft,
            row.seq,
        )
        return int(ahead[0][0])

    def ask(self, job: str, what: Literal["stop", "cancel"]) -> JobRow:
        """Stop or cancel a job: at once if it waits, otherwise at its next step.

        Raises:
            Problem: there is no such job, or it has ended.
        """
        final = {"stop": "stopped", "cancel": "cancelled"}[what]
        with self.change() as base:
            base.execute(
                "UPDATE jobs SET state = ?, ended = ?, version = version + 1 "
                "WHERE id = ? AND state = 'queued'",
                (final, time.time(), job),
            )
            # A later stop does not undo a cancellation.
            base.execute(
                "UPDATE jobs SET asked = ? "
                "WHERE id = ? AND state = 'running' AND asked IS NOT 'cancel'",
                (what, job),
            )
        row = self.get(job)
        if row.state in ENDED and row.state != final:
            raise Problem("wrong_state", f"the job has ended already: {row.state}")
        return row

    def resume(self, job: str, max_queue: int) -> JobRow:
        """Put a job that was stopped, cancelled or failed back into the queue.

        Raises:
            Problem: there is no such job, its state does not allow this, or the queue is full.
        """
        row = self.get(job)
        with self.change() as base:
            _check_room(base, max_queue)
            changes = base.execute(
                "UPDATE jobs SET state = 'queued', asked = NULL, ended = NULL, problem = NULL, "
                "used = 0, losses = 0, lost_at = -1, version = version + 1 "
                "WHERE id = ? AND state IN ('stopped', 'cancelled', 'failed')",
                (job,),
            ).rowcount
        if not changes:
            raise Problem(
                "wrong_state",
                f"the job is {row.state}; only a stopped, cancelled or failed job can go on",
            )
        return self.get(job)

    def remove(self, job: str) -> bool:
        """Take a job that has ended off the table, and tell whether it was there."""
        with self.change() as base:
            count = base.execute(
                f"DELETE FROM jobs WHERE id = ? AND state IN {ENDED}", (job,)
            ).rowcount
        return bool(count)

    # Deletions. A worker may still write files of its job when a client deletes the job, so the
    # files stay until the worker has let go of it.

    def begin_deletion(self, job: str, *, in_any_state: bool = False) -> bool:
        """Take a job off the table for good; its files are deleted later.

        Args:
            job: id of the job.
            in_any_state: whether it may still wait or run.

        Returns:
            Whether the job was there and could be removed.
        """
        states = "" if in_any_state else f"AND state IN {ENDED}"
        with self.change() as base:
            base.execute(
                "INSERT OR REPLACE INTO deletions (id, worker) "
                "SELECT id, CASE state WHEN 'running' THEN worker END FROM jobs "
                f"WHERE id = ? {states}",
                (job,),
            )
            count = base.execute(f"DELETE FROM jobs WHERE id = ? {states}", (job,)).rowcount
        return bool(count)

    def acknowledge_deletions(self, worker: str | None = None) -> None:
        """Let go of deleted jobs.

        Args:
            worker: who lets go. None: no worker is left at all.
        """
        query = "SELECT 1 FROM deletions WHERE worker = coalesce(?, worker)"
        if self.query(query, worker):  # reading takes no lock
            with self.change() as base:
                base.execute(
                    "UPDATE deletions SET worker = NULL WHERE worker = coalesce(?, worker)",
                    (worker,),
                )

    def list_deletions(self) -> list[str]:
        """Return the ids of deleted jobs whose files can go."""
        return [row["id"] for row in self.query("SELECT id FROM deletions WHERE worker IS NULL")]

    def list_held_deletions(self) -> list[tuple[str, str]]:
        """Return the ids of deleted jobs that workers still have, and the names of the workers."""
        rows = self.query("SELECT id, worker FROM deletions WHERE worker IS NOT NULL")
        return [(row["id"], row["worker"]) for row in rows]

    def end_deletion(self, job: str) -> None:
        """Forget a deletion whose files are gone."""
        with self.change() as base:
            base.execute("DELETE FROM deletions WHERE id = ?", (job,))

    # What workers do.

    def claim(self, worker: str) -> JobRow | None:
        """Give the next job to a worker. None: nothing waits.

        A damaged job fails, and the next one is taken.
        """
        while self.query(_SELECT_NEXT):  # reading takes no lock
            with self.change() as base:
                row = base.execute(
                    "UPDATE jobs SET state = 'running', worker = ?, attempt = attempt + 1, "
                    "started = coalesce(started, ?), used_before = used, version = version + 1 "
                    f"WHERE seq = ({_SELECT_NEXT}) RETURNING *",
                    (worker, time.time()),
                ).fetchone()
                if row is None:
                    return None
                try:
                    return JobRow.parse(row)
                except ValueError:
                    _quarantine(base, row["seq"])
        return None

    def must_yield_to_draft(self, row: JobRow, workers: int) -> bool:
        """Tell whether a running job is to be queued again, for a draft.

        It is if more drafts wait than ``workers`` are free, and the job is among the last of those
        that are no drafts.
        """
        if row.draft:
            return False
        drafts, running, later = self.query(
            "SELECT count(*) FILTER (WHERE state = 'queued' AND draft), "
            "count(*) FILTER (WHERE state = 'running'), "
            "count(*) FILTER (WHERE state = 'running' AND NOT draft AND seq > ?) "
            "FROM jobs WHERE state IN ('queued', 'running')",
            row.seq,
        )[0]
        return drafts > 0 and bool(later < drafts - (workers - running))

    def report(
        self, row: JobRow, progress: dict[str, Any], preview: int | None, used: float
    ) -> str | None:
        """Store a job's progress.

        Args:
            row: the row as it was claimed.
            progress: progress as clients see it.
            preview: iteration of a new preview. None: there is no new one.
            used: seconds worked.

        Returns:
            ``stop`` or ``cancel`` if a client asked for it, ``gone`` if the job is no longer the
            worker's. None: go on.
        """
        with self.change() as base:
            answer = base.execute(
                "UPDATE jobs SET progress = ?, preview = coalesce(?, preview), used = ?, "
                "version = version + 1 WHERE id = ? AND attempt = ? AND state = 'running' "
                "RETURNING asked",
                (json.dumps(progress), preview, used, row.id, row.attempt),
            ).fetchone()
        if answer is None:
            return "gone"
        return None if answer[0] is None else str(answer[0])

    def end(
        self,
        row: JobRow,
        state: str,
        used: float,
        problem: Problem | None = None,
        size: tuple[int, int] | None = None,
    ) -> bool:
        """Store that a job has ended.

        Args:
            row: the row as it was claimed.
            state: one of :data:`ENDED`.
            used: seconds worked.
            problem: why it failed. None: it did not fail.
            size: (width, height) of the result. None: there is no result.

        Returns:
            Whether the job still was the worker's.
        """
        width, height = size or (None, None)
        body = None if problem is None else json.dumps(problem.to_body())
        with self.change() as base:
            changes = base.execute(
                "UPDATE jobs SET state = CASE asked WHEN 'cancel' THEN 'cancelled' ELSE ? END, "
                "problem = ?, ended = ?, used = ?, width = ?, height = ?, asked = NULL, "
                "worker = NULL, version = version + 1 "
                "WHERE id = ? AND attempt = ? AND state = 'running'",
                (state, body, time.time(), used, width, height, row.id, row.attempt),
            ).rowcount
            if changes:
                add_to(base, "seconds", used)
        return bool(changes)

    def requeue(self, row: JobRow, used: float) -> None:
        """Let a job go, to be continued from its checkpoint later."""
        with self.change() as base:
            base.execute(
                f"UPDATE jobs SET {_SET_QUEUED}, used = ? "
                "WHERE id = ? AND attempt = ? AND state = 'running'",
                (used, row.id, row.attempt),
            )

    # What the supervisor of the workers does.

    def list_running(self) -> list[JobRow]:
        """Return the jobs that workers have."""
        return [
            JobRow.read(row) for row in self.query("SELECT * FROM jobs WHERE state = 'running'")
        ]

    def requeue_all(self) -> None:
        """Queue all running jobs again, at the end of a server whose workers were too slow."""
        with self.change() as base:
            base.execute(f"UPDATE jobs SET {_SET_QUEUED} WHERE state = 'running'")

    def release_lost(self, worker: str | None) -> JobRow | None:
        """Queue the job of a worker that died again, or fail it after too many deaths.

        Returns:
            The job. None: the worker had none.
        """
        rows = self.query("SELECT * FROM jobs WHERE state = 'running' AND worker = ?", worker)
        if not rows:
            return None
        row = JobRow.read(rows[0])
        at = 0 if row.progress is None else int(row.progress.get("iteration", 0))
        losses = 1 if at > row.lost_at else row.losses + 1
        if losses >= MAX_LOSSES:
            self.end(
                row, "failed", row.used, Problem("worker_lost", f"{losses} workers died at the job")
            )
        else:
            with self.change() as base:
                base.execute(
                    f"UPDATE jobs SET {_SET_QUEUED}, losses = ?, lost_at = max(lost_at, ?) "
                    "WHERE id = ? AND attempt = ? AND state = 'running'",
                    (losses, at, row.id, row.attempt),
                )
        return row

    def list_ended(self, before: float | None = None, *, drafts: bool = False) -> list[str]:
        """Return the ids of ended jobs, the oldest first.

        Args:
            before: seconds since 1970; only jobs that ended earlier. None: all of them.
            drafts: whether only drafts are returned.
        """
        rows = self.query(
            f"SELECT id FROM jobs WHERE state IN {ENDED} AND ended < ? AND draft >= ? "
            "ORDER BY ended",
            2**62 if before is None else before,
            drafts,
        )
        return [row["id"] for row in rows]

    def list_ids(self) -> set[str]:
        """Return the ids of all jobs."""
        return {row["id"] for row in self.query("SELECT id FROM jobs")}

    # What protects jobs from a damaged or lost table.

    def quarantine_damaged(self) -> int:
        """Fail the jobs whose rows cannot be read, and count them."""
        damaged = []
        for row in self.query("SELECT * FROM jobs"):
            try:
                JobRow.parse(row)
            except ValueError:
                damaged.append(row["seq"])
        if damaged:
            with self.change() as base:
                for seq in damaged:
                    _quarantine(base, seq)
        return len(damaged)

    def read_records(self, job: str | None = None) -> dict[str, dict[str, Any]]:
        """Read what :meth:`restore` needs, by the ids of the jobs.

        Args:
            job: id of one job. None: of all jobs.
        """
        query = "SELECT * FROM jobs WHERE id = coalesce(?, id)"
        records = {}
        for row in self.query(query, job):
            try:
                JobRow.parse(row)
            except ValueError:  # a damaged row is no record
                continue
            records[row["id"]] = {name: row[name] for name in RECORD_COLUMNS}
        return records

    def restore(self, record: dict[str, Any], now: float) -> None:
        """List a job again that the table has lost; a job that had not ended is stopped.

        Args:
            record: a record from :meth:`read_records`.
            now: seconds since 1970, the end of a job that had not ended.

        Raises:
            ValueError: the record describes no job.
        """
        values = {name: record.get(name) for name in RECORD_COLUMNS}
        if values["state"] not in ENDED:
            values |= {"state": "stopped", "ended": now}
        places = ", ".join("?" * len(RECORD_COLUMNS))
        try:
            with self.change() as base:
                if base.execute("SELECT 1 FROM jobs WHERE key = ?", (values["key"],)).fetchone():
                    values["key"] = None
                base.execute(
                    f"INSERT INTO jobs ({_RECORD}) VALUES ({places})", tuple(values.values())
                )
                rows = base.execute("SELECT * FROM jobs WHERE id = ?", (values["id"],))
                JobRow.parse(rows.fetchone())
        except (KeyError, TypeError, AttributeError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.OperationalError):  # a fault of the disk
                raise
            raise ValueError(str(error)) from None


def _check_room(base: sqlite3.Connection, max_queue: int) -> None:
    if base.execute(_COUNT_WAITING).fetchone()[0] >= max_queue:
        raise Problem("queue_full", f"{max_queue} jobs are waiting already")


def _quarantine(base: sqlite3.Connection, seq: int) -> None:
    """Fail a damaged job, so that nobody takes it; its other columns stay as they are."""
    base.execute(
        "UPDATE jobs SET state = 'failed', problem = ?, worker = NULL, asked = NULL, "
        "ended = CASE typeof(ended) WHEN 'real' THEN ended ELSE ? END, version = version + 1 "
        "WHERE seq = ?",
        (json.dumps(Problem("internal", UNREADABLE).to_body()), time.time(), seq),
    )
