"""Motion: warping, reliability, memory and blending, on flows that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from clips import HEIGHT, WIDTH, Passing, make_motion, texture, turn
from impasto.image.picture import to_levels
from impasto.video.stabilize.flow import LARGEST, DisEstimator
from impasto.video.stabilize.frame_memory import (
    FrameMemory,
    PaintedFrame,
    blend_with_memory,
    combine_memories,
    recall_frame,
)
from impasto.video.stabilize.motion import (
    find_consistent_flow,
    find_pixels_inside,
    find_smooth_motion,
    is_cut,
    measure_likeness,
    measure_reliability,
    warp_image,
)

STILL = np.eye(2)
MOTIONS = {
    "pan": (STILL, (3.4, -1.7)),
    "zoom": (turn(0, 1.06), (0, 0)),
    "rotation": (turn(4), (0.5, 0.2)),
}
within = np.s_[10:-10, 10:-10]


@pytest.mark.parametrize("name", MOTIONS)
def test_a_warp_along_the_true_flow_is_the_frame(name):
    frame, before, back, _ = make_motion(*MOTIONS[name])
    apart = np.abs(warp_image(before, back) - frame)[within]
    assert apart.max() < 0.01
    assert np.abs(before - frame)[within].mean() > 10 * apart.mean()


def test_a_warp_by_whole_pixels_is_a_copy():
    picture = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    flow = np.zeros((20, 30, 2), np.float32)
    flow[..., 0], flow[..., 1] = 3, -2
    for bicubic in (True, False):
        result = warp_image(picture, flow, bicubic=bicubic)
        assert np.allclose(result[2:, :-3], picture[:-2, 3:], atol=1e-6)
    assert not find_pixels_inside(flow)[:2].any()
    assert not find_pixels_inside(flow)[:, -3:].any()
    assert find_pixels_inside(flow)[2:, :-3].all()


def test_true_flows_agree_where_both_ends_are_seen():
    for matrix, shift in MOTIONS.values():
        _, _, back, ahead = make_motion(matrix, shift)
        agree = find_consistent_flow(back, ahead)
        assert np.array_equal(agree, find_pixels_inside(back)) or agree[within].all()


def test_flows_that_disagree_are_not_consistent():
    _, _, back, _ = make_motion(*MOTIONS["pan"])
    assert not find_consistent_flow(back, back).any()  # as if all went on the same way


def test_uncovered_pixels_and_motion_boundaries_are_unreliable():
    scene = Passing()
    there, back = scene.flow(1, 0), scene.flow(0, 1)
    sure = measure_reliability(there, back, scene.frame(1), scene.frame(0))
    assert not sure[scene.uncovered(1, 0)].any()
    inner = np.zeros((HEIGHT, WIDTH), bool)
    inner[27:37, 21:31] = True  # of the square at time 1
    assert sure[inner].min() > 0.9
    assert sure[:16].min() > 0.9
    boundary = scene.covers(1) & ~np.roll(scene.covers(1), 1, 1)
    assert not find_smooth_motion(there)[boundary].any()
    assert not sure[boundary].any()


def test_a_change_of_light_is_not_reliable():
    frame = texture(*np.meshgrid(np.arange(40.0), np.arange(30.0)))
    assert measure_likeness(frame, frame).min() == 1
    darker = (frame - 0.12).astype(np.float32)
    assert np.allclose(measure_likeness(frame, darker), np.exp(-0.5), atol=1e-3)


@pytest.mark.parametrize("name", MOTIONS)
def test_dis_finds_the_motion(name):
    frame, before, back, _ = make_motion(*MOTIONS[name], 160, 128)
    flow = DisEstimator().estimate_flow(frame, before)
    apart = np.linalg.norm(flow - back, axis=-1)[20:-20, 20:-20]
    assert np.median(apart) < 0.15
    assert (
        measure_reliability(flow, DisEstimator().estimate_flow(before, frame), frame, before)[
            20:-20, 20:-20
        ].mean()
        > 0.8
    )


def test_flow_of_large_frames_is_in_their_own_pixels():
    width = LARGEST + 400
    x = np.arange(width, dtype=np.float64)[None].repeat(64, 0)
    y = np.arange(64.0)[:, None].repeat(width, 1)
    frame, before = texture((x - 6) / 3, y / 3), texture(x / 3, y / 3)
    flow = DisEstimator().estimate_flow(frame, before)
    assert flow.shape == (64, width, 2)
    assert abs(np.median(flow[..., 0]) + 6) < 0.3


def test_a_new_picture_is_a_cut_and_a_fast_pan_is_not():
    x, y = np.meshgrid(np.arange(96.0), np.arange(64.0))
    first, pan = texture(x, y), texture(x + 7, y)
    other = (texture(y * 2 + 40, x * 3) * 0.4).astype(np.float32)
    for frame, cut in ((pan, False), (other, True)):
        there, back = (
            DisEstimator().estimate_flow(frame, first),
            DisEstimator().estimate_flow(first, frame),
        )
        assert is_cut(frame, first, measure_reliability(there, back, frame, first)) is cut


def test_a_shot_of_similar_light_is_a_cut_and_wild_motion_is_not():
    x, y = np.meshgrid(np.arange(96.0), np.arange(64.0))
    first, other = texture(x, y), texture(x * 1.4 + 80, -y)
    nothing, little = np.zeros((64, 96), np.float32), np.full((64, 96), 0.05, np.float32)
    assert is_cut(first, other, nothing)
    assert not is_cut(first, other, little)
    assert is_cut(first, (other * 0.6).astype(np.float32), little)


@pytest.mark.parametrize(("hidden", "cut"), [(0.28, False), (0.4, True)])
def test_an_object_that_enters_is_a_cut_only_if_it_fills_much_of_the_frame(hidden, cut):
    x, y = np.meshgrid(np.arange(100.0), np.arange(64.0))
    first, hardly = texture(x, y), np.full((64, 100), 0.04, np.float32)
    frame = first.copy()
    frame[:, : round(100 * hidden)] = 0  # no luma of the other's
    assert is_cut(frame, first, hardly) is cut


def make_memory(value, sure, shape=(8, 9)):
    return FrameMemory(
        np.full((*shape, 3), value, np.float32),
        np.full((*shape, 3), value / 2, np.float32),
        np.full(shape, sure, np.float32),
    )


def test_the_next_memory_fills_in_where_the_closest_is_unreliable():
    near, far = make_memory(0.2, 1.0), make_memory(0.8, 1.0)
    near.reliability[:4] = 0
    both = combine_memories([near, far], [1.0, 1.0])
    assert np.allclose(both.result[4:], 0.2)
    assert np.allclose(both.result[:4], 0.8)
    assert np.allclose(both.reliability, 1)


def test_shares_divide_pixels_that_both_memories_know():
    both = combine_memories([make_memory(0.2, 1.0), make_memory(0.8, 1.0)], [0.75, 0.25])
    assert np.allclose(both.result, 0.75 * 0.2 + 0.25 * 0.8)
    one = combine_memories([make_memory(0.2, 0.6), make_memory(0.8, 0.0)], [0.5, 0.5])
    assert np.allclose(one.result, 0.2)
    assert np.allclose(one.reliability, 0.6)


def test_unreliable_pixels_come_from_the_closest_memory():
    none = combine_memories([make_memory(0.2, 0.0), make_memory(0.8, 0.0)], [0.5, 0.5])
    assert np.allclose(none.result, 0.2)
    assert not none.reliability.any()


def test_a_memory_is_the_earlier_result_warped_to_the_present_frame():
    scene = Passing()

    class Known:
        def estimate_flow(self, frame, other):
            return scene.flow(1, 0) if np.array_equal(frame, scene.frame(1)) else scene.flow(0, 1)

    levels = to_levels(scene.frame(0), 8)
    memory = recall_frame(scene.frame(1), PaintedFrame(levels, 255 - levels), Known())
    sure = memory.reliability > 0.9
    assert sure.mean() > 0.5
    assert np.abs(memory.result - (1 - scene.frame(1)))[sure].max() < 0.02
    assert np.abs(memory.frame - scene.frame(1))[sure].max() < 0.02


def test_blending_keeps_reliable_colors_within_the_new_range():
    rng = np.random.default_rng(3)
    new = rng.random((20, 24, 3)).astype(np.float32)
    old = np.clip(new + rng.normal(0, 0.05, new.shape), 0, 1).astype(np.float32)
    sure = np.ones((20, 24), np.float32)
    sure[:, :10] = 0
    result = blend_with_memory(new, FrameMemory(old, old, sure), 1.0)
    assert np.array_equal(result[:, :10], new[:, :10])
    middle = np.abs(result - old)[4:-4, 14:-4]
    assert np.median(middle) == 0  # hardly anything leaves a range of 81 random pixels
    assert np.array_equal(blend_with_memory(new, FrameMemory(old, old, sure), 0.0), new)
    half = blend_with_memory(new, FrameMemory(old, old, sure), 0.5)
    assert np.allclose(half, (new + result) / 2, atol=1e-6)
    less_doubt = blend_with_memory(new, FrameMemory(old, old, 0.5 * sure), 0.25, 1 / 3)
    assert np.allclose(less_doubt, half, atol=1e-6)  # the third root of an eighth


def test_neither_ghosts_nor_drifts_of_brightness_are_remembered():
    flat = np.full((16, 16, 3), 0.6, np.float32)
    ghost = flat.copy()
    ghost[6:9, 6:9] = 0.1
    dark = (flat * 0.8).astype(np.float32)
    sure = np.ones((16, 16), np.float32)
    for old in (ghost, dark):
        assert np.allclose(blend_with_memory(flat, FrameMemory(old, old, sure), 1.0), flat)
