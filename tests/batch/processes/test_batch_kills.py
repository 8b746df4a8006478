"""Kills, signals and lost workers of a batch, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import synthetic_photo
from impasto.batch import batch_run
from impasto.batch.batch_job import BatchJob, Outcome
from impasto.batch.batch_record import BatchRecord
from impasto.batch.batch_run import run_jobs
from impasto.batch.processes.executors import WorkerLost
from impasto.batch.processes.patience import NoWorkersError, Patience
from impasto.cli import main
from impasto.recipe.recipe import Recipe
from impasto.record.provenance import read_provenance
from processes import is_spawned, running

pytestmark = pytest.mark.usefixtures("narrow_encoder")

PHOTOS = 12
RECORD = Path("out/impasto-batch.jsonl")
JOB = ["photos", "--style", "painting.png", "-o", "out", "--size", "48", "--iterations", "8"]
JOB += ["--set", "style.distance=gram", "--set", "style.layers={ relu2_1 = 1 }"]
JOB += ["--set", "content.layers={ relu2_1 = 1 }"]


@pytest.fixture(autouse=True)
def in_work(work, monkeypatch):
    monkeypatch.chdir(work)
    Path("photos").mkdir()
    for number in range(PHOTOS):
        shifted = np.roll(synthetic_photo(), 5 * number, axis=1)
        Image.fromarray(shifted).save(f"photos/{number}.png")
    return work


def start(*arguments: str) -> AbstractContextManager[subprocess.Popen]:
    command = [sys.executable, "-m", "impasto", "batch", *JOB, *arguments]
    # Ray's own default is nice 15, which on a busy machine is hardly any time at all.
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    return running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def read_lines() -> list[dict]:
    """Read the complete lines; the last one may be incomplete."""
    whole = RECORD.read_text().split("\n")[:-1] if RECORD.exists() else []
    return [json.loads(line) for line in whole if line]


def read_events(kind: str) -> list[dict]:
    return [line for line in read_lines() if line["event"] == kind]


def wait_for(what: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    while not what():
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def list_pids() -> set[int]:
    return {int(line["worker"].rpartition(":")[2]) for line in read_events("done")}


def check_all_made_once() -> None:
    """Check that nothing is missing or repeated, and that pictures equal an undisturbed run's."""
    counts = Counter(line["output"] for line in read_events("done"))
    assert counts == {f"{number}.png": 1 for number in range(PHOTOS)}
    main(["batch", *JOB[:4], "whole", *JOB[5:], "--executor", "serial", "--quiet"])
    for number in range(PHOTOS):
        name = f"{number}.png"
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
        assert read_provenance(Path("out", name)).inputs[0][0] == name
    assert [path.name for path in Path("out").iterdir() if path.name.startswith(".")] == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_kills_lose_only_the_jobs_that_were_running():
    with start("--workers", "1") as process:
        wait_for(lambda: read_events("done"), process)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=600)
    assert process.returncode == 130, messages
    assert "finishing the current pictures" in messages.decode()
    assert "the same command continues" in messages.decode()
    assert (
        len(read_events("begun")) == len(read_events("done")) < PHOTOS
    )  # what was begun was ended
    before = len(read_events("done"))

    with start("--workers", "2") as process:
        wait_for(lambda: len(read_events("done")) >= before + 1, process)
        process.kill()
    workers = list_pids()
    wait_for(lambda: not any(map(is_alive, workers)))  # they do not outlive their parent
    in_flight = len(read_events("begun")) - len(read_events("done"))
    assert 0 <= in_flight <= 2
    before = len(read_events("done"))
    assert before < PHOTOS

    with start("--workers", "2", "--json") as process:
        wait_for(lambda: len(read_events("begun")) > before + in_flight + 1, process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(next(filter(is_spawned, map(int, children))), signal.SIGKILL)
        out, messages = process.communicate(timeout=600)
    assert process.returncode == 0, messages
    report = json.loads(out.splitlines()[-1])
    assert report["made"] + report["done_before"] == PHOTOS
    assert report["failed"] == []
    check_all_made_once()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_watch_loses_and_repeats_nothing():
    last = Path(f"photos/{PHOTOS - 1}.png").rename("late.png")
    with start("--watch", "--workers", "1") as process:
        wait_for(lambda: len(read_events("done")) >= 2, process)
        process.kill()
    workers = list_pids()
    wait_for(lambda: not any(map(is_alive, workers)))
    assert len(read_events("done")) < PHOTOS - 1
    last.rename(f"photos/{PHOTOS - 1}.png")  # while nobody watches
    with start("--watch", "--workers", "1") as process:
        wait_for(lambda: len(read_events("done")) >= PHOTOS, process)
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=600)
    assert process.returncode == 0, messages
    assert len(read_events("begun")) <= PHOTOS + 1  # with what was in flight at the kill
    check_all_made_once()


