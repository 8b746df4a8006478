"""Deleted jobs leave nothing behind, whatever their workers do meanwhile."""

from __future__ import annotations

import random
import threading
import time

import pytest

pytest.importorskip("fastapi")

from impasto.optimize import checkpoint
from impasto.studio.queue import job_files
from impasto.studio.queue.clock import TrustedClock
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.housekeeping import finish_deletions, sweep
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.ownership import JobMark, write_job_mark
from impasto.studio.settings import StudioSettings
from impasto.studio.workers import job_context, supervisor
from impasto.studio.workers.supervisor import Supervisor
from studios import accepted, inside, post, studio_of, work, worker_of

pytestmark = pytest.mark.usefixtures("narrow_encoder")

SECRET = "the-birthday-of-my-daughter"


def forget(client, job):
    assert client.delete(f"/v1/jobs/{job}?forget=true").status_code == 204
    assert client.get(f"/v1/jobs/{job}").status_code == 404


def holds(data, text: str) -> list[str]:
    """Files that hold a text, or are of a job."""
    paths = [path for path in data.rglob("*") if path.is_file() and path.name != "lock"]
    return sorted(
        str(path.relative_to(data))
        for path in paths
        if text.encode() in path.read_bytes() or path.parts[len(data.parts)] in ("jobs", "trash")
    )


@pytest.fixture
def eager(monkeypatch):
    """Every step is reported, shown and kept."""
    monkeypatch.setattr(job_context, "REPORT_S", 0)
    monkeypatch.setattr(job_context, "PREVIEW_S", 0)
    monkeypatch.setattr(checkpoint, "EVERY_S", 0)


@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_nothing_of_a_forgotten_job_stays_on_the_disk(tmp_path, state, eager, monkeypatch):
    with inside(tmp_path) as client:
        job = accepted(post(client, title=SECRET))["id"]
        if state == "running":
            report = JobQueue.report

            def report_and_forget(self, *arguments):
                monkeypatch.setattr(JobQueue, "report", report)
                forget(client, job)
                assert studio_of(client).folder.locate(job).exists()
                return report(self, *arguments)

            monkeypatch.setattr(JobQueue, "report", report_and_forget)
        if state != "queued":
            work(client)
        if state != "running":
            forget(client, job)
        queue = studio_of(client).queue
        assert queue.list_deletions() == queue.list_held_deletions() == []
        assert holds(tmp_path, SECRET) == []


def test_what_a_worker_writes_after_the_deletion_goes_too(tmp_path):
    with inside(tmp_path) as client:
        studio = studio_of(client)
        job = accepted(post(client, title=SECRET))["id"]
        row = studio.queue.claim("slow")
        forget(client, job)
        place = studio.folder.locate(job)
        for name in (job_files.CHECKPOINT, job_files.PREVIEW, ".impasto-1-00000000"):
            (place / name).write_bytes(SECRET.encode())
        finish_deletions(studio.folder, studio.queue)  # not before the worker has let go of it
        assert place.exists()
        assert studio.queue.report(row, {"iteration": 1}, None, 1.0) == "gone"
        studio.queue.acknowledge_deletions("other")
        assert studio.queue.list_held_deletions() == [(job, "slow")]
        studio.queue.acknowledge_deletions("slow")
        finish_deletions(studio.folder, studio.queue)
        assert holds(tmp_path, SECRET) == []


def test_a_deletion_outlives_the_worker_and_the_server(tmp_path):
    with inside(tmp_path) as client:
        job = accepted(post(client, title=SECRET))["id"]
        studio_of(client).supervisor.close()  # it may finish the deletion before the server ends
        studio_of(client).queue.claim("killed")
        forget(client, job)
        # Its marker says nothing of it, as after a full disk.
        studio_of(client).folder.mark_deleted(job, is_deleted=False)
    assert (tmp_path / "jobs" / job).exists()
    with inside(tmp_path) as client:
        assert client.get("/v1/jobs").json()["jobs"] == []
        assert holds(tmp_path, SECRET) == []


