"""A disk that fails: clients get a documented problem, and operators one line."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys

import pytest

pytest.importorskip("fastapi")

from impasto.errors import ResourceError
from impasto.image.files.atomic import name_temporary
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.housekeeping import sweep
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.job_table import inspect_table
from impasto.studio.settings import StudioSettings
from impasto.studio.studio import Studio
from studios import inside, refused, studio_of

JOB = "0" * 32
FAULTS = [
    sqlite3.OperationalError("disk I/O error"),
    sqlite3.DatabaseError("database disk image is malformed"),
    OSError(5, "Input/output error", "/home/me/data/queue.sqlite"),
]


def fail_with(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize("error", FAULTS, ids=repr)
def test_a_request_that_meets_a_faulty_disk_is_refused(tmp_path, monkeypatch, caplog, error):
    with inside(tmp_path) as client, caplog.at_level(logging.INFO, "impasto.studio"):
        monkeypatch.setattr(JobQueue, "get", fail_with(error))
        detail = refused(client.delete(f"/v1/jobs/{JOB}"), "no_resources")
        monkeypatch.undo()
    assert "home" not in detail
    assert not any(each.exc_info for each in caplog.records)
    assert [each for each in caplog.records if each.getMessage() == "request failed"]


@pytest.mark.parametrize("error", FAULTS, ids=repr)
def test_a_server_that_cannot_start_says_why(tmp_path, monkeypatch, error):
    studio = Studio(StudioSettings(data=tmp_path, workers=0))
    monkeypatch.setattr(JobQueue, "read_latest_time", fail_with(error))
    with pytest.raises(ResourceError, match="cannot be used"):
        studio.start()
    monkeypatch.undo()
    studio.start()
    studio.close()


def test_a_folder_whose_deletion_failed_at_the_end_does_not_stay_in_the_trash(tmp_path):
    with inside(tmp_path) as client:
        studio = studio_of(client)
        empty, foreign = (studio.folder.trash / f"20250101T00000{n}Z-{JOB}" for n in (0, 1))
        empty.mkdir()
        foreign.mkdir()
        (foreign / "mine").touch()
        sweep(studio.settings, studio.folder, studio.queue, studio.supervisor._clock)
        assert not empty.exists()
        assert (foreign / "mine").exists()


def test_a_transaction_that_a_full_disk_cut_short_is_undone(tmp_path):
    DataFolder(tmp_path / "data")
    table = sqlite3.connect(tmp_path / "table", isolation_level=None)
    table.execute("PRAGMA cache_size = 1")
    table.execute("CREATE TABLE pages (data)")
    table.execute("BEGIN IMMEDIATE")
    table.executemany("INSERT INTO pages VALUES (?)", [(bytes(4000),)] * 40)
    # What a failure leaves: a part of the transaction, and the journal that undoes it.
    for suffix in ("", "-journal"):
        target = tmp_path / "data" / f"queue.sqlite{suffix}"
        target.write_bytes((tmp_path / f"table{suffix}").read_bytes())
    table.close()
    before = (tmp_path / "data" / "queue.sqlite-journal").stat().st_size
    assert before > 512
    with pytest.raises(ResourceError, match="cannot be opened"):
        inspect_table(tmp_path / "data" / "queue.sqlite")
    assert inspect_table(tmp_path / "data" / "queue.sqlite", is_own=True) == "foreign"
    with sqlite3.connect(tmp_path / "data" / "queue.sqlite") as base:
        assert base.execute("SELECT count(*) FROM pages").fetchone() == (0,)


def test_an_upload_that_was_killed_before_its_marker_does_not_stay(tmp_path):
    with inside(tmp_path) as client:
        staging = studio_of(client).folder.staging
    (staging / JOB).mkdir()
    (staging / JOB / name_temporary(9_999_999)).touch()
    foreign = staging / ("1" * 32)
    foreign.mkdir()
    (foreign / "mine").touch()
    with inside(tmp_path):
        assert not (staging / JOB).exists()
        assert (foreign / "mine").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be flushed there")
def test_the_name_of_a_new_data_folder_reaches_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(os.fstat(file).st_ino))
    DataFolder(tmp_path / "data")
    assert tmp_path.stat().st_ino in flushed
