"""A disk that fails: clients get a documented problem, and operators one line."""

from __future__ import annotations

import logging
import sqlite3

import pytest

pytest.importorskip("fastapi")

from impasto.errors import ResourceError
from impasto.studio.queue.housekeeping import sweep
from impasto.studio.queue.job_queue import JobQueue
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
