"""A full disk: jobs can still be stopped and deleted, and nobody repeats itself in the log."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from conftest import TESTS
from impasto.errors import ResourceError
from impasto.studio.problems import make_problem
from impasto.studio.queue import disk_reserve
from impasto.studio.queue.disk_reserve import RESERVE_BYTES, DiskReserve
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.job_table import JobTable
from studios import accepted, inside, post, refused, studio_of, work, worker_of


def full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.fixture
def disk(monkeypatch):
    """Changes of the table fail until the reserve is released."""

    class Disk:
        is_full = False

    change, release = JobTable.change, DiskReserve.release

    def change_if_room(self):
        if Disk.is_full:
            raise full()
        return change(self)

    def release_and_make_room(self):
        Disk.is_full = False
        return release(self)

    monkeypatch.setattr(JobTable, "change", change_if_room)
    monkeypatch.setattr(DiskReserve, "release", release_and_make_room)
    return Disk


def test_jobs_can_be_stopped_and_deleted_on_a_full_disk(tmp_path, disk):
    with inside(tmp_path) as client:
        studio = studio_of(client)
        ids = [accepted(post(client))["id"] for _ in range(4)]
        studio.folder.reserve.fill()
        for job, act in (
            (ids[0], lambda job: client.post(f"/v1/jobs/{job}/stop")),
            (ids[1], lambda job: client.delete(f"/v1/jobs/{job}")),
            (ids[2], lambda job: client.delete(f"/v1/jobs/{job}?forget=true")),
            (ids[0], lambda job: client.delete(f"/v1/jobs/{job}")),
        ):
            assert (tmp_path / ".impasto-reserve").stat().st_size == RESERVE_BYTES
            disk.is_full = True
            assert act(job).status_code in (200, 204)
            assert not (tmp_path / ".impasto-reserve").exists()
            studio.folder.reserve.fill()
        states = {job["id"]: job["state"] for job in client.get("/v1/jobs").json()["jobs"]}
        assert states == {ids[1]: "cancelled", ids[3]: "queued"}
        disk.is_full = True
        assert "delete jobs" in refused(post(client), "no_resources")
        accepted_before = set(states)
    # The server has ended cleanly, and starts again.
    with inside(tmp_path) as client:
        assert {job["id"] for job in client.get("/v1/jobs").json()["jobs"]} == accepted_before
        disk.is_full = False


def test_the_reserve_leaves_room_for_others(tmp_path, monkeypatch):
    reserve = DiskReserve(tmp_path / "reserve")
    monkeypatch.setattr(disk_reserve, "AMPLE", 2**40)
    reserve.fill()
    assert not reserve.release()
    monkeypatch.setattr(disk_reserve, "AMPLE", 0)
    reserve.fill()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    assert (tmp_path / "reserve").stat().st_mode & 0o077 == 0
    assert reserve.release()


def test_an_outcome_waits_for_the_disk(tmp_path, monkeypatch, caplog):
    with inside(tmp_path) as client:
        job, ending = accepted(post(client))["id"], threading.Event()
        pauses, end = [], JobQueue.end

        def wait(seconds=None):
            pauses.append(seconds)
            return threading.Event.wait(ending, 0)

        def fail_at_first(self, *arguments):
            if len(pauses) < 5:
                raise full()
            return end(self, *arguments)

        monkeypatch.setattr(ending, "wait", wait)
        monkeypatch.setattr(JobQueue, "end", fail_at_first)
        with caplog.at_level(logging.INFO, "impasto.studio"), worker_of(client, ending) as worker:
            assert worker.take()
        assert pauses == sorted(pauses)
        assert len([each for each in caplog.records if "not stored" in each.message]) == 1
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "done"


# --- no path of the server ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{data}/jobs/a b/result.png: cannot be written", "jobs/a b/result.png: cannot be written"),
        ("/home/me/vgg.pt: damaged, see /opt/x/log", "vgg.pt: damaged, see log"),
        ("cannot read '/etc/ssl/key.pem' (denied)", "cannot read 'key.pem' (denied)"),
        (r"C:\Users\me\vgg.pt: missing", "vgg.pt: missing"),
        ("expected MP4/MOV, 3/4 or n/a; see http://x.org/a/b", None),
        ("rect:1,2,3,4 and style/0", None),
    ],
)
def test_messages_lose_the_folders_of_the_server(message, expected):
    data = Path("/srv/my studio")
    text = message.format(data=data)
    assert make_problem(ResourceError(text), data).detail == (expected or text)


def test_no_path_reaches_a_client(tmp_path, monkeypatch):
    data = tmp_path / "of the server"
    with inside(data) as client:
        job = accepted(post(client))["id"]

        def refuse(*_, **__):
            raise ResourceError(f"{data}/jobs/{job}/result.png: cannot be written (read-only)")

        monkeypatch.setattr("impasto.studio.workers.picture_job.write_picture", refuse)
        work(client)
        detail = client.get(f"/v1/jobs/{job}").json()["problem"]["detail"]
        assert detail.endswith("result.png: cannot be written (read-only)")
        monkeypatch.setattr(studio_of(client).intake, "stage", refuse)
        for text in (detail, refused(post(client), "no_resources")):
            assert str(tmp_path) not in text
            assert "of the server" not in text


# --- a disk that is really full ----------------------------------------------------------------

SCRIPT = """
import os, sys
from pathlib import Path
from impasto.studio.queue import disk_reserve
disk_reserve.RESERVE_BYTES, disk_reserve.AMPLE = 1 << 18, 2
from studios import accepted, inside, post, refused, studio_of

data = Path(sys.argv[1])
with inside(data) as client:
    ids = [accepted(post(client))["id"] for _ in range(3)]
    studio_of(client).folder.reserve.fill()
    assert (data / ".impasto-reserve").exists()
    studio_of(client).queue.claim("me")
    with open(data / "ballast", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    for size in (1024, 64, 1):
        with open(data / f"ballast-{size}", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    refused(post(client), "no_resources")
    stopped = client.post(f"/v1/jobs/{ids[1]}/stop")
    assert stopped.json()["state"] == "stopped", stopped.text
    for job in ids:
        answer = client.delete(f"/v1/jobs/{job}?forget=true")
        assert answer.status_code == 204, answer.text
    assert client.get("/v1/jobs").json()["jobs"] == []
    assert not (data / "jobs" / ids[2]).exists()
print("all went")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_disk_that_is_really_full(tmp_path):
    mount = f"mount -t tmpfs -o size=4m none {tmp_path}"
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*unshare, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems cannot be mounted here")
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    python = [sys.executable, "-c", SCRIPT, str(tmp_path / "data")]
    process = subprocess.run(
        [*unshare, f'{mount} && exec "$@"', "sh", *python],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdout.strip() == "all went", process.stderr[-3000:]