def hang(settings, name, threads, log_format):
    queue = JobQueue(DataFolder(settings.data).table)
    while queue.claim(name) is None:
        time.sleep(0.02)
    time.sleep(600)


def test_a_worker_that_does_not_let_go_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LOOK_S", 0.05)
    monkeypatch.setattr(supervisor, "OVERTIME_S", 0.2)
    monkeypatch.setattr(supervisor.studio_worker, "run_worker", hang)
    with inside(tmp_path) as client:
        job = accepted(post(client, title=SECRET))["id"]
        studio = studio_of(client)
        studio.supervisor.close()  # it would take the worker for one of an earlier server
        looked_after = Supervisor(
            StudioSettings(data=tmp_path, workers=1), studio.folder, studio.queue, "json"
        )
        looked_after.start()
        until = time.monotonic() + 50
        while studio.queue.get(job).state != "running" and time.monotonic() < until:
            time.sleep(0.02)
        forget(client, job)
        while studio.folder.locate(job).exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert not studio.folder.locate(job).exists()
        looked_after.close()
        assert holds(tmp_path, SECRET) == []


def test_jobs_that_are_forgotten_at_any_moment_leave_nothing(tmp_path, eager):
    random.seed(7)
    with inside(tmp_path) as client:
        ending = threading.Event()

        def paint():
            with worker_of(client, ending) as worker:
                worker.work()

        thread = threading.Thread(target=paint)
        thread.start()
        for _ in range(12):
            job = accepted(post(client, title=SECRET))["id"]
            time.sleep(random.uniform(0, 0.6))
            forget(client, job)
        until = time.monotonic() + 60
        while studio_of(client).queue.list_held_deletions() and time.monotonic() < until:
            time.sleep(0.02)
        ending.set()
        thread.join()
        sweep(
            studio_of(client).settings,
            studio_of(client).folder,
            studio_of(client).queue,
            TrustedClock(studio_of(client).folder.clock),
        )
        assert holds(tmp_path, SECRET) == []


def test_own_folders_without_a_job_are_swept(tmp_path):
    folder = DataFolder(tmp_path)
    queue = JobQueue(folder.table)
    names = [letter * 32 for letter in "abc"]
    for name in names[:2]:
        folder.make(folder.locate(name))
        (folder.locate(name) / "photo").write_bytes(b"a photo")
    write_job_mark(folder.locate(names[1]), JobMark(folder.id, names[1], is_deleted=True))
    folder.make(folder.staging / names[2])
    foreign = folder.jobs / ("d" * 32)
    foreign.mkdir()
    with folder.stage() as (active, place):
        folder.accept(active)
        with folder.stage() as (_, other):
            sweep(StudioSettings(data=tmp_path), folder, queue, TrustedClock(folder.clock))
            assert other.exists()
        assert folder.locate(active).exists()
        assert not place.exists()
    assert foreign.exists()
    swept = sorted(path.name[-32:] for path in folder.trash.iterdir())
    assert swept == [names[0], names[2]]
    assert sorted(path.name for path in folder.jobs.iterdir()) == sorted([active, "d" * 32])
    queue.close()


def test_a_folder_that_cannot_be_emptied_at_once_stays_the_studios_own(tmp_path, monkeypatch):
    from pathlib import Path

    folder = DataFolder(tmp_path)
    job = "a" * 32
    folder.make(folder.locate(job))
    rmdir = Path.rmdir

    def write_before(self):
        monkeypatch.setattr(Path, "rmdir", rmdir)
        (self / job_files.PREVIEW).write_bytes(b"late")
        rmdir(self)

    monkeypatch.setattr(Path, "rmdir", write_before)
    assert not folder.delete(job)
    (place,) = folder.trash.iterdir()
    mark = folder.read_mark(place)
    assert mark is not None
    assert mark.is_deleted
    assert folder.erase(place)
