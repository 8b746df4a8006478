"""The temporal term: against the papers' sums, in tiles, and what it does to a run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import synthetic_painting, synthetic_photo
from impasto.engine.inputs import Inputs
from impasto.engine.step import Step
from impasto.errors import InputError
from impasto.image.files.decode import read_picture
from impasto.image.masks import Mask
from impasto.image.picture import Picture
from impasto.objective.losses.temporal import PastResult, temporal_energy
from impasto.optimize import focus
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.optimize.past_frames import PastFrames
from impasto.recipe.recipe import load_recipe
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.optimizer_frames import (
    ENOUGH,
    SURE,
    UNSURE,
    Effort,
    OptimizerFrameEngine,
    choose_effort,
    measure_work,
    predict_start,
)
from impasto.video.stabilize.frame_memory import FrameMemory, combine_memories
from objectives import (
    assert_equal_evaluations,
    make_neighbors,
    make_tiled,
    make_whole,
    narrow_vgg,
    picture,
)

pytestmark = pytest.mark.usefixtures("narrow_encoder")


def past(height, width, seed):
    return PastResult(picture(height, width, seed), picture(height, width, seed + 1)[0, 0])


def test_the_energy_is_the_sum_and_its_gradient_the_pull():
    image, before = picture(9, 11, 1).requires_grad_(), past(9, 11, 2)
    energy, apart = temporal_energy(image, before), image.detach() - before.picture
    slow = sum(
        float(before.reliability[y, x]) * float(apart[0, c, y, x]) ** 2
        for c in range(3)
        for y in range(9)
        for x in range(11)
    )
    assert float(energy.detach()) == pytest.approx(slow / 3, rel=1e-12)
    (gradient,) = torch.autograd.grad(energy, image)
    expected = 2 / 3 * before.reliability * apart
    assert torch.allclose(gradient, expected, atol=1e-14)


def test_one_term_is_the_long_term_loss_but_for_a_constant():
    rng = np.random.default_rng(5)
    memories = [
        FrameMemory(*(rng.random((6, 7, 3)).astype(np.float32) for _ in range(2)), sure)
        for sure in (rng.random((2, 6, 7)) * 0.7).astype(np.float32)
    ]
    shares = [1.0, 1.0]
    both = combine_memories(memories, shares)
    first = memories[0].reliability
    second = np.minimum(memories[1].reliability, 1 - first)  # the closest first

    def separate(image):
        return sum(
            (w * np.square(image - m.result).mean(-1)).sum()
            for w, m in zip((first, second), memories, strict=True)
        )

    def together(image):
        return (both.reliability * np.square(image - both.result).mean(-1)).sum()

    images = rng.random((4, 6, 7, 3))
    apart = [separate(each) - together(each) for each in images]
    assert np.ptp(apart) < 1e-5 * together(images[0])


@pytest.mark.parametrize("side", [16, 32, 48])
def test_tiles_give_the_same_term(side):
    recipe = load_recipe("standard").with_changes({"temporal.weight": 30.0})
    encoder, photo, styles = narrow_vgg(recipe), picture(61, 83, 1), [picture(70, 50, 2)]
    before, image = past(61, 83, 5), picture(61, 83, 9)
    whole = make_whole(recipe, encoder, photo, styles, past=before)
    tiled = make_tiled(recipe, encoder, photo, styles, side=side, past=before)
    assert_equal_evaluations(whole, tiled, image)
    loss = whole.compute_losses(image)["temporal"]
    assert loss == pytest.approx(30 * float(temporal_energy(image, before)) / (61 * 83), rel=1e-12)


def test_neighbors_know_the_term():
    recipe = load_recipe("nnst").with_changes({"temporal.weight": 30.0})
    encoder, photo, styles = narrow_vgg(recipe), picture(64, 80, 1), [picture(70, 72, 2)]
    before, image = past(64, 80, 5), picture(64, 80, 9)
    objective = make_neighbors(recipe, encoder, photo, styles, past=before)
    energy = float(temporal_energy(image, before)) / (64 * 80)
    assert objective.compute_losses(image)["temporal"] == pytest.approx(30 * energy, rel=1e-6)


def test_without_a_past_or_a_weight_there_is_no_term():
    recipe = load_recipe("standard")
    encoder, photo = narrow_vgg(recipe), picture(32, 40, 1)
    plain = make_whole(recipe, encoder, photo, [photo], past=past(32, 40, 5))
    weighted = recipe.with_changes({"temporal.weight": 1.0})
    for objective in (plain, make_whole(weighted, encoder, photo, [photo])):
        assert "temporal" not in objective.compute_losses(photo)


PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
INPUTS = Inputs(read_picture(PHOTO), (read_picture(PAINTING),))


def results(weight, sure, solver="bounded", iterations=5):
    """Of a run that begins gray and is kept near white where it is sure."""
    recipe = load_recipe("standard").with_changes(
        {
            "size": 64,
            "schedule": {"total": iterations},
            "temporal.weight": weight,
            "solver": {"kind": solver},
        }
    )
    height, width = PHOTO.shape[:2]
    gray, white = (Picture(np.full((height, width, 3), v, np.float32)) for v in (0.5, 1.0))
    mask = Mask(np.full((height, width), sure, np.float32), "sure")
    return list(OptimizerEngine(recipe).run(INPUTS, past=PastFrames(gray, white, mask)))


def test_a_run_begins_where_it_is_told():
    first = results(0.0, 1.0, iterations=1)[0]
    assert np.abs(first.picture().pixels - 0.5).max() < 1e-6


@pytest.mark.parametrize("solver", ["bounded", "lbfgs", "lbfgsb", "adam"])
def test_every_solver_follows_the_pull_where_it_is_reliable(solver):
    free = results(300.0, 0.0, solver)[-1]
    pulled = results(300.0, 1.0, solver)[-1]
    assert free.losses["temporal"] == 0
    brightness = [each.picture().pixels.mean() for each in (free, pulled)]
    assert brightness[1] > brightness[0] + 0.05


def test_the_past_is_part_of_what_a_checkpoint_is_of(tmp_path):
    recipe = load_recipe("sketch").with_changes({"size": 64, "schedule.total": 3})
    engine, photo = OptimizerEngine(recipe), read_picture(PHOTO)
    mask = Mask(np.ones(PHOTO.shape[:2], np.float32), "sure")
    steps = engine.run(INPUTS, past=PastFrames(photo, photo, mask), checkpoint=tmp_path / "state")
    next(steps)
    steps.close()
    with pytest.raises(Exception, match="another photo"):
        engine.run(INPUTS, resume=tmp_path / "state")


def test_a_frame_begins_with_what_is_remembered_and_what_has_changed():
    frame, earlier, result = (np.full((4, 5, 3), v, np.float32) for v in (0.7, 0.4, 0.2))
    sure = np.zeros((4, 5), np.float32)
    sure[:, 2:] = 1
    start = predict_start(frame, FrameMemory(result, earlier, sure))
    assert np.allclose(start[:, 2:], 0.2)
    assert np.allclose(start[:, :2], 0.5)


def evenly(sure):
    return np.full((144, 256), sure, np.float32)


def test_later_frames_take_the_more_of_the_first_ones_work_the_less_is_sure_of_them():
    flat = load_recipe("sketch").with_changes({"size": 256, "schedule": {"iterations": 50}})
    assert measure_work(flat, (256, 144)) == 50
    efforts = [choose_effort(50, evenly(sure), cell=8) for sure in (0, 0.5, 1)]
    assert efforts == [Effort(count) for count in (50 * UNSURE, 30, 50 * SURE)]
    assert choose_effort(3, evenly(1.0), cell=8) == Effort(2)


def test_where_little_is_unsure_the_work_goes_there():
    sure = evenly(1.0)
    sure[32:96, 32:96] = 0
    effort = choose_effort(50, sure, cell=8)
    assert (effort.iterations_after_focus, effort.focus_iterations) == (
        50 * SURE,
        50 * (UNSURE - SURE),
    )
    assert effort.focus is not None
    assert effort.focus.cost == pytest.approx(96 * 96 / (144 * 256))
    in_the_mean = choose_effort(50, sure, cell=None)
    assert effort.iterations == in_the_mean.iterations
    assert in_the_mean == Effort(round(50 * (SURE + (UNSURE - SURE) * 64 * 64 / (144 * 256))))
    assert choose_effort(5 * ENOUGH - 5, sure, cell=8).focus is None


def test_boxes_that_are_hardly_unsure_have_an_iteration_at_least(monkeypatch):
    monkeypatch.setattr(focus, "UNSURE", 0.001)
    sure = np.ones((192, 256), np.float32)
    sure[32:64, 64:96] = 0.995
    assert choose_effort(50, sure, cell=8).focus_iterations == 1


@pytest.mark.parametrize(("later", "counts"), [(None, [10, 6, 2]), (3, [3, 3, 3])])
def test_an_engine_goes_on_for_as_long_as_a_frame_is_unsure(later, counts):
    recipe = load_recipe("sketch").with_changes({"schedule": {"iterations": 10}})
    frame = read_picture(PHOTO).pixels
    iterations: list[int] = []
    engine = OptimizerFrameEngine(
        FrameContext(
            recipe,
            [read_picture(PAINTING)],
            (PHOTO.shape[1], PHOTO.shape[0]),
            FrameSettings(0.8, later),
            on_step=lambda step: iterations.append(step.iteration),
        )
    )
    engine.begin_shot(frame)
    for sure, count in zip((0.0, 0.5, 1.0), counts, strict=True):
        iterations.clear()
        engine.paint(frame, FrameMemory(frame, frame, np.full(frame.shape[:2], sure, np.float32)))
        assert iterations == list(range(1, count + 1))


def test_an_engine_works_at_what_is_unsure_and_then_at_all_of_the_frame():
    recipe = load_recipe("standard").with_changes({"size": 192, "schedule": {"iterations": 30}})
    frame = read_picture(PHOTO).resize(192, 144).pixels
    steps: list[Step] = []
    painting = [read_picture(PAINTING)]
    engine = OptimizerFrameEngine(
        FrameContext(recipe, painting, (192, 144), FrameSettings(0.8), on_step=steps.append)
    )
    engine.begin_shot(frame)
    sure = np.ones((144, 192), np.float32)
    sure[32:96, 64:128] = 0
    engine.paint(frame, FrameMemory(frame, frame, sure))
    assert [each.scale for each in steps] == [0] * 24 + [1] * 6
    apart = np.abs(steps[23].picture().pixels - frame).max(2)
    assert apart[sure == 1].max() < 1e-6
    assert apart[sure == 0].max() > 0.05


@pytest.mark.parametrize(
    ("scales", "count"), [([0, 0, 1, 1, 1, 1], 4), ([0, 1, 1, 1], 3), ([1] * 9, 7)]
)
def test_boxes_that_end_early_leave_no_more_work_for_the_whole(scales, count):
    effort = Effort(iterations=7, iterations_after_focus=2, focus_iterations=2)
    steps = [SimpleNamespace(scale=scale, scales=2) for scale in scales]
    assert len(list(effort.limit(steps))) == count


def test_neighbors_are_matched_with_all_of_the_frame():
    recipe = load_recipe("nnst").with_changes({"size": 64, "schedule.total": 60})
    paintings = [read_picture(PAINTING)]
    engine = OptimizerFrameEngine(FrameContext(recipe, paintings, (256, 144), FrameSettings(0.8)))
    sure = evenly(1.0)
    sure[32:96, 32:96] = 0
    frame = np.zeros((144, 256, 3), np.float32)
    assert engine.plan_effort(FrameMemory(frame, frame, sure)).focus is None


def test_later_frames_also_end_when_they_have_converged():
    recipe = load_recipe("sketch").with_changes(
        {"schedule.total": 10, "schedule.until": "converged", "schedule.tolerance": 0.5}
    )
    frame, iterations = read_picture(PHOTO).pixels, list[int]()
    size = PHOTO.shape[1], PHOTO.shape[0]
    paintings, see = [read_picture(PAINTING)], lambda step: iterations.append(step.iteration)
    engine = OptimizerFrameEngine(
        FrameContext(recipe, paintings, size, FrameSettings(0.8, 40), on_step=see)
    )
    engine.begin_shot(frame)
    engine.paint(frame, FrameMemory(frame, frame, np.zeros(frame.shape[:2], np.float32)))
    assert len(iterations) < 40


def test_the_paintings_colors_are_matched_to_a_shots_first_frame_and_kept():
    recipe = load_recipe("sketch").with_changes({"schedule.total": 1, "colors": "match"})
    paintings = [read_picture(PAINTING)]
    engine = OptimizerFrameEngine(FrameContext(recipe, paintings, (64, 48), FrameSettings(0.8)))
    frame = read_picture(PHOTO).pixels
    engine.begin_shot(frame)
    inputs_seen: list[object] = []

    def run(inputs, **_):
        inputs_seen.append(inputs.paintings)
        raise InputError("enough seen")

    engine._first = SimpleNamespace(run=run, recipe=recipe)
    for each in (frame, frame[..., ::-1]):
        with pytest.raises(InputError, match="enough seen"):
            engine.paint(np.ascontiguousarray(each), None)
    assert inputs_seen[0] == inputs_seen[1]
    assert np.abs(inputs_seen[0][0].pixels.mean((0, 1)) - frame.mean((0, 1))).max() < 0.08
