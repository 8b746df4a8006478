"""The data folder: what is the studio's own is removed late, and nothing else ever is."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest

pytest.importorskip("fastapi")

from impasto.errors import InputError
from impasto.image.files.atomic import name_temporary
from impasto.studio.queue import clock as clocks
from impasto.studio.queue.clock import TrustedClock
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.housekeeping import finish_deletions, sweep, tidy_up
from impasto.studio.queue.job_files import RESULT
from impasto.studio.queue.job_queue import JobQueue, NewJob
from impasto.studio.queue.job_rows import JobSpec
from impasto.studio.settings import DAY_S, StudioSettings
from impasto.studio.workers.supervisor import Supervisor
from studios import accepted, inside, post, studio_of, work

SPEC = JobSpec({}, ("a", "b"), (None,), ((8, 8), (8, 8)))
FOREIGN = "f" * 32
MARKERS = ("studio.json", ".impasto-studio", "clock.json")


@pytest.fixture
def machine(monkeypatch):
    """A machine's time and uptime, to be set."""

    class Machine:
        wall = time.time()
        uptime = 1000.0
        boot = "first"

        def run(self, seconds):
            self.wall += seconds
            self.uptime += seconds

    machine = Machine()
    monkeypatch.setattr(time, "time", lambda: machine.wall)
    monkeypatch.setattr(clocks, "measure_uptime", lambda: machine.uptime)
    monkeypatch.setattr(clocks, "read_boot_id", lambda: machine.boot)
    return machine


def start(data, **settings):
    """A server without workers starts and ends."""
    settings = StudioSettings(data=data, workers=0, **settings)
    folder = DataFolder(data)
    queue = JobQueue(folder.table)
    supervisor = Supervisor(settings, folder, queue, "json")
    supervisor.start()
    supervisor.close()
    return folder, queue


def add(folder, queue, number, state="done", draft=False):
    """A job, with a result if it is done."""
    job = f"{number:032x}"
    folder.make(folder.locate(job))
    (folder.locate(job) / "photo").write_bytes(b"a photo")
    new = NewJob(job, SPEC, draft=draft, title=f"job {number}", key=f"k{number}", digest="b")
    queue.add(new, max_queue=9999)
    if state != "queued":
        row = queue.claim("me")
        (folder.locate(job) / RESULT).write_bytes(b"a result")
        assert queue.end(row, state, 1.0, size=(8, 8))
    folder.write_record(job, queue.read_records(job)[job])
    return job


def files_of(path):
    return {
        str(each.relative_to(path)): each.read_bytes()
        for each in path.rglob("*")
        if each.is_file() and each.name not in MARKERS
    }


def trash_of(folder):
    return sorted(path.name[-32:] for path in folder.trash.iterdir())


def jobs_of(folder):
    return sorted(path.name for path in folder.jobs.iterdir())


# --- what is not the studio's ------------------------------------------------------------------


def put_foreign(place):
    """Files and folders of somebody else, some of them named as the studio names its own."""
    for name in ("holiday", FOREIGN, "20200101T000000Z-" + FOREIGN):
        (place / name).mkdir()
        (place / name / RESULT).write_bytes(b"mine")
        (place / name / ".impasto-1-deadbeef").write_bytes(b"mine")
    (place / ("e" * 32)).write_bytes(b"a file")
    (place / "notes.txt").write_bytes(b"mine")


def test_what_is_not_the_studios_stays_in_its_folders(tmp_path, machine, caplog):
    folder, queue = start(tmp_path)
    job = add(folder, queue, 1)
    for place in (folder.jobs, folder.staging, folder.trash):
        put_foreign(place)
    (folder.jobs / "link").symlink_to(tmp_path.parent, target_is_directory=True)
    before = files_of(tmp_path)
    caplog.clear()
    with caplog.at_level(logging.INFO, "impasto.studio"):
        _, queue = start(tmp_path)
    records = [each for each in caplog.records if each.message.startswith("left alone")]
    assert [each.entries for each in records] == [5 + 5 + 1]
    clock = TrustedClock(folder.clock)
    machine.run(90 * DAY_S)
    sweep(StudioSettings(data=tmp_path, keep_s=1.0, trash_s=0), folder, queue, clock)
    mine = f"jobs/{job}/"
    after = {name: data for name, data in before.items() if not name.startswith(mine)}
    assert {name: data for name, data in files_of(tmp_path).items() if "sqlite" not in name} == {
        name: data for name, data in after.items() if "sqlite" not in name
    }
    assert (folder.jobs / "link").is_symlink()


