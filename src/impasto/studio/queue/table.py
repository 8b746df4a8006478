"""The file behind the queue: SQLite in WAL mode, for several processes and threads at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from impasto.errors import ResourceError

BUSY_S = 20.0
TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL DEFAULT 'queued',
    draft INTEGER NOT NULL,
    title TEXT NOT NULL,
    spec TEXT NOT NULL,
    key TEXT UNIQUE,
    body TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    attempt INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    asked TEXT,
    used REAL NOT NULL DEFAULT 0,
    used_before REAL NOT NULL DEFAULT 0,
    progress TEXT,
    width INTEGER,
    height INTEGER,
    preview INTEGER,
    problem TEXT,
    losses INTEGER NOT NULL DEFAULT 0,
    lost_at INTEGER NOT NULL DEFAULT -1,
    version INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS waiting ON jobs (state, draft DESC, seq);
CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value REAL NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS ended AFTER UPDATE ON jobs
WHEN OLD.ended IS NULL AND NEW.ended IS NOT NULL BEGIN
    INSERT INTO totals VALUES (NEW.state, 1)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
END;
"""


class Table:
    """One process's view of the file; safe to use from several threads."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Open, or make, the table.

        Args:
            path: of the file.
            durable: whether what is written has reached the disk when a call returns, so that it
                outlives the machine and not only the process.
        """
        self._lock = threading.Lock()
        self._base = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._base.row_factory = sqlite3.Row
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._base.executescript(TABLES)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._base.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Reads and writes that nobody comes between, all of them or none."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:  # a full disk may have ended it already
                    self._base.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._lock:
            return self._base.execute(query, values).fetchall()

    def totals(self) -> dict[str, float]:
        """What has been counted since the table was made."""
        return {row["name"]: row["value"] for row in self.rows("SELECT * FROM totals")}

    def oldest_waiting(self) -> float | None:
        """When the job came that has waited longest; none: nothing waits."""
        found = self.rows("SELECT min(created) FROM jobs WHERE state = 'queued'")[0][0]
        return None if found is None else float(found)

    def latest_time(self) -> float | None:
        """The latest time, in seconds since 1970, at which a job came, began or ended."""
        found = self.rows("SELECT max(created), max(started), max(ended) FROM jobs")[0]
        return max((float(each) for each in found if each is not None), default=None)

    def states(self) -> dict[str, int]:
        """Jobs by state."""
        found = self.rows("SELECT state, count(*) AS jobs FROM jobs GROUP BY state")
        return {row["state"]: row["jobs"] for row in found}

    def note(self, name: str, value: str) -> None:
        """Keep a fact about the workers."""
        with self.change() as base:
            base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def fact(self, name: str) -> str | None:
        """What was noted last."""
        found = self.rows("SELECT value FROM facts WHERE name = ?", name)
        return str(found[0][0]) if found else None

    def count(self, name: str, value: float = 1) -> None:
        """Add to a total."""
        with self.change() as base:
            add_to(base, name, value)


def inspect_table(path: Path) -> Literal["own", "empty", "foreign"]:
    """Whether a file is the studio's table, of this version or an earlier one; nothing changes.

    Returns:
        ``empty``: there is no file, or one without any tables, as a kill may leave it.

    Raises:
        ResourceError: it cannot be opened.
    """
    if not os.path.lexists(path):
        return "empty"
    if not path.is_file():
        return "foreign"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=BUSY_S, uri=True)
        ) as base:
            found = {row[1] for row in base.execute("PRAGMA table_info(jobs)")}
            is_empty = base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    except sqlite3.OperationalError as error:
        raise ResourceError(f"{path}: cannot be opened ({error})") from None
    except sqlite3.DatabaseError:
        return "foreign"
    if is_empty:
        return "empty"
    return "own" if found >= {"id", "state", "spec", "created", "ended"} else "foreign"


def add_to(base: sqlite3.Connection, name: str, value: float = 1) -> None:
    """Add to a total, within a change."""
    base.execute(
        "INSERT INTO totals VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, value),
    )
