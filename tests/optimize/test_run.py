"""Runs: their passes, any canvas from start to end, and checkpoints that continue to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from impasto.canvas.canvases import CANVASES, CanvasFactory
from impasto.canvas.pixel_canvas import PixelCanvas
from impasto.canvas.view import View
from impasto.engine.inputs import Inputs
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import picture_to_tensor, round_to_levels
from impasto.engine.plan import Pace
from impasto.engine.regions import Regions
from impasto.engine.sizes import Scale, plan_scales
from impasto.engine.step import Step
from impasto.errors import InputError
from impasto.image.masks import Mask
from impasto.image.picture import Picture
from impasto.objective.evaluation import FeatureExtractor
from impasto.objective.focused import Focus
from impasto.objective.specs import FocusedSpec, NeighborSpec, TiledSpec, WholeSpec
from impasto.objective.tiles import plan_tiles
from impasto.objective.views import ViewsObjective
from impasto.objective.whole import WholeObjective
from impasto.optimize import passes as planning
from impasto.optimize.checkpoint import Keeper, load_state
from impasto.optimize.kept_part import KeptPart
from impasto.optimize.passes import FocusMask, PhotoMask, plan_passes
from impasto.optimize.past_frames import PastFrames
from impasto.optimize.run import Run
from impasto.optimize.run_setup import RunSetup
from impasto.optimize.running_pass import PassProblem
from impasto.recipe.recipe import Recipe, load_recipe
from objectives import make_whole, narrow_vgg, picture
from triptych import Triptych

WIDTH, HEIGHT = 40, 32
STORAGE = Storage(torch.device("cpu"))
SHALLOW = {"relu1_1": 1.0, "relu2_1": 1.0}
RECIPE = load_recipe("standard").with_changes(
    {
        "size": WIDTH,
        "schedule": {"coarsest": 20, "total": 6, "iterations": 3},
        "style.layers": SHALLOW,
        "content.layers": {"relu2_1": 1.0},
        "smoothness.weight": 0.1,
    }
)


def make_picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Picture:
    return Picture(picture(height, width, seed)[0].permute(1, 2, 0).float().numpy().copy())


INPUTS = Inputs(make_picture(1), (make_picture(2, 24, 30),))


def make_triptych(_choice: object, _scale: Scale, _storage: Storage) -> Any:
    return Triptych()


def make_setup(
    canvas_factory: CanvasFactory, recipe: Recipe = RECIPE, inputs: Inputs = INPUTS
) -> RunSetup:
    """Set up a run with a narrow network and any canvas."""
    extractor = FeatureExtractor(recipe, narrow_vgg(recipe).float())
    return RunSetup(extractor, inputs, inputs.photo, [], STORAGE, canvas_factory)


def make_run(
    canvas_factory: CanvasFactory,
    recipe: Recipe = RECIPE,
    inputs: Inputs = INPUTS,
    checkpoint: Path | None = None,
    tile: int = 0,
) -> Run:
    scales = plan_scales(recipe.schedule, WIDTH, HEIGHT)
    return Run(
        make_setup(canvas_factory, recipe, inputs),
        plan_passes(recipe, scales, inputs, tile),
        tile=tile,
        keeper=Keeper(checkpoint, every_s=3600.0),
        pace=Pace(),
    )


def get_pixels(step: Step) -> np.ndarray:
    return step.picture().pixels


@pytest.mark.parametrize("kind", ["adam", "bounded", "lbfgs", "lbfgsb"])
def test_a_canvas_of_three_views_is_painted_and_resumes_to_the_bit(kind, tmp_path):
    rate = 4.0 if kind == "adam" else 1.0
    recipe = RECIPE.with_changes({"solver": {"kind": kind, "learning_rate": rate}})
    steps = list(make_run(make_triptych, recipe).steps(None))
    assert [(each.scale, each.width, each.last) for each in steps] == [
        *[(0, 20, False)] * 3,
        *[(1, 40, False)] * 2,
        (1, 40, True),
    ]
    for scale in (0, 1):
        totals = [each.losses["total"] for each in steps if each.scale == scale]
        assert min(totals) < totals[0]
    for stop in (2, 5):
        run = make_run(make_triptych, recipe, checkpoint=tmp_path / "state").steps(None)
        for _ in range(stop):
            next(run)
        run.close()
        rest = list(make_run(make_triptych, recipe).steps(load_state(tmp_path / "state")))
        assert [each.iteration for each in rest] == list(range(stop + 1, 7))
        assert [each.losses for each in rest] == [each.losses for each in steps[stop:]]
        assert np.array_equal(get_pixels(rest[-1]), get_pixels(steps[-1]))


def test_the_last_losses_are_those_of_the_views_of_the_saved_picture():
    *_, last = make_run(make_triptych).steps(None)
    image, photo, painting = (
        picture_to_tensor(each, *size, STORAGE)
        for each, size in (
            (last.picture(), (WIDTH, HEIGHT)),
            (INPUTS.photo, (WIDTH, HEIGHT)),
            (INPUTS.paintings[0], (40, 32)),
        )
    )
    encoder, canvas = narrow_vgg(RECIPE).float(), Triptych()
    views = canvas.make_views(photo)
    objectives = [
        make_whole(RECIPE, encoder, view.image, [painting], weight=view.weight) for view in views
    ]
    saved = canvas.make_views(round_to_levels(image, STORAGE))
    losses = ViewsObjective(objectives, [view.area for view in views]).compute_losses(
        [view.image for view in saved]
    )
    assert last.losses == pytest.approx(losses, rel=1e-5)


class Doubled(PixelCanvas):
    """Pixels that are seen twice."""

    def make_views(self, image):
        return [View(image), View(image)]

    def render(self, parameters):
        return self.make_views(parameters[0])

    def pull_back(self, parameters, gradients):
        return [gradients[0] + gradients[1]]


@pytest.mark.parametrize("tile", [0, 16])
def test_pixels_that_are_seen_twice_are_painted_as_if_seen_once(tile):
    def make_doubled(_: object, scale: Scale, storage: Storage) -> Any:
        return Doubled(scale.width, scale.height, storage)

    recipe = RECIPE.with_changes({"solver.kind": "adam", "solver.learning_rate": 4.0})
    once = list(make_run(CANVASES["pixels"].make, recipe, tile=tile).steps(None))
    twice = list(make_run(make_doubled, recipe, tile=tile).steps(None))
    for one, two in zip(once, twice, strict=True):
        assert two.losses == pytest.approx(one.losses, rel=1e-3)
    assert np.abs(get_pixels(once[-1]) - get_pixels(twice[-1])).mean() < 1e-3


def test_the_photo_is_kept_in_all_views_of_a_region():
    """The right half has no painting: there, the finished texture is the photo."""
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[:, :20] = 1
    inputs = replace(INPUTS, regions=Regions((Mask(mask, "left"),), strengths=(1.0,)))
    *_, last = make_run(make_triptych, inputs=inputs).steps(None)
    moved = np.abs(get_pixels(last) - INPUTS.photo.pixels).max(2)
    assert moved[:, 22:].max() < 1e-6
    assert moved[:, :18].max() > 0.01


def test_a_canvas_of_three_views_goes_on_in_tiles_where_memory_runs_out(monkeypatch):
    evaluate = ViewsObjective.evaluate

    def failing(self, images):
        if any(isinstance(each, WholeObjective) for each in self.objectives):
            raise MemoryError
        return evaluate(self, images)

    whole = list(make_run(make_triptych).steps(None))
    monkeypatch.setattr(ViewsObjective, "evaluate", failing)
    monkeypatch.setattr(planning, "TILES", (16,))
    tiled = list(make_run(make_triptych).steps(None))
    assert {(each.tile, each.fell_back) for each in tiled} == {(16, True)}
    assert tiled[0].losses == pytest.approx(whole[0].losses, rel=1e-4)
    assert np.abs(get_pixels(tiled[-1]) - get_pixels(whole[-1])).mean() < 1e-2


def test_a_kept_picture_hides_what_is_below_and_only_its_soft_edge_is_blended():
    mask = torch.tensor([[1.0, 0.25, 0.0]])
    below, above = torch.full((1, 3, 1, 3), 0.2), torch.full((1, 3, 1, 3), 0.6)
    part = KeptPart(above, mask, STORAGE)
    assert part.cover(below)[0, 0, 0].tolist() == pytest.approx([0.6, 0.2, 0.2])
    assert part.blend(below)[0, 0, 0].tolist() == pytest.approx([0.6, 0.3, 0.2])
    gradient = torch.ones(1, 3, 1, 3)
    part.stop(gradient)
    assert gradient[0, 0, 0].tolist() == [0.0, 1.0, 1.0]


def test_the_objective_sees_the_kept_photo_and_not_what_the_solver_has_there():
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[:, :20] = 1
    inputs = replace(INPUTS, regions=Regions((Mask(mask, "left"),), strengths=(1.0,)))
    setup = make_setup(make_triptych, inputs=inputs)
    problem = PassProblem(setup, plan_passes(RECIPE, [Scale(40, 32, 1)], inputs)[0], None)
    problem.prepare(None)
    image = picture(HEIGHT, WIDTH, 7).float()
    losses, (gradient,) = problem.evaluate([image])
    image[..., 22:] = 0.5
    assert problem.evaluate([image])[0] == losses
    assert gradient[..., 22:].abs().max() == 0
    assert gradient[..., :18].abs().max() > 0


def list_passes(recipe: Recipe, tile: int = 0, past: PastFrames | None = None) -> list[Any]:
    scales = plan_scales(recipe.schedule, WIDTH, HEIGHT)
    return list(plan_passes(recipe, scales, INPUTS, tile, past))


def test_the_passes_of_a_run_say_all_about_it_before_it_starts():
    coarse, fine = list_passes(RECIPE)
    assert coarse.objective == fine.objective == WholeSpec()
    assert coarse.mask == fine.mask == PhotoMask(INPUTS.regions)
    assert [coarse.iterations, fine.iterations] == [3, 3]
    assert [each.objective for each in list_passes(RECIPE, 32)] == [WholeSpec(), TiledSpec(32)]
    assert [each.objective for each in list_passes(RECIPE, 40)] == [WholeSpec(), WholeSpec()]
    tall = replace(INPUTS, paintings=(make_picture(2, 60, 20),))  # 62 px high at the finest size
    scales = plan_scales(RECIPE.schedule, WIDTH, HEIGHT)
    assert plan_passes(RECIPE, scales, tall, 40)[-1].objective == TiledSpec(40)


def test_neighbors_have_passes_that_are_never_split():
    recipe = load_recipe("nnst").with_changes({"size": WIDTH, "schedule.coarsest": 20})
    *_, last, refining = list_passes(recipe)
    assert (last.objective, refining.objective) == (NeighborSpec(), NeighborSpec(per_layer=True))
    assert last.split(16).objective == last.objective
    assert last.find_smaller_tile(0) is None


def test_boxes_of_a_frame_are_a_pass_of_their_own():
    recipe = RECIPE.with_changes({"schedule": {"total": 5}})
    tiles = plan_tiles(HEIGHT, WIDTH, side=16, halo=8, cell=8)
    focus, photo = Focus(tiles[:1], tiles[1:], cost=0.4), INPUTS.photo
    sure = Mask(np.ones((HEIGHT, WIDTH), np.float32), "sure")
    past = PastFrames(photo, photo, sure, focus, focus_iterations=4)
    boxes, whole = list_passes(recipe, past=past)
    assert (boxes.objective, boxes.mask) == (FocusedSpec(focus), FocusMask(focus))
    assert (whole.objective, whole.mask) == (WholeSpec(), PhotoMask(INPUTS.regions))
    assert [boxes.iterations, whole.iterations] == [4, 5]
    assert boxes.estimate_work(8) == pytest.approx(focus.cost * whole.estimate_work(8))
    boxes, whole = list_passes(recipe, 16, past)
    assert boxes.objective == whole.objective == TiledSpec(16)
    assert [boxes.iterations, whole.iterations] == [0, 5]
    with pytest.raises(InputError, match="matches the whole frame"):
        list_passes(load_recipe("nnst").with_changes({"schedule": {"total": 2}}), past=past)


@pytest.mark.parametrize(("tile", "smaller"), [(0, 16), (64, 16), (32, 16), (16, 8), (8, None)])
def test_smaller_tiles_are_at_most_half_as_large(tile, smaller, monkeypatch):
    monkeypatch.setattr(planning, "TILES", (32, 16, 8))
    assert list_passes(RECIPE)[-1].find_smaller_tile(tile) == smaller