def test_the_folder_of_another_studio_is_not_ones_own(tmp_path):
    first, queue = start(tmp_path / "first")
    second, _ = start(tmp_path / "second")
    job = add(first, queue, 1)
    shutil.copytree(first.locate(job), second.locate(job))
    shutil.copytree(first.locate(job), second.staging / job)
    shutil.copytree(first.locate(job), first.locate(FOREIGN))  # of this one, but under another name
    start(tmp_path / "second")
    _, queue = start(tmp_path / "first")
    assert (second.locate(job) / RESULT).exists()
    assert (second.staging / job / RESULT).exists()
    assert (first.locate(FOREIGN) / RESULT).exists()
    assert queue.list_ids() == {job}


def test_a_job_whose_folder_was_replaced_leaves_what_took_its_place(tmp_path, machine):
    folder, queue = start(tmp_path)
    job = add(folder, queue, 1)
    shutil.rmtree(folder.locate(job))
    folder.locate(job).mkdir()
    (folder.locate(job) / "diary").write_bytes(b"mine")
    clock = TrustedClock(folder.clock)
    machine.run(90 * DAY_S)
    sweep(StudioSettings(data=tmp_path, trash_s=0), folder, queue, clock)
    assert queue.list_ids() == set()
    assert (folder.locate(job) / "diary").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["jobs", "staging", "trash", "queue.sqlite", "lock"])
def test_a_folder_of_somebody_elses_with_such_names_is_refused(tmp_path, name):
    if name in ("jobs", "staging", "trash"):
        put_foreign_job = tmp_path / name / FOREIGN
        put_foreign_job.mkdir(parents=True)
        (put_foreign_job / RESULT).write_bytes(b"mine")
    else:
        (tmp_path / name).write_bytes(b"mine")
    before = files_of(tmp_path)
    with pytest.raises(InputError, match=f"holds {name} but is no data folder") as raised:
        DataFolder(tmp_path)
    assert "\n" not in str(raised.value)
    assert files_of(tmp_path) == before
    assert not (tmp_path / ".impasto-studio").exists()


