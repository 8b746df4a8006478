"""Halos and repetition on pictures whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from impasto.evaluate.artifacts import halo, repetition

SIDE = 160
LOW, HIGH = 0.3, 0.7
RANDOM = np.random.default_rng(5)


def draw_disk() -> np.ndarray:
    """Lightness of a bright disk on a dark ground, and nothing else."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return np.where(np.hypot(x, y) < SIDE / 4, HIGH, LOW)


def add_rings(plane: np.ndarray, height: float, first: int = 2, last: int = 5) -> np.ndarray:
    """Brighten the inner and darken the outer side of the disk's edge by ``height``."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    distance = SIDE / 4 - np.hypot(x, y)
    near = (np.abs(distance) > first) & (np.abs(distance) < last)
    return plane + np.where(near, np.sign(distance) * height, 0)


def draw_strokes(strength: float, side: int = SIDE) -> np.ndarray:
    noise = ndimage.gaussian_filter(RANDOM.normal(size=(side, side)), 1.5, mode="wrap")
    return strength * noise / noise.std()


def test_a_ring_of_a_fifth_of_the_step_is_measured():
    photo = draw_disk()
    ringed = add_rings(photo, (HIGH - LOW) / 5)
    assert halo(photo, ringed) == pytest.approx(0.2, abs=0.02)


def test_the_ring_counts_as_much_where_the_result_inverts_the_photo():
    photo = draw_disk()
    assert halo(photo, 1 - add_rings(photo, 0.08)) == pytest.approx(0.2, abs=0.02)


def test_rings_are_found_under_strokes_and_strokes_are_no_rings():
    photo = draw_disk()
    strokes = draw_strokes(0.05)
    assert halo(photo, photo + strokes) < 0.05
    assert halo(photo, add_rings(photo, 0.08) + strokes) == pytest.approx(0.2, abs=0.06)


def test_sharp_soft_and_inverted_edges_have_no_halo():
    photo = draw_disk()
    for result in (photo, ndimage.gaussian_filter(photo, 3), 1 - photo, np.full_like(photo, 0.5)):
        assert halo(photo, result) < 0.01


def test_a_ring_beside_an_uneven_side_is_found_on_the_even_side():
    photo = draw_disk()
    inside = photo > 0.5
    photo[inside] += draw_strokes(0.08)[inside]
    assert halo(photo, add_rings(photo, 0.08)) == pytest.approx(0.2, abs=0.04)


def test_a_photo_without_edges_has_no_halo():
    flat = np.full((40, 40), 0.5)
    assert halo(flat, flat + draw_strokes(0.2, 40)) == 0


def test_a_pattern_that_repeats_is_1_and_independent_strokes_are_little():
    flat = np.full((SIDE, SIDE), 0.5)
    tile = draw_strokes(0.05, SIDE // 8)
    assert repetition(flat, flat + np.tile(tile, (8, 8))) > 0.95
    assert repetition(flat, flat + draw_strokes(0.05)) < 0.15


def test_half_of_the_energy_in_a_pattern_is_a_half():
    flat = np.full((SIDE, SIDE), 0.5)
    tile = draw_strokes(0.05, SIDE // 8)
    mixed = np.tile(tile, (8, 8)) + draw_strokes(float(tile.std()))
    assert repetition(flat, flat + mixed) == pytest.approx(0.5, abs=0.12)


def test_only_places_where_the_photo_is_flat_count():
    photo = np.full((SIDE, SIDE), 0.5)
    photo[:, : SIDE // 2] += draw_strokes(0.1)[:, : SIDE // 2]
    pattern = np.tile(draw_strokes(0.05, SIDE // 8), (8, 8))
    strokes = draw_strokes(0.05)
    left = np.arange(SIDE) < SIDE // 2 - 10
    assert repetition(photo, photo + np.where(left, pattern, strokes)) < 0.3
    assert repetition(photo, photo + np.where(left, strokes, pattern)) > 0.8


def test_nothing_is_measured_where_there_is_nothing():
    busy = 0.5 + draw_strokes(0.2)
    flat = np.full((SIDE, SIDE), 0.5)
    assert repetition(busy, busy) == 0
    assert repetition(flat, flat) == 0
    assert repetition(flat[:16, :16], flat[:16, :16]) == 0
    assert halo(draw_disk()[32:48, 32:48], busy[:16, :16]) == 0


def test_both_are_the_same_in_a_mirror():
    photo = draw_disk()
    result = add_rings(photo, 0.05) + draw_strokes(0.03)
    for measure in (halo, repetition):
        value = measure(photo, result)
        assert value == pytest.approx(measure(photo[:, ::-1], result[:, ::-1]), abs=0.03)
        assert value == pytest.approx(measure(photo.T, result.T), abs=0.03)