@pytest.mark.slow
def test_a_ray_worker_that_is_killed_costs_nothing():
    """Kill one of two actors of a real cluster during its work."""
    pytest.importorskip("ray")
    with start("--executor", "ray", "--workers", "2", "--json") as process:
        wait_for(list_pids, process)
        os.kill(min(list_pids()), signal.SIGKILL)
        out, messages = process.communicate(timeout=600)
    assert process.returncode == 0, messages
    report = json.loads(out.splitlines()[-1])
    assert (report["made"], report["failed"]) == (PHOTOS, [])
    assert len(list_pids()) > 1
    assert len(read_events("begun")) == PHOTOS + 1  # what it was at was given to another
    check_all_made_once()


def test_a_second_signal_ends_it_at_once():
    with start("--workers", "1", "--iterations", "1000000") as process:
        wait_for(lambda: read_events("begun"), process)
        process.send_signal(signal.SIGINT)
        # Two that come before the first is taken are one.
        while b"Ctrl-C again quits at once" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert messages.decode().splitlines()[-1] == "impasto: interrupted"
    assert not list(Path("out").glob("*.png"))


class Scripted:
    """An executor whose workers die at some photos, a given number of times."""

    def __init__(self, deaths: dict[str, int]) -> None:
        self.deaths = Counter(deaths)
        self.submissions: list[BatchJob] = []

    is_free = True

    def submit(self, jobs):
        job = jobs[0]
        self.submissions += jobs
        future = Future()
        if self.deaths[job.photo] > 0:
            self.deaths[job.photo] -= 1
            future.set_exception(WorkerLost("killed"))
        elif job.photo == "unsendable":
            future.set_exception(TypeError("cannot pickle"))
        elif job.photo.startswith("full"):
            future.set_result([Outcome(job, "the disk is full", full=True)])
        else:
            future.set_result([Outcome(each, sha256="0", bytes=1) for each in jobs])
        return future


def make_jobs(*photos: str) -> list[BatchJob]:
    return [
        BatchJob(f"{p}.png", p, ("s",), f"out/{p}.png", Recipe(), "id", "1-1-1") for p in photos
    ]


def split_jobs(several: list[BatchJob]) -> list[list[BatchJob]]:
    return [[job] for job in several]


def test_jobs_lost_together_are_retried_one_by_one():
    executor = Scripted({"a": 1})
    with closing(BatchRecord(RECORD)) as record:
        groups = iter([make_jobs("a", "b"), make_jobs("c", "d")])
        photos = [o.job.photo for o in run_jobs(groups, executor, 1, record, []) if o.is_done]
    assert photos == ["a", "b", "c", "d"]
    assert [job.again for job in executor.submissions] == [False, False, True, True, False, False]


def test_a_photo_whose_worker_died_is_retried_once_and_then_fails():
    executor = Scripted({"once": 1, "always": 9})
    with closing(BatchRecord(RECORD)) as record:
        photos = make_jobs("a", "once", "always", "unsendable", "b")
        outcomes = {
            o.job.photo: o for o in run_jobs(iter(split_jobs(photos)), executor, 2, record, [])
        }
    assert {photo for photo, outcome in outcomes.items() if outcome.is_done} == {"a", "once", "b"}
    assert "two workers were lost while making it: killed" in outcomes["always"].error
    assert "cannot pickle" in outcomes["unsendable"].error
    tried = Counter(job.photo for job in executor.submissions)
    assert tried == {"a": 1, "once": 2, "always": 2, "unsendable": 1, "b": 1}
    assert [job.again for job in executor.submissions if job.photo == "once"] == [False, True]


