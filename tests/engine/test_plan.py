"""The pace of a run: what is expected, what is seen, and what does not count."""

from __future__ import annotations

import pytest

from impasto.engine import plan
from impasto.engine.plan import Pace


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

        def pass_by(self, seconds):
            self.now += seconds

    watch = Clock()
    monkeypatch.setattr(plan.time, "monotonic", lambda: watch.now)
    return watch


def test_the_first_iteration_of_a_scale_does_not_count_where_a_pace_is_known(clock):
    pace = Pace(expected=0.5)
    pace.begin()
    clock.pass_by(900)  # targets are measured
    assert pace.update(100) == 0.5
    clock.pass_by(200)
    assert pace.update(100) == 2
    clock.pass_by(400)
    assert pace.update(100) == 3
    pace.begin()
    clock.pass_by(5000)
    assert pace.update(400) == 3


def test_without_an_expectation_the_first_iteration_is_all_there_is(clock):
    pace = Pace()
    pace.begin()
    clock.pass_by(900)
    assert pace.update(100) == 9
    clock.pass_by(100)
    assert pace.update(100) == 1
