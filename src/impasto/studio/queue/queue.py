"""The queue, shared by the server and its workers: what each may do to a job.

Whoever changes a job says which attempt at it they are; a worker that has been given up for dead,
or whose job was taken up anew, changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from impasto.studio.problems import Problem
from impasto.studio.queue.rows import ENDED, Row, Spec
from impasto.studio.queue.table import Table, add_to

LOSSES = 4
"""Workers that a job may cost before it is given up, if it got no further meanwhile."""
_WAITING = "SELECT count(*) FROM jobs WHERE state = 'queued'"
_NEXT = "SELECT id FROM jobs WHERE state = 'queued' ORDER BY draft DESC, seq LIMIT 1"
_AGAIN = (
    "state = CASE asked WHEN 'cancel' THEN 'cancelled' ELSE 'queued' END, "
    "ended = CASE asked WHEN 'cancel' THEN (julianday('now') - 2440587.5) * 86400.0 END, "
    "worker = NULL, version = version + 1"
)
"""Of a job that its worker lets go of."""


class Queue(Table):
    """One process's view of the jobs."""

    # What clients do.

    def add(
        self,
        job: str,
        spec: Spec,
        *,
        draft: bool,
        title: str,
        key: str | None,
        body: str,
        max_queue: int,
    ) -> tuple[Row, bool]:
        """Put a job into the queue, and whether it is new: a key that is known brings its job.

        Args:
            job: its id; its folder is there already.
            spec: what to do.
            draft: whether it goes ahead of others.
            title: of the client's.
            key: of idempotency.
            body: hash of everything that the client sent.
            max_queue: jobs that may wait.

        Raises:
            Problem: the queue is full, or the key belongs to another body.
        """
        with self.change() as base:
            known = base.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
            if known is not None:
                if known["body"] != body:
                    raise Problem("key_reused", "this Idempotency-Key came with another job before")
                return Row.of(known), False
            _check_room(base, max_queue)
            base.execute(
                "INSERT INTO jobs (id, draft, title, spec, key, body, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (job, draft, title, spec.to_json(), key, body, time.time()),
            )
            add_to(base, "accepted")
            return Row.of(base.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()), True

    def get(self, job: str) -> Row:
        """A job.

        Raises:
            Problem: there is none.
        """
        found = self.rows("SELECT * FROM jobs WHERE id = ?", job)
        if not found:
            raise Problem("not_found", "there is no job of this id")
        return Row.of(found[0])

    def page(self, before: str | None, limit: int) -> list[Row]:
        """Jobs from the newest, those before a job of this id.

        Raises:
            Problem: there is no such job.
        """
        seq = 2**62 if before is None else self.get(before).seq
        query = "SELECT * FROM jobs WHERE seq < ? ORDER BY seq DESC LIMIT ?"
        return [Row.of(row) for row in self.rows(query, seq, limit)]

    def has_key(self, key: str) -> bool:
        """Whether a job came with this key of idempotency."""
        return bool(self.rows("SELECT 1 FROM jobs WHERE key = ?", key))

    def waiting(self) -> int:
        """Jobs in the queue."""
        return int(self.rows(_WAITING)[0][0])

    def position(self, row: Row) -> int | None:
        """Jobs ahead of one in the queue; none: it does not wait."""
        if row.state != "queued":
            return None
        found = self.rows(
            "SELECT count(*) FROM jobs WHERE state = 'queued' "
            "AND (draft > ? OR (draft = ? AND seq < ?))",
            *(row.draft, row.draft, row.seq),
        )
        return int(found[0][0])

    def ask(self, job: str, what: str) -> Row:
        """Have a job ``stop`` or ``cancel``: at once if it waits, else at its next step.

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
            # What is cancelled is not saved by a stop that comes later.
            base.execute(
                "UPDATE jobs SET asked = ? "
                "WHERE id = ? AND state = 'running' AND asked IS NOT 'cancel'",
                (what, job),
            )
        row = self.get(job)
        if row.state in ENDED and row.state != final:
            raise Problem("wrong_state", f"the job is {row.state} already")
        return row

    def resume(self, job: str, max_queue: int) -> Row:
        """Put a job that was stopped, cancelled or failed back into the queue.

        Raises:
            Problem: there is no such job, it is not in such a state, or the queue is full.
        """
        row = self.get(job)
        with self.change() as base:
            _check_room(base, max_queue)
            changed = base.execute(
                "UPDATE jobs SET state = 'queued', asked = NULL, ended = NULL, problem = NULL, "
                "used = 0, losses = 0, lost_at = -1, version = version + 1 "
                "WHERE id = ? AND state IN ('stopped', 'cancelled', 'failed')",
                (job,),
            ).rowcount
        if not changed:
            raise Problem("wrong_state", f"the job is {row.state}; one that has ended can go on")
        return self.get(job)

    def remove(self, job: str, *, whatever: bool = False) -> bool:
        """Take a job that has ended, or ``whatever`` its state, off the table; whether it was."""
        states = "" if whatever else f"AND state IN {ENDED}"
        with self.change() as base:
            removed = base.execute(f"DELETE FROM jobs WHERE id = ? {states}", (job,)).rowcount
        return bool(removed)

    # What workers do.

    def claim(self, worker: str) -> Row | None:
        """The next job, which is the worker's from now on; none: nothing waits."""
        if not self.rows(_NEXT):  # reading takes no lock
            return None
        with self.change() as base:
            found = base.execute(
                "UPDATE jobs SET state = 'running', worker = ?, attempt = attempt + 1, "
                "started = coalesce(started, ?), used_before = used, version = version + 1 "
                f"WHERE id = ({_NEXT}) RETURNING *",
                (worker, time.time()),
            ).fetchone()
        return None if found is None else Row.of(found)

    def makes_way(self, row: Row, workers: int) -> bool:
        """Whether a job is put back for a draft: more wait than ``workers`` are free, and of the
        jobs that are no drafts it is one of the last.
        """
        if row.draft:
            return False
        drafts, running, later = self.rows(
            "SELECT count(*) FILTER (WHERE state = 'queued' AND draft), "
            "count(*) FILTER (WHERE state = 'running'), "
            "count(*) FILTER (WHERE state = 'running' AND NOT draft AND seq > ?) "
            "FROM jobs WHERE state IN ('queued', 'running')",
            row.seq,
        )[0]
        return drafts > 0 and bool(later < drafts - (workers - running))

    def report(
        self, row: Row, progress: dict[str, Any], preview: int | None, used: float
    ) -> str | None:
        """Note how far a job is; what is asked of it, ``gone`` if it is the worker's no longer."""
        with self.change() as base:
            found = base.execute(
                "UPDATE jobs SET progress = ?, preview = coalesce(?, preview), used = ?, "
                "version = version + 1 WHERE id = ? AND attempt = ? AND state = 'running' "
                "RETURNING asked",
                (json.dumps(progress), preview, used, row.id, row.attempt),
            ).fetchone()
        if found is None:
            return "gone"
        return None if found[0] is None else str(found[0])

    def end(
        self,
        row: Row,
        state: str,
        used: float,
        problem: Problem | None = None,
        size: tuple[int, int] | None = None,
    ) -> bool:
        """Note that a job has ended; false: it was the worker's no longer.

        Args:
            row: that it was claimed with.
            state: one of those that are final.
            used: seconds worked.
            problem: why it failed.
            size: (width, height) of the result.
        """
        width, height = size or (None, None)
        told = None if problem is None else json.dumps(problem.body())
        with self.change() as base:
            changed = base.execute(
                "UPDATE jobs SET state = CASE asked WHEN 'cancel' THEN 'cancelled' ELSE ? END, "
                "problem = ?, ended = ?, used = ?, width = ?, height = ?, asked = NULL, "
                "worker = NULL, version = version + 1 "
                "WHERE id = ? AND attempt = ? AND state = 'running'",
                (state, told, time.time(), used, width, height, row.id, row.attempt),
            ).rowcount
            if changed:
                add_to(base, "seconds", used)
        return bool(changed)

    def put_back(self, row: Row, used: float) -> None:
        """Let a job go, to be taken up again from its checkpoint."""
        with self.change() as base:
            base.execute(
                f"UPDATE jobs SET {_AGAIN}, used = ? "
                "WHERE id = ? AND attempt = ? AND state = 'running'",
                (used, row.id, row.attempt),
            )

    # What the one who looks after the workers does.

    def running(self) -> list[Row]:
        """Jobs that workers are at."""
        return [Row.of(row) for row in self.rows("SELECT * FROM jobs WHERE state = 'running'")]

    def recover(self) -> None:
        """At the end of a server: jobs whose workers were too slow to put them back wait again."""
        with self.change() as base:
            base.execute(f"UPDATE jobs SET {_AGAIN} WHERE state = 'running'")

    def lost(self, worker: str | None) -> Row | None:
        """A worker has died: its job waits again, or is given up; the job, if it had one."""
        found = self.rows("SELECT * FROM jobs WHERE state = 'running' AND worker = ?", worker)
        if not found:
            return None
        row = Row.of(found[0])
        at = 0 if row.progress is None else int(row.progress["iteration"])
        losses = 1 if at > row.lost_at else row.losses + 1
        if losses >= LOSSES:
            self.end(row, "failed", row.used, Problem("worker_lost", f"{losses} workers died"))
        else:
            with self.change() as base:
                base.execute(
                    f"UPDATE jobs SET {_AGAIN}, losses = ?, lost_at = max(lost_at, ?) "
                    "WHERE id = ? AND attempt = ? AND state = 'running'",
                    (losses, at, row.id, row.attempt),
                )
        return row

    def ended(self, before: float | None = None, *, drafts: bool = False) -> list[str]:
        """Ids of jobs that have ended, the oldest first; those before a time; only drafts."""
        found = self.rows(
            f"SELECT id FROM jobs WHERE state IN {ENDED} AND ended < ? AND draft >= ? "
            "ORDER BY ended",
            2**62 if before is None else before,
            drafts,
        )
        return [row["id"] for row in found]

    def ids(self) -> set[str]:
        """Of all jobs."""
        return {row["id"] for row in self.rows("SELECT id FROM jobs")}


def _check_room(base: sqlite3.Connection, max_queue: int) -> None:
    if base.execute(_WAITING).fetchone()[0] >= max_queue:
        raise Problem("queue_full", f"{max_queue} jobs are waiting already")
