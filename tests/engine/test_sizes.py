"""Scales and painting sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.engine.plan import TILED_WORK, estimate_total_work
from impasto.engine.sizes import SHORTEST, Scale, fit_painting, is_over, plan_scales
from impasto.optimize.budget.probe import PROBE_SIDES, choose_probe_scale
from impasto.recipe.recipe import load_recipe
from impasto.recipe.tables import Schedule


def test_one_scale_without_a_coarsest():
    (scale,) = plan_scales(Schedule(iterations=7), 300, 200)
    assert (scale.width, scale.height, scale.iterations) == (300, 200, 7)


def test_doubling_from_the_coarsest():
    plan = plan_scales(Schedule(coarsest=128, iterations=10, growth=2, most=35), 512, 256)
    assert [(s.width, s.height, s.iterations) for s in plan] == [
        (128, 64, 35),
        (256, 128, 20),
        (512, 256, 10),
    ]


def test_a_small_picture_has_one_scale():
    plan = plan_scales(Schedule(coarsest=128, iterations=3), 100, 80)
    assert [(s.width, s.height) for s in plan] == [(100, 80)]


@given(
    st.integers(16, 3000),
    st.integers(16, 3000),
    st.integers(16, 256),
    st.floats(1.1, 4),
    st.integers(1, 500),
    st.one_of(st.none(), st.integers(1, 2000)),
)
def test_every_plan_ends_at_the_size_asked_for(width, height, coarsest, factor, its, total):
    schedule = Schedule(coarsest=coarsest, factor=factor, iterations=its, growth=1.5, total=total)
    plan = plan_scales(schedule, width, height)
    assert (plan[-1].width, plan[-1].height) == (width, height)
    assert all(s.iterations >= 1 and min(s.width, s.height) >= SHORTEST - 1 for s in plan)
    assert [s.width for s in plan] == sorted(s.width for s in plan)
    if total is not None:
        assert sum(s.iterations for s in plan) == total


@given(st.integers(50, 3000), st.integers(50, 3000), st.floats(0.5, 2))
def test_a_painting_takes_the_results_area_times_scale_squared(width, height, scale):
    w, h = fit_painting((width, height), (512, 384), scale)
    if min(w, h) > SHORTEST:
        assert w * h == pytest.approx(512 * 384 * scale**2, rel=0.06)
        assert w / h == pytest.approx(width / height, rel=0.06)


def test_a_large_picture_has_the_scales_of_a_small_one_and_more():
    schedule = load_recipe("standard").schedule
    small, large = plan_scales(schedule, 512, 384), plan_scales(schedule, 4096, 3072)
    assert large[: len(small)] == small
    assert [s.iterations for s in large] == [80, 40, 20, 10, 8, 8]


def test_the_work_of_tiles_counts_their_halos_and_passes():
    scales = (Scale(100, 50, 4), Scale(200, 100, 2))
    assert estimate_total_work(scales, 0, 16) == 5 * 5_000 + 3 * 20_000
    share = (200 + 32) / 200  # two tiles across, each with a halo on its inner side; one down
    tiled = estimate_total_work(scales, 100, 16)
    assert tiled == pytest.approx(5 * 5_000 + 3 * 20_000 * TILED_WORK * share)


def test_a_scale_is_over_when_its_iterations_are():
    scale = Scale(64, 48, 30)
    flat = [1.0] * 40
    assert [is_over(flat[:n], scale, Schedule()) for n in (0, 29, 30)] == [False, False, True]


def test_a_scale_is_over_when_ten_iterations_gain_less_than_the_tolerance():
    scale, schedule = Scale(64, 48, 1000), Schedule(until="converged", tolerance=0.01)
    falling = [0.9**n for n in range(30)]
    assert not any(is_over(falling[:n], scale, schedule) for n in range(30))
    slow = falling + [falling[-1] * (1 - 0.0009 * n) for n in range(1, 12)]
    ends = [is_over(slow[:n], scale, schedule) for n in range(len(slow))]
    assert ends.index(True) == 40
    # A line search that fails for some iterations is not the end, nor is one lucky step.
    assert not is_over([*falling, 5.0, 5.0, 5.0, falling[-1] * 0.95], scale, schedule)


def test_the_probe_is_small_whatever_the_result():
    assert choose_probe_scale(4096, 2048) == Scale(PROBE_SIDES["cpu"], PROBE_SIDES["cpu"] // 2, 1)
    assert choose_probe_scale(100, 60) == Scale(100, 60, 1)
    assert choose_probe_scale(8000, 100) == Scale(1280, 16, 1)
