"""The queue by itself: who gets what, and who may no longer say anything."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import pytest

pytest.importorskip("fastapi")

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from impasto.studio.problems import Problem, make_problem
from impasto.studio.queue.job_queue import JobQueue, NewJob
from impasto.studio.queue.job_rows import ENDED, JobSpec

SPEC = JobSpec({"a": 1}, ("a.jpg", "b.jpg"), (None,), ((8, 8), (9, 9)), style_masks=(True,))
STEP = {"iteration": 1}


@pytest.fixture
def queue(tmp_path):
    queue = JobQueue(tmp_path / "queue.sqlite")
    yield queue
    queue.close()


def add(queue, number, **changes):
    return queue.add(NewJob(f"{number:032x}", SPEC, **changes), max_queue=9999)[0]


def test_a_job_comes_back_as_it_was_put_in(queue, tmp_path):
    row = add(queue, 1, draft=True, title="a\u2028b")
    other = JobQueue(tmp_path / "queue.sqlite")
    assert other.get(row.id) == row
    assert row.spec == SPEC
    assert (row.draft, row.title, row.state) == (True, "a\u2028b", "queued")
    other.close()


def test_drafts_first_then_in_the_order_of_arrival(queue):
    jobs = [add(queue, number, draft=number in (2, 4)).seq for number in range(6)]
    order = []
    while (row := queue.claim("me")) is not None:
        order.append(jobs.index(row.seq))
    assert order == [2, 4, 0, 1, 3, 5]


def test_a_job_goes_to_one_worker_however_many_ask(tmp_path, queue):
    for number in range(60):
        add(queue, number)
    claims = []

    def work(name):
        own = JobQueue(tmp_path / "queue.sqlite", durable=False)
        while (row := own.claim(name)) is not None:
            claims.append(row.id)
            own.report(row, STEP, None, 0.0)
            assert own.end(row, "done", 0.0)
        own.close()

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claims) == len(set(claims)) == 60
    assert queue.count_states() == {"done": 60}
    assert queue.read_totals()["done"] == 60


def test_one_key_is_one_job_however_many_come_at_once(tmp_path, queue):
    additions = []

    def ask(number):
        own = JobQueue(tmp_path / "queue.sqlite")
        additions.append(own.add(NewJob(f"{number:032x}", SPEC, key="k", digest="b"), max_queue=99))
        own.close()

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({row.id for row, _ in additions}) == 1
    assert sum(new for _, new in additions) == 1


def test_a_worker_that_was_given_up_changes_nothing(queue):
    add(queue, 1)
    first = queue.claim("first")
    queue.release_lost("first")
    second = queue.claim("second")
    assert (second.id, second.attempt) == (first.id, 2)
    assert queue.report(first, {"iteration": 7}, 7, 1.0) == "gone"
    assert not queue.end(first, "done", 1.0)
    queue.requeue(first, 1.0)
    row = queue.get(first.id)
    assert (row.state, row.worker, row.progress) == ("running", "second", None)
    assert queue.end(second, "done", 1.0)


@pytest.mark.parametrize("way", ["lost", "recover", "requeue", "end"])
def test_what_was_cancelled_stays_so_whatever_happens_to_its_worker(queue, way):
    add(queue, 1)
    row = queue.claim("me")
    queue.ask(row.id, "cancel")
    queue.ask(row.id, "stop")
    {
        "lost": lambda: queue.release_lost("me"),
        "recover": queue.requeue_all,
        "requeue": lambda: queue.requeue(row, 0.0),
        "end": lambda: queue.end(row, "done", 0.0),
    }[way]()
    assert queue.get(row.id).state == "cancelled"
    assert queue.get(row.id).ended is not None
    assert (queue.read_totals()["cancelled"], "done" in queue.read_totals()) == (1, False)
    assert queue.claim("other") is None


def test_a_stop_outlives_the_worker_that_was_asked(queue):
    add(queue, 1)
    row = queue.claim("me")
    queue.ask(row.id, "stop")
    queue.release_lost("me")
    again = queue.claim("other")
    assert queue.report(again, STEP, None, 0.0) == "stop"


def test_as_many_jobs_make_way_as_drafts_wait_for_a_worker(queue):
    for number in range(3):
        add(queue, number)
    first, second = queue.claim("one"), queue.claim("two")

    def making_way():
        return [queue.must_yield_to_draft(row, 3) for row in (first, second)]

    states = [making_way()]
    for number in (3, 4, 5, 6):
        add(queue, number, draft=True)
        states.append(making_way())
    # One worker is free; the job that came last goes first.
    assert states == [[False, False], [False, False], [False, True], [True, True], [True, True]]
    assert not queue.must_yield_to_draft(queue.claim("three"), 3)  # itself a draft


def test_each_end_is_counted_once_as_what_it_was(queue):
    add(queue, 1)
    queue.ask(add(queue, 2).id, "cancel")
    queue.end(queue.claim("me"), "stopped", 1.0)
    queue.resume(f"{1:032x}", 99)
    queue.end(queue.claim("me"), "done", 1.0)
    totals = queue.read_totals()
    assert {name: totals[name] for name in ENDED if name in totals} == {
        "cancelled": 1,
        "stopped": 1,
        "done": 1,
    }


def test_a_full_disk_costs_a_job_and_not_the_queue(queue):
    first = add(queue, 1)
    pages = queue.query("PRAGMA page_count")[0][0]
    queue.query(f"PRAGMA max_page_count = {pages}")

    def fill():
        for number in range(2, 999):
            add(queue, number, title="x" * 200)

    with pytest.raises(sqlite3.OperationalError) as raised:
        fill()
    assert make_problem(raised.value).code == "no_resources"
    queue.query(f"PRAGMA max_page_count = {pages + 999}")
    assert add(queue, 999).state == "queued"
    assert queue.claim("me").id == first.id


class Life(RuleBasedStateMachine):
    """Anything may happen to jobs in any order; each is in one place, and none is lost."""

    def __init__(self):
        super().__init__()
        self.queue = JobQueue(":memory:")
        self.added = self.removed = self.workers = 0
        self.claims = {}

    def teardown(self):
        self.queue.close()

    @rule(draft=st.booleans())
    def add(self, draft):
        add(self.queue, self.added, draft=draft)
        self.added += 1

    @rule()
    def claim(self):
        self.workers += 1
        row = self.queue.claim(f"w{self.workers}")
        if row is not None:
            assert row.id not in {each.id for each in self.claims.values()}
            self.claims[f"w{self.workers}"] = row

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), how=st.sampled_from(["done", "stopped", "failed", "back", "lost"]))
    def let_go(self, data, how):
        name = data.draw(st.sampled_from(sorted(self.claims)))
        row = self.claims.pop(name)
        if how == "back":
            self.queue.requeue(row, 1.0)
        elif how == "lost":
            assert self.queue.release_lost(name).id == row.id
        else:
            assert self.queue.end(row, how, 1.0)
        assert self.queue.get(row.id).state != "running"

    @precondition(lambda self: self.added)
    @rule(data=st.data(), what=st.sampled_from(["stop", "cancel", "resume", "remove"]))
    def ask(self, data, what):
        job = f"{data.draw(st.integers(0, self.added - 1)):032x}"
        running = job in {row.id for row in self.claims.values()}
        with contextlib.suppress(Problem):  # not in a state for that, or removed
            if what == "remove":
                gone = self.queue.remove(job)
                self.removed += gone
                assert not (gone and running)
            elif what == "resume":
                self.queue.resume(job, 9999)
                assert not running
            else:
                self.queue.ask(job, what)

    @rule()
    def restart(self):
        self.queue.requeue_all()
        self.claims.clear()

    @invariant()
    def nothing_is_lost_or_doubled(self):
        states = self.queue.count_states()
        assert sum(states.values()) == self.added - self.removed
        assert states.get("running", 0) == len(self.claims)
        assert set(states) <= {"queued", "running", *ENDED}


Life.TestCase.settings = hypothesis_settings(max_examples=25, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
