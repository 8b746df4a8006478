"""Keep the queue's file: SQLite in WAL mode, for several processes and threads at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from impasto.errors import InputError, ResourceError

BUSY_S = 20.0
_COLUMNS = {
    "seq": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "id": "TEXT NOT NULL UNIQUE",
    "state": "TEXT NOT NULL DEFAULT 'queued'",
    "draft": "INTEGER NOT NULL DEFAULT 0",
    "title": "TEXT NOT NULL DEFAULT ''",
    "spec": "TEXT NOT NULL",
    "key": "TEXT UNIQUE",
    "body": "TEXT NOT NULL DEFAULT ''",
    "created": "REAL NOT NULL",
    "started": "REAL",
    "ended": "REAL",
    "attempt": "INTEGER NOT NULL DEFAULT 0",
    "worker": "TEXT",
    "asked": "TEXT",
    "used": "REAL NOT NULL DEFAULT 0",
    "used_before": "REAL NOT NULL DEFAULT 0",
    "progress": "TEXT",
    "width": "INTEGER",
    "height": "INTEGER",
    "preview": "INTEGER",
    "problem": "TEXT",
    "losses": "INTEGER NOT NULL DEFAULT 0",
    "lost_at": "INTEGER NOT NULL DEFAULT -1",
    "version": "INTEGER NOT NULL DEFAULT 0",
}
"""Columns of the table ``jobs`` in version 0.1 of impasto."""
_FIRST_TABLES = (
    f"CREATE TABLE IF NOT EXISTS jobs ({', '.join(map(' '.join, _COLUMNS.items()))})",
    "CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)
_FIRST_INDEXES = (
    "CREATE INDEX IF NOT EXISTS waiting ON jobs (state, draft DESC, seq)",
    """
    CREATE TRIGGER IF NOT EXISTS ended AFTER UPDATE ON jobs
    WHEN OLD.ended IS NULL AND NEW.ended IS NOT NULL BEGIN
        INSERT INTO totals VALUES (NEW.state, 1)
        ON CONFLICT (name) DO UPDATE SET value = value + excluded.value;
    END
    """,
)


def _create_first_tables(base: sqlite3.Connection) -> None:
    """Make the tables of version 0.1, which had no number, or complete those of a commit before."""
    for statement in _FIRST_TABLES:
        base.execute(statement)
    columns = {row[1] for row in base.execute("PRAGMA table_info(jobs)")}
    for name, kind in _COLUMNS.items():
        if name not in columns:
            # A column with UNIQUE cannot be added; the index does the same.
            base.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind.removesuffix(' UNIQUE')}")
            if kind.endswith("UNIQUE"):
                base.execute(f"CREATE UNIQUE INDEX jobs_{name} ON jobs ({name})")
    for statement in _FIRST_INDEXES:
        base.execute(statement)


def _add_deletions(base: sqlite3.Connection) -> None:
    """Add the table of jobs that are off the queue, and whose files still have to be deleted."""
    base.execute("CREATE TABLE deletions (id TEXT PRIMARY KEY, worker TEXT)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _create_first_tables,
    _add_deletions,
)
"""The n-th one, from 0, brings a table of version n to version n + 1."""
VERSION = len(MIGRATIONS)
"""Version of the tables, which SQLite stores as ``user_version``."""


class JobTable:
    """One process's connection to the file; safe to use from several threads."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Open the table, make it, or bring an earlier version up to date.

        Args:
            path: the file.
            durable: whether writes have reached the disk when a call returns, so that they survive
                a power failure and not only the end of the process.

        Raises:
            InputError: a newer impasto wrote the table.
        """
        self._lock = threading.Lock()
        self._base = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._base.row_factory = sqlite3.Row
            # Damaged text must cost its own row and no other.
            self._base.text_factory = lambda data: data.decode("utf-8", "replace")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._base.execute("PRAGMA secure_delete = ON")
            self._migrate(path)
        except BaseException:
            self._base.close()
            raise

    def _migrate(self, path: Path) -> None:
        if _read_version(self._base, path) == VERSION:
            return
        with self.change() as base:  # all of it or nothing
            for migrate in MIGRATIONS[_read_version(base, path) :]:
                migrate(base)
            base.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._base.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Hold a transaction: its reads and writes are atomic."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:  # a full disk may have ended it already
                    self._base.execute("ROLLBACK")
                raise

    def clear_log(self) -> None:
        """Empty the log, which still holds what deleted rows said; try again later if it is busy.

        Within the file itself, SQLite overwrites what is deleted.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            self.query("PRAGMA wal_checkpoint(TRUNCATE)")

    def query(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Return the rows that a query finds."""
        with self._lock:
            return self._base.execute(query, values).fetchall()

    def read_totals(self) -> dict[str, float]:
        """Return what has been counted since the table was made."""
        return {row["name"]: row["value"] for row in self.query("SELECT * FROM totals")}

    def read_oldest_waiting(self) -> float | None:
        """Return the arrival of the job that has waited longest. None: nothing waits."""
        arrival = self.query(
            "SELECT min(created) FROM jobs WHERE state = 'queued' AND typeof(created) = 'real'"
        )[0][0]
        return None if arrival is None else float(arrival)

    def read_latest_time(self) -> float | None:
        """Return the latest time, in seconds since 1970, at which a job came, began or ended."""
        latest = [
            self.query(f"SELECT max({name}) FROM jobs WHERE typeof({name}) = 'real'")[0][0]
            for name in ("created", "started", "ended")
        ]
        return max((float(each) for each in latest if each is not None), default=None)

    def count_states(self) -> dict[str, int]:
        """Count the jobs by state."""
        rows = self.query("SELECT state, count(*) AS jobs FROM jobs GROUP BY state")
        return {row["state"]: row["jobs"] for row in rows}

    def write_fact(self, name: str, value: str) -> None:
        """Store a fact about the workers."""
        with self.change() as base:
            base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def read_fact(self, name: str) -> str | None:
        """Return a fact as it was stored last. None: it never was."""
        rows = self.query("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def add_to_total(self, name: str, value: float = 1) -> None:
        """Add to a total."""
        with self.change() as base:
            add_to(base, name, value)


def _read_version(base: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables.

    Raises:
        InputError: it is newer than this impasto's.
    """
    version = int(base.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise InputError(
            f"written by a newer impasto (version {version} of the table, this impasto "
            f"reads up to {VERSION}); use that impasto, or choose another `data` folder",
            where=path,
            field="data",
        )
    return version


def inspect_table(path: Path, *, is_own: bool = False) -> Literal["own", "empty", "foreign"]:
    """Tell whether a file is the studio's table, of this version or an earlier one.

    Args:
        path: the file.
        is_own: whether it lies in a data folder, so that what a failure of the disk interrupted may
            be undone. Otherwise nothing changes.

    Returns:
        ``empty``: there is no file, or one without any tables, as a kill may leave it.

    Raises:
        InputError: a newer impasto wrote it.
        ResourceError: it cannot be opened.
    """
    if not os.path.lexists(path):
        return "empty"
    if not path.is_file():
        return "foreign"
    try:
        if is_own:
            _undo_interrupted(path)
        with _connect_read_only(path) as base:
            columns = {row[1] for row in base.execute("PRAGMA table_info(jobs)")}
            is_empty = base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if is_empty:
                return "empty"
            if not columns >= {"id", "state", "spec", "created", "ended"}:
                return "foreign"
            _read_version(base, path)
            return "own"
    except sqlite3.OperationalError as error:
        raise ResourceError(f"cannot be opened ({error})", where=path) from None
    except sqlite3.DatabaseError:
        return "foreign"


def find_damage(path: Path) -> str | None:
    """Check the whole file, and say in a few words what is damaged. None: nothing is."""
    try:
        with _connect_read_only(path) as base:
            base.text_factory = lambda data: data.decode("utf-8", "replace")
            report = base.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if report == "ok" else " ".join(str(report).split())


def _undo_interrupted(path: Path) -> None:
    """Undo a transaction that was cut short, which only a connection that may write can do."""
    try:
        with _connect_read_only(path) as base:
            base.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        if not error.sqlite_errorname.startswith("SQLITE_READONLY"):
            raise
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_S)) as base:
            base.execute("SELECT count(*) FROM sqlite_master")


@contextlib.contextmanager
def _connect_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    address = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, timeout=BUSY_S, uri=True)) as base:
        yield base


def add_to(base: sqlite3.Connection, name: str, value: float = 1) -> None:
    """Add to a total within a transaction."""
    base.execute(
        "INSERT INTO totals VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, value),
    )
