"""The table of the queue: earlier and newer versions, damage, and workers that cannot use it."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from pathlib import Path
from unittest import mock

import pytest

pytest.importorskip("fastapi")

from impasto.cli import main
from impasto.errors import InputError
from impasto.studio import server
from impasto.studio.http.routes.job_views import describe_job
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.job_queue import JobQueue, NewJob
from impasto.studio.queue.job_rows import UNREADABLE, JobRow, JobSpec
from impasto.studio.queue.job_table import MIGRATIONS, VERSION
from impasto.studio.settings import StudioSettings
from impasto.studio.workers import studio_worker, supervisor
from impasto.studio.workers.supervisor import Supervisor
from studios import accepted, inside, post, studio_of, work, worker_of

FIRST = Path(__file__).parent / "data" / "queue-0.1.sql"
"""Written by the code of version 0.1: one job in each state, one with masks, one with a clip."""
SPEC = JobSpec({}, ("a", "b"), (None,), ((8, 8), (8, 8)))


def make_first_table(path: Path, *changes: str) -> None:
    """A table of version 0.1, perhaps with changes."""
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA journal_mode = WAL")
        base.executescript(FIRST.read_text("utf-8"))
        for change in changes:
            base.execute(change)
        base.commit()


def version_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as base:
        return base.execute("PRAGMA user_version").fetchone()[0]


def serve_line(data: Path, capsys) -> str:
    """The only line of a server that does not start."""
    with mock.patch.object(server, "serve", side_effect=AssertionError("it started")):
        assert main(["serve", "--no-open", "--port", "0", "--data", str(data)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("impasto: error: ")
    assert not [line for line in lines if "Traceback" in line]
    return lines[-1]


# --- versions ----------------------------------------------------------------------------------


def test_a_table_of_the_first_version_is_upgraded(tmp_path):
    make_first_table(tmp_path / "queue.sqlite")
    assert version_of(tmp_path / "queue.sqlite") == 0
    with inside(tmp_path) as client:
        jobs = client.get("/v1/jobs").json()["jobs"]
        assert [int(job["id"], 16) for job in jobs] == [6, 5, 4, 3, 2, 1]
        states = ["queued", "queued", "cancelled", "stopped", "failed", "done"]
        assert [job["state"] for job in jobs] == states  # the one that ran is queued again
        assert jobs[0]["title"] == "waits \u2028 for é"
        assert jobs[5]["progress"]["iteration"] == 5
        assert (jobs[4]["masks"], jobs[4]["problem"]["code"]) == (2, "over_limit")
        assert jobs[3]["clip"]["frames"] == 12
        queue = studio_of(client).queue
        assert queue.read_totals()["done"] == 1
        assert queue.read_fact("device") == "cpu"
        assert queue.has_key("k1")
        accepted(post(client))
    assert version_of(tmp_path / "queue.sqlite") == VERSION == len(MIGRATIONS)
    JobQueue(tmp_path / "queue.sqlite").close()


@pytest.mark.parametrize("column", ["losses", "lost_at", "worker", "preview"])
def test_a_table_of_an_earlier_commit_is_upgraded(tmp_path, column):
    make_first_table(tmp_path / "queue.sqlite", f"ALTER TABLE jobs DROP COLUMN {column}")
    with inside(tmp_path) as client:
        jobs = client.get("/v1/jobs").json()["jobs"]
        assert len(jobs) == 6
        assert jobs[5]["state"] == "done"
        accepted(post(client))


def test_an_upgrade_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "queue.sqlite"
    make_first_table(path)

    def fail(base):
        base.execute("CREATE TABLE half (a)")
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("impasto.studio.queue.job_table.MIGRATIONS", (*MIGRATIONS, fail))
        patch.setattr("impasto.studio.queue.job_table.VERSION", VERSION + 1)
        with pytest.raises(sqlite3.OperationalError):
            JobQueue(path)
    assert version_of(path) == 0
    queue = JobQueue(path)
    assert len(queue.list_ids()) == 6
    assert not queue.query("SELECT name FROM sqlite_master WHERE name = 'half'")
    queue.close()


def test_a_table_of_a_newer_version_is_refused_in_one_line(tmp_path, capsys):
    JobQueue(DataFolder(tmp_path).table).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "queue.sqlite")) as base:
        base.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / "queue.sqlite").read_bytes()
    line = serve_line(tmp_path, capsys)
    assert "written by a newer impasto" in line
    assert (tmp_path / "queue.sqlite").read_bytes() == before
    with pytest.raises(InputError, match="newer impasto"):
        JobQueue(tmp_path / "queue.sqlite")


# --- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["garbage", "cut short", "a page of zeros", "half a header"])
def test_a_damaged_table_is_one_line(tmp_path, capsys, damage):
    folder = DataFolder(tmp_path)
    queue = JobQueue(folder.table)
    for number in range(60):
        queue.add(NewJob(f"{number:032x}", SPEC, title="x" * 500), max_queue=99)
    queue.close()
    data = bytearray(folder.table.read_bytes())
    assert len(data) > 10 * 4096
    if damage == "garbage":
        data = bytearray(b"nonsense" * 1000)
    elif damage == "cut short":
        del data[len(data) // 2 :]
    elif damage == "half a header":
        del data[50:]
    else:
        data[5 * 4096 : 6 * 4096] = bytes(4096)
    folder.table.write_bytes(data)
    line = serve_line(tmp_path, capsys)
    assert "queue.sqlite: damaged" in line
    assert "move it away" in line
    assert folder.table.read_bytes() == data


BAD_ROWS = {
    "spec": ["'{'", "'[]'", "'{}'", "'null'", "x'00ff'", "CAST(x'7bff' AS TEXT)", "7"],
    "progress": ["'{'", "'[1]'", '\'{"iteration": "x"}\''],
    "problem": ["'{'", "7"],
    "created": ["'yesterday'", "9e99", "-1"],
    "state": ["'painting'"],
    "title": ["x'ff'"],
    "lost_at": ["'x'"],
    "ended": ["'never'"],
}


@pytest.mark.parametrize(
    ("column", "value"), [(name, value) for name, many in BAD_ROWS.items() for value in many]
)
def test_a_damaged_row_is_a_failed_job_and_harms_no_other(tmp_path, column, value):
    queue = JobQueue(tmp_path / "queue.sqlite")
    for number in range(3):
        queue.add(NewJob(f"{number:032x}", SPEC), max_queue=9)
    with queue.change() as base:
        base.execute(f"UPDATE jobs SET {column} = {value} WHERE id = ?", (f"{1:032x}",))
    rows = queue.list_newest(None, 9)
    assert [row.state for row in rows] == ["queued", "failed", "queued"]
    message = describe_job(rows[1], None, tmp_path)
    assert (message.state, message.problem.detail) == ("failed", UNREADABLE)
    claims = []
    while (row := queue.claim("me")) is not None:
        claims.append(int(row.id, 16))
        assert queue.end(row, "done", 1.0)
    assert claims == [0, 2]
    queue.quarantine_damaged()
    assert queue.count_states() == {"done": 2, "failed": 1}
    assert f"{1:032x}" in queue.list_ended()
    assert queue.remove(f"{1:032x}")
    queue.close()


def test_a_damaged_row_is_shown_quarantined_and_can_be_deleted(tmp_path, caplog):
    with inside(tmp_path) as client:
        bad, good = accepted(post(client))["id"], accepted(post(client))["id"]
        with studio_of(client).queue.change() as base:
            base.execute("UPDATE jobs SET spec = 'null' WHERE id = ?", (bad,))
        for _ in range(2):
            jobs = client.get("/v1/jobs").json()["jobs"]
            assert [job["id"] for job in jobs] == [good, bad]
            assert (jobs[1]["state"], jobs[1]["problem"]["code"]) == ("failed", "internal")
            assert client.get(f"/v1/jobs/{bad}").json() == jobs[1]
        assert client.get("/metrics").status_code == 200
    with caplog.at_level(logging.WARNING, "impasto.studio"), inside(tmp_path) as client:
        assert [each.jobs for each in caplog.records if "damaged" in each.message] == [1]
        work(client)
        assert client.get(f"/v1/jobs/{good}").json()["state"] == "done"
        assert client.get(f"/v1/jobs/{bad}").json()["state"] == "failed"
        assert client.delete(f"/v1/jobs/{bad}").status_code == 204
        assert client.get(f"/v1/jobs/{bad}").status_code == 404
        assert not studio_of(client).folder.locate(bad).exists()


def test_a_row_is_read_as_it_was_written(tmp_path):
    queue = JobQueue(tmp_path / "queue.sqlite")
    queue.add(NewJob("0" * 32, SPEC), max_queue=9)
    (row,) = queue.query("SELECT * FROM jobs")
    assert JobRow.read(row) == JobRow.parse(row) == queue.get("0" * 32)
    queue.close()


# --- workers that cannot use the table ---------------------------------------------------------


def test_a_worker_that_cannot_take_jobs_waits_longer_each_time(tmp_path, monkeypatch, caplog):
    with inside(tmp_path) as client:
        job = accepted(post(client))["id"]
        ending, pauses, claim = threading.Event(), [], JobQueue.claim

        def wait(seconds=None):
            pauses.append(seconds)
            return threading.Event.wait(ending, 0)

        def fail_at_first(self, worker):
            if len(pauses) < 12:
                raise sqlite3.OperationalError("disk I/O error")
            row = claim(self, worker)
            if row is None:
                ending.set()
            return row

        monkeypatch.setattr(ending, "wait", wait)
        monkeypatch.setattr(JobQueue, "claim", fail_at_first)
        with caplog.at_level(logging.INFO, "impasto.studio"), worker_of(client, ending) as worker:
            worker.work()
        assert pauses[:12] == sorted(pauses[:12])
        assert pauses[11] == studio_worker.MAX_PAUSE_S
        assert len([each for each in caplog.records if "cannot take jobs" in each.message]) == 1
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "done"


def test_a_supervisor_whose_queue_fails_says_so_once(tmp_path, monkeypatch, caplog):
    settings = StudioSettings(data=tmp_path, workers=0)
    folder = DataFolder(tmp_path)
    queue = JobQueue(folder.table)
    monkeypatch.setattr(supervisor, "LOOK_S", 0.01)
    monkeypatch.setattr(supervisor, "MAX_PAUSE_S", 0.04)
    tries, pauses = threading.Semaphore(0), []

    def fail(*_):
        tries.release()
        raise sqlite3.OperationalError("database or disk is full")

    looked_after = Supervisor(settings, folder, queue, "json")
    with caplog.at_level(logging.INFO, "impasto.studio"):
        looked_after.start()
        monkeypatch.setattr(looked_after, "_check_workers", fail)
        wait = looked_after._ending.wait
        monkeypatch.setattr(
            looked_after._ending, "wait", lambda pause: pauses.append(pause) or wait(pause)
        )
        for _ in range(8):
            assert tries.acquire(timeout=30)
        looked_after.close()
    assert (
        len([each for each in caplog.records if "supervisor waits for the disk" in each.message])
        == 1
    )
    assert max(pauses) == 0.04
    queue.close()