def test_jobs_are_not_given_to_workers_that_are_not_ready(monkeypatch):
    class Away(Scripted):
        questions = 0

        @property
        def is_free(self) -> bool:
            self.questions += 1
            return self.questions % 3 == 0

        def submit(self, jobs):
            assert self.questions % 3 == 0
            return super().submit(jobs)

    monkeypatch.setattr(batch_run, "POLL_S", 0.01)
    executor = Away({"b": 1})
    with closing(BatchRecord(RECORD)) as record:
        ended = list(run_jobs(iter(split_jobs(make_jobs("a", "b", "c"))), executor, 2, record, []))
    assert [outcome.job.photo for outcome in ended if outcome.is_done] == ["a", "b", "c"]


def test_a_batch_waits_for_lost_workers_and_then_gives_up(monkeypatch):
    class Lost(Scripted):
        """Takes two jobs, is busy for long, takes one more, and is never free again."""

        questions = 0

        @property
        def is_free(self) -> bool:
            self.questions += 1
            return len(self.submissions) < 2 or (self.questions > 12 and len(self.submissions) < 3)

    now, notices = [0.0], []

    def tick() -> float:
        now[0] += 10
        return now[0]

    monkeypatch.setattr(batch_run, "POLL_S", 0.0)
    executor = Lost({"b": 1})
    ended = []
    with closing(BatchRecord(RECORD)) as record:
        groups = iter(split_jobs(make_jobs("a", "b", "c", "d")))
        outcomes = run_jobs(
            groups, executor, 1, record, [], Patience(100, notices.append, clock=tick)
        )
        with pytest.raises(NoWorkersError, match="no worker available for 100 s"):
            ended.extend(outcomes)
    assert [outcome.job.photo for outcome in ended if outcome.is_done] == ["a", "b"]
    assert len(notices) == 2  # once for each time that there was none
    assert all("no worker available for 30 s; waiting" in line for line in notices)
    assert [line["output"] for line in read_events("done")] == ["a.png", "b.png"]
    assert [job.photo for job in executor.submissions] == ["a", "b", "b"]


def test_no_job_starts_after_a_stop_or_on_a_full_disk():
    executor, stop = Scripted({"lost": 1}), []
    with closing(BatchRecord(RECORD)) as record:
        outcomes = run_jobs(
            iter(split_jobs(make_jobs("a", "lost", "b", "c"))), executor, 1, record, stop
        )
        assert next(outcomes).job.photo == "a"
        stop.append(2)
        assert list(outcomes) == []
        assert [job.photo for job in executor.submissions] == ["a"]
        executor = Scripted({"lost": 1})
        photos = make_jobs("full", "full too", "lost", "e")
        ended = list(run_jobs(iter(split_jobs(photos[:3])), executor, 3, record, []))
        assert [outcome.job.photo for outcome in ended] == ["full", "full too"]
        assert executor.submissions == photos[:3]  # what was lost is not begun again
        executor = Scripted({})
        assert len(list(run_jobs(iter(split_jobs(photos)), executor, 2, record, []))) == 2


def test_a_picture_written_by_a_dead_worker_is_not_made_again():
    from impasto.batch.batch_job import WorkerSettings, WorkerShare
    from impasto.batch.processes.batch_worker import BatchWorker

    Path("out").mkdir()
    Path("out/0.png").write_bytes(b"whole, for it is written so")
    job = replace(make_jobs("photos/0.png")[0], output="out/0.png", again=True)
    (outcome,) = BatchWorker(WorkerSettings()).work([job], WorkerShare())
    assert outcome.is_done
    assert Path("out/0.png").read_bytes() == b"whole, for it is written so"