def test_the_command_refuses_such_a_folder_in_one_line(tmp_path):
    (tmp_path / "jobs" / FOREIGN).mkdir(parents=True)
    command = [sys.executable, "-m", "impasto", "serve", "--no-open", "--port", "0"]
    process = subprocess.run(
        [*command, "--data", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "is no data folder of the studio" in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert (tmp_path / "jobs" / FOREIGN).is_dir()


def test_a_folder_with_other_files_is_used_beside_them(tmp_path):
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    start(tmp_path)
    start(tmp_path)
    assert (tmp_path / "lost+found").is_dir()
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"


def test_a_marker_of_a_later_version_is_not_overwritten(tmp_path):
    marker = tmp_path / ".impasto-studio"
    for text in ('{"format": "impasto studio 9"}', "nonsense"):
        marker.write_text(text)
        with pytest.raises(InputError, match="not a marker that this version reads"):
            DataFolder(tmp_path)
        assert marker.read_text() == text


# --- a table that is gone ----------------------------------------------------------------------


def test_jobs_are_listed_again_when_the_table_was_moved_away(tmp_path):
    folder, queue = start(tmp_path / "data")
    ids = [add(folder, queue, number) for number in range(12)]
    waiting = add(folder, queue, 12, "queued")
    rows = {job: queue.get(job) for job in ids}
    queue.close()
    for path in folder.path.glob("queue.sqlite*"):
        path.rename(tmp_path / path.name)
    before = files_of(folder.path)
    folder, queue = start(folder.path)
    assert {name: before[name] for name in before if name.startswith("jobs")} == {
        name: data for name, data in files_of(folder.path).items() if name.startswith("jobs")
    }
    assert trash_of(folder) == []
    assert {job: queue.get(job).spec for job in ids} == {job: rows[job].spec for job in ids}
    assert {queue.get(job).state for job in ids} == {"done"}
    assert [queue.get(job).ended for job in ids] == [rows[job].ended for job in ids]
    assert [row.id for row in queue.list_newest(None, 99)] == [waiting, *ids[::-1]]
    assert queue.get(waiting).state == "stopped"
    assert queue.resume(waiting, 9).state == "queued"


def test_a_job_of_the_api_has_what_it_takes_to_be_listed_again(tmp_path):
    with inside(tmp_path) as client:
        job = accepted(post(client, title="my cat"))
        queue = studio_of(client).queue
        row = queue.claim("me")
    for path in tmp_path.glob("queue.sqlite*"):
        path.unlink()
    with inside(tmp_path) as client:
        answer = client.get(f"/v1/jobs/{job['id']}").json()
        assert (answer["title"], answer["state"]) == ("my cat", "stopped")
        assert answer["recipe"] == row.spec.recipe
        assert client.get(answer["links"]["photo"]).status_code == 200


def test_a_job_that_cannot_be_listed_again_stays(tmp_path):
    folder, queue = start(tmp_path)
    jobs = [add(folder, queue, number) for number in range(3)]
    mark = json.loads((folder.locate(jobs[0]) / "studio.json").read_text())
    (folder.locate(jobs[0]) / "studio.json").write_text(
        json.dumps(mark | {"record": {"id": jobs[0]}})
    )
    (folder.locate(jobs[1]) / "studio.json").write_text(json.dumps(mark | {"job": jobs[1]}))
    mark = json.loads((folder.locate(jobs[2]) / "studio.json").read_text())
    (folder.locate(jobs[2]) / "studio.json").write_text(json.dumps(mark | {"record": None}))
    queue.close()
    folder.table.unlink()
    _, queue = start(tmp_path)
    assert queue.list_ids() == set()
    assert jobs_of(folder) == jobs
    assert all((folder.locate(job) / RESULT).exists() for job in jobs)


def test_a_table_without_its_log_is_not_opened_in_its_place(tmp_path):
    folder, queue = start(tmp_path)
    add(folder, queue, 1)
    queue.close()
    folder.table.unlink()
    rest = tmp_path / "queue.sqlite-wal"
    rest.write_bytes(b"what the table does not hold yet")
    with pytest.raises(InputError, match=r"its table queue\.sqlite is missing"):
        DataFolder(tmp_path)
    assert rest.exists()


def test_a_table_that_is_damaged_is_refused_and_stays(tmp_path):
    folder, queue = start(tmp_path)
    job = add(folder, queue, 1)
    queue.close()
    folder.table.write_bytes(b"nonsense" * 1000)
    with pytest.raises(InputError, match="damaged, or not the studio's table"):
        DataFolder(tmp_path)
    assert folder.table.read_bytes() == b"nonsense" * 1000
    folder.table.unlink()
    assert start(tmp_path)[1].list_ids() == {job}


def test_a_table_that_a_kill_left_without_its_columns_is_begun_anew(tmp_path):
    base = sqlite3.connect(tmp_path / "queue.sqlite")
    base.execute("PRAGMA journal_mode = WAL")
    base.close()
    assert (tmp_path / "queue.sqlite").stat().st_size > 0
    folder, queue = start(tmp_path)
    add(folder, queue, 1)


def test_what_a_client_deleted_is_not_listed_again(tmp_path, monkeypatch):
    with inside(tmp_path) as client:
        job = accepted(post(client))["id"]
        folder = studio_of(client).folder
        monkeypatch.setattr(folder, "delete", lambda job: None)  # the server is killed before that
        assert client.delete(f"/v1/jobs/{job}?forget=true").status_code == 204
        assert folder.locate(job).exists()
    _, queue = start(tmp_path)
    assert queue.list_ids() == set()
    assert jobs_of(folder) == trash_of(folder) == []


# --- data folders of 0.1 -----------------------------------------------------------------------


def make_old(data, numbers):
    """A data folder as 0.1 left it: no markers, and a table of its columns."""
    folder = DataFolder(data)
    queue = JobQueue(folder.table)
    jobs = [add(folder, queue, number) for number in numbers]
    queue.close()
    for path in (*data.rglob("studio.json"), data / ".impasto-studio", data / "clock.json"):
        path.unlink(missing_ok=True)
    folder.trash.rmdir()
    return jobs


def test_a_data_folder_of_the_first_version_is_adopted(tmp_path, machine):
    jobs = make_old(tmp_path, range(3))
    put_foreign(tmp_path / "jobs")
    before = files_of(tmp_path / "jobs")
    folder, queue = start(tmp_path)
    assert queue.list_ids() == set(jobs)
    assert files_of(folder.jobs) == before
    assert all(folder.read_mark(folder.locate(job)) for job in jobs)
    assert folder.read_mark(folder.locate(FOREIGN)) is None
    # From now on it is as any other.
    assert not DataFolder(tmp_path).is_adopting
    queue.close()
    folder.table.unlink()
    assert start(tmp_path)[1].list_ids() == set(jobs)


def test_an_adoption_that_was_cut_short_is_gone_on_with(tmp_path):
    jobs = make_old(tmp_path, range(3))
    DataFolder(tmp_path)  # the server is killed before the jobs have their markers
    folder, _ = start(tmp_path)
    assert all(folder.read_mark(folder.locate(job)) for job in jobs)


def test_jobs_of_the_first_version_without_their_table_are_not_touched(tmp_path):
    make_old(tmp_path, range(3))
    (tmp_path / "queue.sqlite").unlink()
    before = files_of(tmp_path)
    with pytest.raises(InputError, match=r"put queue\.sqlite back"):
        DataFolder(tmp_path)
    assert files_of(tmp_path) == before


# --- the trash ---------------------------------------------------------------------------------


def test_what_is_swept_stays_in_the_trash_for_its_retention(tmp_path, machine):
    folder, queue = start(tmp_path)
    old = add(folder, queue, 1)
    machine.run(3 * DAY_S)
    young = add(folder, queue, 2)
    settings = StudioSettings(data=tmp_path, keep_s=2 * DAY_S, trash_s=5 * DAY_S)
    clock = TrustedClock(folder.clock)
    sweep(settings, folder, queue, clock)
    assert queue.list_ids() == {young}
    assert (jobs_of(folder), trash_of(folder)) == ([young], [old])
    (place,) = folder.trash.iterdir()
    assert (place / RESULT).read_bytes() == b"a result"
    for days, there in ((1, True), (3, True), (2, False)):
        machine.run(days * DAY_S)
        sweep(
            StudioSettings(data=tmp_path, keep_s=None, trash_s=settings.trash_s),
            folder,
            queue,
            clock,
        )
        assert place.exists() == there
    assert jobs_of(folder) == [young]


def test_without_retention_what_is_swept_is_deleted(tmp_path, machine):
    folder, queue = start(tmp_path)
    add(folder, queue, 1)
    machine.run(3 * DAY_S)
    sweep(
        StudioSettings(data=tmp_path, keep_s=DAY_S, trash_s=0),
        folder,
        queue,
        TrustedClock(folder.clock),
    )
    assert jobs_of(folder) == trash_of(folder) == []


def test_what_was_moved_back_from_the_trash_is_listed_and_kept(tmp_path, machine):
    folder, queue = start(tmp_path)
    job = add(folder, queue, 1)
    machine.run(3 * DAY_S)
    settings = StudioSettings(data=tmp_path, keep_s=2 * DAY_S)
    sweep(settings, folder, queue, TrustedClock(folder.clock))
    (place,) = folder.trash.iterdir()
    place.rename(folder.locate(job))
    queue.close()
    _, queue = start(tmp_path)
    sweep(settings, folder, queue, TrustedClock(folder.clock))
    assert queue.get(job).state == "done"
    assert jobs_of(folder) == [job]


def test_a_job_whose_folder_is_not_the_studios_is_not_painted(tmp_path):
    with inside(tmp_path) as client:
        job = accepted(post(client))["id"]
        place = studio_of(client).folder.locate(job)
        (place / "studio.json").unlink()
        (place / "scan.1.npy").write_bytes(b"mine")
        before = files_of(place)
        work(client)
        answer = client.get(f"/v1/jobs/{job}").json()
        assert (answer["state"], answer["problem"]["code"]) == ("failed", "bad_input")
        assert files_of(place) == before


def test_uploads_that_a_kill_left_behind_go_to_the_trash(tmp_path):
    folder, _ = start(tmp_path)
    folder.make(folder.staging / ("a" * 32))
    folder.make(folder.locate("b" * 32))
    start(tmp_path)
    assert trash_of(folder) == ["a" * 32, "b" * 32]
    assert jobs_of(folder) == []


def test_what_a_client_deletes_is_deleted_at_once(tmp_path):
    with inside(tmp_path) as client:
        folder = studio_of(client).folder
        running = accepted(post(client))["id"]
        queue = studio_of(client).queue
        queue.claim("me")
        assert client.delete(f"/v1/jobs/{running}?forget=true").status_code == 204
        assert client.get(f"/v1/jobs/{running}").status_code == 404
        assert jobs_of(folder) == [running]  # until the worker has let go of it
        queue.acknowledge_deletions("me")
        finish_deletions(folder, queue)
        waiting = accepted(post(client))["id"]
        for _ in range(2):  # cancelled, then removed
            assert client.delete(f"/v1/jobs/{waiting}").status_code == 204
        assert jobs_of(folder) == trash_of(folder) == []


def test_a_cut_short_deletion_is_ended_by_the_next_sweep(tmp_path, monkeypatch):
    folder, queue = start(tmp_path)
    job = add(folder, queue, 1)
    with monkeypatch.context() as patched:
        patched.setattr(folder, "erase", lambda place: False)
        queue.remove(job)
        folder.delete(job)
    assert trash_of(folder) == [job]
    sweep(StudioSettings(data=tmp_path), folder, queue, TrustedClock(folder.clock))
    assert trash_of(folder) == []


# --- clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["while it runs", "between servers", "since the first version"])
def test_a_clock_that_jumps_ahead_sweeps_nothing(tmp_path, machine, caplog, when):
    folder, queue = start(tmp_path)
    jobs = [add(folder, queue, number, draft=number % 2 == 0) for number in range(65)]
    settings = StudioSettings(data=tmp_path)
    clock = TrustedClock(folder.clock)
    machine.wall += 40 * DAY_S
    if when != "while it runs":
        machine.boot, machine.uptime = "second", 10.0
        if when == "since the first version":
            folder.clock.unlink()
        clock = TrustedClock(folder.clock, queue.read_latest_time())
    with caplog.at_level(logging.INFO, "impasto.studio"):
        for _ in range(30):
            machine.run(60)
            sweep(settings, folder, queue, clock)
    assert queue.list_ids() == set(jobs)
    assert trash_of(folder) == []
    messages = [each.message for each in caplog.records if "jumped" in each.message]
    assert len(messages) <= 1
    # It is put right: nothing has been lost, and ages count from where they were.
    machine.wall -= 40 * DAY_S
    machine.run(60)
    sweep(settings, folder, queue, clock)
    assert clock.now == pytest.approx(machine.wall)
    assert queue.list_ids() == set(jobs)


def test_a_jump_is_trusted_once_the_clock_was_stable(tmp_path, machine):
    folder, queue = start(tmp_path)
    jobs = [add(folder, queue, number) for number in range(3)]
    clock = TrustedClock(folder.clock)
    machine.wall += 40 * DAY_S
    for hours in (0, 12, 11):
        machine.run(3600 * hours)
        sweep(StudioSettings(data=tmp_path), folder, queue, clock)
        assert queue.list_ids() == set(jobs)
    clock = TrustedClock(folder.clock)  # a restart does not begin the wait anew
    machine.run(3600 * 2)
    sweep(StudioSettings(data=tmp_path), folder, queue, clock)
    assert queue.list_ids() == set()
    assert trash_of(folder) == jobs


def test_time_that_has_passed_is_no_jump(tmp_path, machine):
    folder, queue = start(tmp_path)
    add(folder, queue, 1)
    machine.run(40 * DAY_S)  # the machine was on, the server was not
    sweep(StudioSettings(data=tmp_path), folder, queue, TrustedClock(folder.clock))
    assert queue.list_ids() == set()


def test_a_jump_does_not_empty_the_trash(tmp_path, machine):
    folder, queue = start(tmp_path)
    job = add(folder, queue, 1)
    machine.run(31 * DAY_S)
    settings, clock = StudioSettings(data=tmp_path), TrustedClock(folder.clock)
    sweep(settings, folder, queue, clock)
    assert trash_of(folder) == [job]
    machine.wall += 40 * DAY_S
    for _ in range(3):  # even when the new time has come to be trusted
        sweep(settings, folder, queue, clock)
        machine.run(DAY_S)
    assert clock.now > time.time() - 2 * DAY_S
    assert trash_of(folder) == [job]
    folder.clock.unlink()
    clock = TrustedClock(folder.clock)
    sweep(settings, folder, queue, clock)
    assert trash_of(folder) == [job]
    machine.run(7 * DAY_S)
    sweep(settings, folder, queue, clock)
    assert trash_of(folder) == []


def test_a_damaged_clock_file_is_begun_anew(tmp_path, machine):
    folder, _ = start(tmp_path)
    for text in ("", "nonsense", "[]", '{"wall": null}'):
        folder.clock.write_text(text)
        assert TrustedClock(folder.clock).now == machine.wall


@pytest.mark.parametrize(("jobs", "most"), [(65, 10), (120, 12)])
def test_a_sweep_removes_a_few_at_a_time_the_oldest_first(tmp_path, machine, jobs, most):
    folder, queue = start(tmp_path)
    for number in range(jobs):
        add(folder, queue, number)
        machine.run(1)
    clock = TrustedClock(folder.clock)
    machine.run(31 * DAY_S)
    sweep(StudioSettings(data=tmp_path), folder, queue, clock)
    assert trash_of(folder) == [f"{number:032x}" for number in range(most)]
    assert len(queue.list_ids()) == jobs - most
    machine.run(8 * DAY_S)
    before = len(trash_of(folder))
    sweep(StudioSettings(data=tmp_path, keep_s=None), folder, queue, clock)
    assert before - len(trash_of(folder)) == min(before, max(10, (jobs - most) // 10))


def test_the_limit_of_the_disk_is_kept_a_few_at_a_time_too(tmp_path):
    folder, queue = start(tmp_path)
    for number in range(25):
        add(folder, queue, number)
    sweep(
        StudioSettings(data=tmp_path, keep_s=None, max_disk=1),
        folder,
        queue,
        TrustedClock(folder.clock),
    )
    assert len(queue.list_ids()) == 15


def test_what_servers_begin_at_once_has_one_id(tmp_path, monkeypatch):
    first = DataFolder(tmp_path)
    (tmp_path / ".impasto-studio").rename(tmp_path / "held")
    shutil.rmtree(first.jobs)
    link = os.link

    def late(source, target):
        (tmp_path / "held").rename(target)  # the other server was faster
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert DataFolder(tmp_path).id == first.id
    assert not list(tmp_path.glob(".impasto-studio-*"))


def test_temporary_files_are_removed_from_own_jobs_only(tmp_path):
    folder, queue = start(tmp_path)
    job = add(folder, queue, 1)
    name = name_temporary(9999999)
    (folder.locate(job) / name).write_bytes(b"half")
    folder.locate(FOREIGN).mkdir()
    (folder.locate(FOREIGN) / name).write_bytes(b"mine")
    tidy_up(folder, queue, TrustedClock(folder.clock))
    assert not (folder.locate(job) / name).exists()
    assert (folder.locate(FOREIGN) / name).exists()
