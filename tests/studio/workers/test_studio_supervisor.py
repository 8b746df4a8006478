"""Workers that hang, take too much, or die: seen from the one who looks after them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

pytest.importorskip("fastapi")

from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.image.files.atomic import name_temporary
from impasto.studio.queue import job_queue as queueing
from impasto.studio.queue.clock import TrustedClock
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.housekeeping import sweep, tidy_up
from impasto.studio.queue.job_queue import JobQueue, NewJob
from impasto.studio.queue.job_rows import JobSpec
from impasto.studio.settings import StudioSettings
from impasto.studio.workers import studio_worker
from impasto.studio.workers import supervisor as supervising
from impasto.studio.workers.supervisor import Supervisor

FEW = 2
SPEC = JobSpec({}, ("a", "b"), (None,), ((8, 8), (8, 8)))


def claimed(settings, name):
    queue = JobQueue(DataFolder(settings.data).table)
    while (row := queue.claim(name)) is None:
        time.sleep(0.02)
    return queue, row


def hangs(settings, name, threads, form):
    claimed(settings, name)
    time.sleep(600)


def takes_much(settings, name, threads, form):
    claimed(settings, name)
    memory = bytearray(600 * 2**20)
    memory[:: 2**10] = b"a" * len(memory[:: 2**10])
    time.sleep(600)


def dies(settings, name, threads, form):
    claimed(settings, name)
    raise SystemExit(9)


def gets_on_and_dies(settings, name, threads, form):
    queue, row = claimed(settings, name)
    at = 0 if row.progress is None else row.progress["iteration"]
    if at > FEW:
        queue.end(row, "done", 1.0)
        return
    queue.report(row, {"iteration": at + 1}, None, 0.0)
    raise SystemExit(9)


def add(folder, queue, number=0, **changes):
    job = f"{number:032x}"
    folder.make(folder.locate(job))
    return queue.add(NewJob(job, SPEC, **changes), max_queue=99)[0].id


@pytest.fixture
def looked_after(tmp_path, monkeypatch):
    """What becomes of one job whose worker is this function."""
    monkeypatch.setattr(supervising, "LOOK_S", 0.05)
    monkeypatch.setattr(supervising, "PAUSE_S", 0)
    monkeypatch.setattr(supervising, "OVERTIME_S", 0.2)
    monkeypatch.setattr(queueing, "MAX_LOSSES", FEW)

    def run(function, **settings):
        monkeypatch.setattr(studio_worker, "run_worker", function)
        settings = StudioSettings(data=tmp_path, **settings)
        folder = DataFolder(settings.data)
        queue = JobQueue(folder.table)
        job = add(folder, queue)
        supervisor = Supervisor(settings, folder, queue, "json")
        supervisor.start()
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and queue.get(job).state in ("queued", "running"):
                time.sleep(0.02)
        finally:
            supervisor.close()
        assert supervisor.count_alive() == 0
        return queue.get(job), queue

    return run


def test_a_worker_that_hangs_is_killed_and_its_job_fails(looked_after):
    row, _ = looked_after(hangs, job_seconds=0.2)
    assert (row.state, row.problem["code"]) == ("failed", "time_limit")


def test_a_worker_that_takes_too_much_memory_likewise(looked_after):
    row, _ = looked_after(takes_much, hardware=HardwareChoice(max_memory=400 * 2**20))
    assert (row.state, row.problem["code"]) == ("failed", "no_resources")


def test_a_job_that_kills_its_workers_is_given_up(looked_after):
    row, queue = looked_after(dies)
    assert (row.state, row.problem["code"]) == ("failed", "worker_lost")
    assert row.attempt == FEW
    assert queue.read_totals()["workers_lost"] == FEW


def test_a_job_that_gets_on_is_not(looked_after):
    row, _ = looked_after(gets_on_and_dies)
    assert row.state == "done"
    assert row.attempt == FEW + 2


def test_a_job_that_kills_its_servers_is_given_up(tmp_path):
    settings = StudioSettings(data=tmp_path, workers=0)
    folder = DataFolder(settings.data)
    queue = JobQueue(folder.table)
    job, states = add(folder, queue), []
    for number in range(queueing.MAX_LOSSES):
        queue.claim(f"worker of server {number}")  # which is killed now
        supervisor = Supervisor(settings, folder, queue, "json")
        supervisor.start()
        supervisor.close()
        states.append(queue.get(job).state)
    assert states == ["queued"] * (queueing.MAX_LOSSES - 1) + ["failed"]
    assert queue.get(job).problem["code"] == "worker_lost"


# --- what is kept ------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """Four ended jobs of 1000 bytes, one that waits, and one that runs."""
    folder = DataFolder(tmp_path)
    queue = JobQueue(folder.table)
    for number in range(6):
        job = add(folder, queue, number)
        (folder.locate(job) / "photo").write_bytes(bytes(1000))
        if number < 5:
            row = queue.claim("me")
        if number < 4:
            queue.end(row, "done", 1.0)
            with queue.change() as base:
                base.execute("UPDATE jobs SET ended = ? WHERE id = ?", (100.0 + number, job))
    return folder, queue


def clock_of(folder):
    return TrustedClock(folder.clock)


def left(folder, queue):
    jobs = sorted(int(job, 16) for job in queue.list_ids())
    assert sorted(int(path.name, 16) for path in folder.jobs.iterdir()) == jobs
    return jobs


def test_jobs_that_ended_long_ago_go(stored, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 110.0)
    folder, queue = stored
    sweep(StudioSettings(data=folder.path, keep_s=None), folder, queue, clock_of(folder))
    assert left(folder, queue) == [0, 1, 2, 3, 4, 5]
    sweep(StudioSettings(data=folder.path, keep_s=8.5), folder, queue, clock_of(folder))
    assert left(folder, queue) == [2, 3, 4, 5]
    sweep(StudioSettings(data=folder.path, keep_s=0.1), folder, queue, clock_of(folder))
    assert left(folder, queue) == [4, 5]  # never what has not ended


def test_drafts_that_pages_left_behind_go_after_a_day(stored, monkeypatch):
    folder, queue = stored
    with queue.change() as base:
        base.execute("UPDATE jobs SET draft = 1 WHERE id IN (?, ?)", (f"{1:032x}", f"{5:032x}"))
    for hours, there in ((23, [0, 1, 2, 3, 4, 5]), (25, [0, 2, 3, 4, 5])):
        monkeypatch.setattr(time, "time", lambda hours=hours: 110.0 + 3600 * hours)
        sweep(StudioSettings(data=folder.path, keep_s=None), folder, queue, clock_of(folder))
        assert left(folder, queue) == there


def test_where_the_disk_is_short_the_oldest_go(stored):
    folder, queue = stored
    settings = StudioSettings(data=folder.path, keep_s=None, max_disk=5000)
    sweep(settings, folder, queue, clock_of(folder))
    assert left(folder, queue) == [2, 3, 4, 5]
    sweep(
        StudioSettings(data=folder.path, keep_s=None, max_disk=1), folder, queue, clock_of(folder)
    )
    assert left(folder, queue) == [4, 5]


def test_the_trash_counts_and_goes_first(stored):
    folder, queue = stored
    settings = StudioSettings(data=folder.path, keep_s=None, max_disk=5000)
    sweep(settings, folder, queue, clock_of(folder))
    assert len(list(folder.trash.iterdir())) == 2
    used = sum(path.stat().st_size for path in folder.jobs.rglob("*") if path.is_file())
    sweep(replace(settings, max_disk=used + 1500), folder, queue, clock_of(folder))
    assert len(list(folder.trash.iterdir())) == 1
    assert left(folder, queue) == [2, 3, 4, 5]
    for _ in range(2):
        sweep(replace(settings, max_disk=1), folder, queue, clock_of(folder))
    assert left(folder, queue) == [4, 5]
    assert not list(folder.trash.iterdir())  # the limit is kept, whatever the retention


def test_what_kills_left_behind_goes_at_the_next_start(stored):
    folder, queue = stored
    half = folder.staging / ("e" * 32)
    folder.make(half)
    (half / "photo").write_bytes(b"a")
    folder.make(folder.locate("f" * 32))
    orphan = folder.locate(f"{1:032x}") / name_temporary(9999999)
    orphan.write_bytes(b"a")
    tidy_up(folder, queue, clock_of(folder))
    assert not list(folder.staging.iterdir())
    assert not orphan.exists()
    assert left(folder, queue) == [0, 1, 2, 3, 4, 5]
