"""Working at the unsure places of a frame first: which boxes, what they are judged by, and that
all the rest stays as it is meanwhile."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import synthetic_painting, synthetic_photo
from impasto.engine.inputs import Inputs
from impasto.errors import InputError
from impasto.image.files.decode import read_picture
from impasto.image.masks import Mask
from impasto.image.picture import Picture
from impasto.objective.focused import Focus, FocusedObjective
from impasto.objective.losses.temporal import PastResult
from impasto.objective.tiles import make_tile
from impasto.optimize.focus import SQUARE, UNSURE, WORTH, find_focus
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.optimize.past_frames import PastFrames
from impasto.recipe.recipe import load_recipe
from objectives import make_whole, narrow_vgg, picture

pytestmark = pytest.mark.usefixtures("narrow_encoder")

CELL = 8


def reliability(height, width, *patches):
    """1 but for patches (top, left, height, width), which are 0."""
    sure = np.ones((height, width), np.float32)
    for top, left, tall, wide in patches:
        sure[top : top + tall, left : left + wide] = 0
    return sure


def owners(focus, height, width):
    """How many tiles own each pixel."""
    count = np.zeros((height, width), int)
    for tile in (*focus.changing, *focus.unchanged):
        count[tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop] += 1
    return count


patch = st.tuples(*(st.integers(0, limit) for limit in (250, 350, 90, 90)))


@settings(max_examples=60, deadline=None)
@given(st.integers(40, 300), st.integers(40, 400), st.lists(patch, max_size=5))
def test_boxes_own_every_pixel_once_and_hold_all_that_is_unsure(height, width, patches):
    sure = reliability(height, width, *patches)
    focus = find_focus(sure, CELL)
    squares = [
        (slice(top, top + SQUARE), slice(left, left + SQUARE))
        for top in range(0, height - SQUARE + 1, SQUARE)
        for left in range(0, width - SQUARE + 1, SQUARE)
    ]
    # Those at the right and below have what is left over too.
    inner = [s for s in squares if s[0].stop + SQUARE <= height and s[1].stop + SQUARE <= width]
    unsure = [s for s in inner if 1 - sure[s].mean() > UNSURE + 1e-3]
    if focus is None:
        return
    assert (owners(focus, height, width) == 1).all()
    assert 0 < focus.cost <= WORTH
    outside = focus.make_mask().numpy()
    assert all(not outside[square].any() for square in unsure)
    assert sum(tile.area for tile in focus.changing) == pytest.approx(focus.cost * height * width)
    for tile in (*focus.changing, *focus.unchanged):
        for span in (tile.rows, tile.columns):
            assert span.start % CELL == span.first % CELL == 0


def test_patches_that_are_apart_have_boxes_of_their_own_and_close_ones_share():
    apart = find_focus(reliability(320, 480, (32, 32, 64, 64), (224, 384, 64, 64)), CELL)
    assert apart is not None
    assert len(apart.changing) == 2
    close = find_focus(reliability(320, 480, (32, 32, 64, 64), (32, 128, 64, 64)), CELL)
    assert close is not None
    (tile,) = close.changing
    assert (tile.columns.start, tile.columns.stop) == (32, 192)
    assert (tile.rows.first, tile.rows.last) == (16, 112)


@pytest.mark.parametrize("sure", [0.0, 0.7, 1.0])
def test_nothing_and_everything_and_what_is_half_sure_all_over_have_no_boxes(sure):
    assert find_focus(np.full((200, 300), sure, np.float32), CELL) is None


SIZE = 176, 240
"""Of which the left 160 columns are worked at: five squares of 32."""


def objectives(recipe, halo):
    encoder, photo = narrow_vgg(recipe), picture(*SIZE, 1)
    past = PastResult(picture(*SIZE, 5), picture(*SIZE, 6)[0, 0])
    whole = make_whole(recipe, encoder, photo, [picture(70, 83, 2)], past=past)
    image = picture(*SIZE, 4)
    rows = slice(0, SIZE[0] // 32)
    box, still = (
        make_tile(rows, columns, SIZE, 32, halo) for columns in (slice(0, 5), slice(5, 7))
    )
    return whole, FocusedObjective(whole, image, Focus((box,), (still,), 1.0)), image


RECIPES = {
    "standard": {},
    "wasserstein": {"style.distance": "wasserstein"},
    "remd": {"style.distance": "remd"},
    "self_similarity": {"content.kind": "self_similarity", "content.weight": 30.0},
    "palette": {"palette.weight": 100.0, "smoothness.weight": 0.1},
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_part_is_judged_as_in_the_whole(name):
    changes = {"temporal.weight": 30.0, **RECIPES[name]}
    whole, part, image = objectives(load_recipe("standard").with_changes(changes), halo=40)
    losses, gradient = whole.evaluate(image)
    values, slope = part.evaluate(image)
    assert values == pytest.approx(losses, rel=1e-9)
    assert part.compute_losses(image) == pytest.approx(losses, rel=1e-9)
    deep = slice(0, 160 - 40)  # of what stays nothing sees these columns
    scale = gradient.abs().max()
    assert (slope - gradient)[..., deep].abs().max() <= 1e-9 * scale
    assert (slope - gradient).abs().max() > 1e-3 * scale
    changed = image.clone()
    changed[..., :100] = picture(*SIZE, 9)[..., :100]
    assert part.compute_losses(changed) == pytest.approx(whole.compute_losses(changed), rel=1e-9)


def test_a_small_halo_is_a_little_off():
    whole, part, image = objectives(load_recipe("standard"), halo=16)
    losses, values = whole.compute_losses(image), part.compute_losses(image)
    assert values["total"] == pytest.approx(losses["total"], rel=0.02)
    assert values["total"] != pytest.approx(losses["total"], rel=1e-9)


@pytest.mark.usefixtures("real_encoder")
def test_places_outside_the_boxes_stay_until_all_of_the_frame_is_worked_at():
    recipe = load_recipe("standard").with_changes({"size": 192, "schedule": {"total": 3}})
    engine = OptimizerEngine(recipe)
    photo, painting = (
        Picture(read_picture(each).resize(192, 144).pixels)
        for each in (synthetic_photo(), synthetic_painting())
    )
    sure = reliability(144, 192, (32, 32, 64, 64))
    focus = find_focus(sure, engine.focus_cell)
    assert focus is not None
    before = PastFrames(photo, photo, Mask(sure, "sure"), focus, focus_iterations=4)
    steps = list(engine.run(Inputs(photo, (painting,)), past=before))
    assert [each.iteration for each in steps] == list(range(1, 8))
    assert [each.total for each in steps] == [7] * 7
    outside = focus.make_mask().numpy() == 1
    pictures = [photo.pixels, *(each.picture().pixels for each in steps)]
    moved = [np.abs(b - a) for a, b in pairwise(pictures)]
    assert max(each[outside].max() for each in moved[:4]) < 1e-6
    assert moved[2][~outside].max() > 1e-3
    assert moved[6][outside].max() > 1e-3
    losses = [each.losses["total"] for each in steps]
    assert losses[3] < losses[0]
    assert losses[6] < losses[3]


def frame(total=3, size=(192, 144)):
    """Engine, inputs, and a past that looks like neither picture; four iterations in a box."""
    recipe = load_recipe("standard").with_changes({"size": size[0], "schedule": {"total": total}})
    engine = OptimizerEngine(recipe)
    photo, painting = (
        Picture(read_picture(each).resize(*size).pixels)
        for each in (synthetic_photo(), synthetic_painting())
    )
    past = Picture(np.ascontiguousarray(photo.pixels[::-1, :, ::-1]))
    sure = reliability(size[1], size[0], (32, 32, 32, 32))
    before = PastFrames(
        past, past, Mask(sure, "sure"), find_focus(sure, engine.focus_cell), focus_iterations=4
    )
    return engine, Inputs(photo, (painting,)), before


def test_what_stays_is_what_the_frame_begins_with_and_not_the_photo():
    engine, inputs, before = frame()
    step = next(engine.run(inputs, past=before))
    outside = before.focus.make_mask().numpy() == 1
    pixels = step.picture().pixels
    assert np.abs(pixels - before.start.pixels)[outside].max() < 1e-6
    assert np.abs(pixels - inputs.photo.pixels)[outside].mean() > 0.05


def test_boxes_are_judged_with_what_the_frame_begins_with(monkeypatch):
    images = []
    init = FocusedObjective.__init__

    def note(self, whole, image, focus):
        images.append(image)
        init(self, whole, image, focus)

    monkeypatch.setattr(FocusedObjective, "__init__", note)
    engine, inputs, before = frame()
    next(engine.run(inputs, past=before))
    (image,) = images
    np.testing.assert_allclose(image[0].permute(1, 2, 0), before.start.pixels, atol=1e-6)


@pytest.mark.parametrize("stop", [3, 4, 5])
def test_a_run_that_is_stopped_in_boxes_or_after_them_resumes_to_the_bit(stop, tmp_path):
    engine, inputs, before = frame(size=(96, 64))
    *_, whole = engine.run(inputs, past=before)
    steps = engine.run(inputs, past=before, checkpoint=tmp_path / "state")
    for _ in range(stop):
        next(steps)
    steps.close()
    rest = list(engine.run(inputs, past=before, resume=tmp_path / "state"))
    assert [each.iteration for each in rest] == list(range(stop + 1, 8))
    assert np.array_equal(rest[-1].picture().pixels, whole.picture().pixels)
    elsewhere = find_focus(reliability(64, 96, (0, 0, 32, 32)), engine.focus_cell)
    for other in (
        replace(before, focus=elsewhere),
        replace(before, focus=None, focus_iterations=0),
    ):
        with pytest.raises(InputError, match="belongs to another"):
            engine.run(inputs, past=other, resume=tmp_path / "state")


def test_a_focus_that_is_not_for_the_run_is_refused():
    engine, inputs, before = frame(size=(96, 64))
    scales = OptimizerEngine(
        load_recipe("standard").with_changes({"size": 96, "schedule.coarsest": 48})
    )
    matched = OptimizerEngine(
        load_recipe("nnst").with_changes({"size": 96, "schedule": {"total": 2}})
    )
    larger = find_focus(reliability(96, 128, (0, 0, 32, 32)), CELL)
    for run, past in (
        (scales, before),
        (matched, before),
        (engine, replace(before, focus_iterations=0)),
        (engine, replace(before, focus=larger)),
    ):
        with pytest.raises(InputError, match=r"a focus of|a focus is not"):
            run.run(inputs, past=past)


def test_in_tiles_there_are_no_boxes():
    engine, inputs, before = frame(total=2)
    tiled = OptimizerEngine(engine.recipe.with_changes({"tile": 64}))
    steps = list(tiled.run(inputs, past=before))
    assert [(each.scale, each.tile) for each in steps] == [(1, 64)] * 2


def test_scattered_squares_are_joined_and_boxes_do_not_meet():
    generator = np.random.default_rng(3)
    for share in (0.05, 0.3, 0.6):
        sure = np.kron(generator.random((12, 16)) > share, np.ones((32, 32))).astype(np.float32)
        focus = find_focus(sure, CELL)
        if share < 0.3:
            assert focus is not None
        if focus is not None:
            assert (owners(focus, 384, 512) == 1).all()


def test_squares_of_large_frames_are_larger():
    focus = find_focus(reliability(1080, 1920, (512, 512, 128, 128)), CELL)
    assert focus is not None
    (tile,) = focus.changing
    assert tile.rows.start % 64 == tile.columns.start % 64 == 0
    assert (tile.rows.stop - tile.rows.start) % 64 == 0


def test_where_memory_runs_out_all_of_the_frame_is_judged_in_tiles(monkeypatch):
    recipe = load_recipe("standard").with_changes({"size": 192, "schedule": {"total": 2}})
    engine = OptimizerEngine(recipe)
    photo = Picture(read_picture(synthetic_photo()).resize(192, 144).pixels)
    sure = reliability(144, 192, (32, 32, 64, 64))
    before = PastFrames(
        photo, photo, Mask(sure, "sure"), find_focus(sure, engine.focus_cell), focus_iterations=2
    )

    def none_left(*_):
        raise MemoryError

    monkeypatch.setattr(FocusedObjective, "evaluate", none_left)
    monkeypatch.setattr("impasto.optimize.passes.TILES", (64,))
    steps = list(engine.run(Inputs(photo, (read_picture(synthetic_painting()),)), past=before))
    assert [(each.scale, each.fell_back) for each in steps] == [(0, True), (1, True), (1, True)]
    assert steps[-1].losses["total"] < steps[0].losses["total"]
