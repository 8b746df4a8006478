"""What is kept of a job beside the table, to list it again if the table is lost."""

from __future__ import annotations

import sqlite3
from typing import Any

from impasto.studio.queue.rows import ENDED, Row
from impasto.studio.queue.table import Table

RECORD = (
    *("id", "state", "draft", "title", "spec", "key", "body", "created", "started", "ended"),
    *("used", "progress", "width", "height", "preview", "problem"),
)
"""Columns that are kept."""
_RECORD = ", ".join(RECORD)


def read_records(table: Table, job: str | None = None) -> dict[str, dict[str, Any]]:
    """Read what :func:`restore_job` needs, by the ids of the jobs: of one, or of all."""
    found = table.rows(f"SELECT {_RECORD} FROM jobs WHERE id = coalesce(?, id)", job)
    return {row["id"]: dict(row) for row in found}


def restore_job(table: Table, record: dict[str, Any], now: float) -> None:
    """Put a job of a lost table back; one that had not ended is stopped, and can go on.

    Args:
        table: to put it into.
        record: of :func:`read_records`.
        now: seconds since 1970, the end of a job that had not ended.

    Raises:
        ValueError: it describes no job.
    """
    values = {name: record.get(name) for name in RECORD}
    if values["state"] not in ENDED:
        values |= {"state": "stopped", "ended": now}
    places = ", ".join("?" * len(RECORD))
    try:
        with table.change() as base:
            if base.execute("SELECT 1 FROM jobs WHERE key = ?", (values["key"],)).fetchone():
                values["key"] = None
            base.execute(f"INSERT INTO jobs ({_RECORD}) VALUES ({places})", tuple(values.values()))
            found = base.execute("SELECT * FROM jobs WHERE id = ?", (values["id"],))
            Row.of(found.fetchone())
    except (KeyError, TypeError, AttributeError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.OperationalError):  # of the disk
            raise
        raise ValueError(str(error)) from None
