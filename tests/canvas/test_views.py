"""Canvases with several views: one objective, exact gradients, and the ordinary solvers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F

from impasto.canvas.view import Canvas, Parameters, View
from impasto.engine.machine.storage import Storage
from impasto.objective.evaluation import Losses
from impasto.objective.statistics.gauge import merge_statistics
from impasto.objective.views import ViewsObjective
from impasto.objective.whole import WholeObjective
from impasto.optimize.solvers.solver import SolverProblem
from impasto.optimize.solvers.solver_choice import SOLVERS
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.recipe.tables import SolverChoice
from objectives import make_whole, narrow_vgg, picture

RECIPE = load_recipe("standard").with_changes({"smoothness.weight": 0.1})
MEMORY = Storage(torch.device("cpu"))
ROUND = (
    (torch.arange(24)[:, None] - 12).square() + (torch.arange(32) - 16).square() < 100
).double()
"""A weight map: a disk in a view of 24 x 32 pixels."""


class Triptych:
    """A texture [1, 3, 48, 64] with three views: all of it, its mirrored half, and a small one
    that counts only in a disk.
    """

    def render(self, parameters: Sequence[torch.Tensor]) -> Sequence[View]:
        texture = parameters[0]
        mirrored = texture[..., :32].flip(-1)
        return [View(texture), View(mirrored), View(F.avg_pool2d(texture, 2), ROUND)]

    def pull_back(
        self, parameters: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]
    ) -> Parameters:
        leaf = parameters[0].detach().requires_grad_()
        images = [view.image for view in self.render([leaf])]
        return list(torch.autograd.grad(images, leaf, list(gradients)))

    def project(self, parameters: Parameters) -> None:
        parameters[0].clamp_(0, 1)

    def show(self, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
        return parameters[0]

    def adapt(self, tensors: Sequence[torch.Tensor], factor: float) -> Parameters:
        return [each * factor for each in tensors]


def make_objectives(recipe: Recipe = RECIPE) -> list[WholeObjective]:
    """Make the objective of each view of a photo's texture."""
    encoder = narrow_vgg(recipe)
    photo = Triptych().render([picture(48, 64, 1)])
    return [
        make_whole(recipe, encoder, view.image, [picture(70, 83, 2)], weight=view.weight)
        for view in photo
    ]


AREAS = [48 * 64, 48 * 32, float(ROUND.sum())]


def test_the_gradient_of_views_is_that_of_one_graph():
    objectives = make_objectives()
    images = [view.image for view in Triptych().render([picture(48, 64, 4)])]
    losses, gradients = ViewsObjective(objectives, AREAS).evaluate(images)
    leaves = [image.clone().requires_grad_() for image in images]
    content, merged = torch.zeros(()), []
    smoothness = torch.zeros(())
    for objective, image, area in zip(objectives, leaves, AREAS, strict=True):
        share = area / sum(AREAS)
        own, statistics = objective.measure(objective.extract(image))
        content = content + share * own
        smoothness = smoothness + share * objective.compute_pixel_losses(image)["smoothness"]
        merged = merge_statistics(merged, statistics)
    style = objectives[0].compute_term_losses(merged)
    whole = Losses.weigh(RECIPE, {"content": content, "smoothness": smoothness}, style)
    assert losses == pytest.approx(whole.as_numbers(), rel=1e-12)
    assert ViewsObjective(objectives, AREAS).compute_losses(images) == pytest.approx(losses)
    for mine, theirs in zip(gradients, torch.autograd.grad(whole.total, leaves), strict=True):
        assert (mine - theirs).abs().max() <= 1e-12 * theirs.abs().max()


def test_one_view_without_weights_is_the_whole_objective():
    objective, image = make_objectives()[0], picture(48, 64, 4)
    losses, (gradient,) = ViewsObjective([objective]).evaluate([image])
    expected, slope = objective.evaluate(image)
    assert losses == pytest.approx(expected, rel=1e-12)
    assert (gradient - slope).abs().max() <= 1e-12 * slope.abs().max()


def test_the_gradient_in_the_texture_is_a_finite_difference():
    canvas, objective = Triptych(), ViewsObjective(make_objectives(), AREAS)
    texture = picture(48, 64, 4)

    def evaluate(texture: torch.Tensor) -> tuple[float, torch.Tensor]:
        images = [view.image for view in canvas.render([texture])]
        losses, gradients = objective.evaluate(images)
        return losses["total"], canvas.pull_back([texture], gradients)[0]

    direction = picture(48, 64, 5) - 0.5
    _, gradient = evaluate(texture)
    step = 1e-6
    ahead, behind = (evaluate(texture + sign * step * direction)[0] for sign in (1, -1))
    slope = float((gradient * direction).sum())
    assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5)


def test_what_does_not_count_has_no_influence_on_statistics_and_content():
    recipe = RECIPE.with_changes({"smoothness.weight": 0.0})
    objective = make_objectives(recipe)[2]
    far = torch.zeros(1, 3, 24, 32, dtype=torch.float64)
    features = {layer: torch.ones_like(each) for layer, each in objective.extract(far).items()}
    content, statistics = objective.measure(features)
    weights = {
        layer: F.avg_pool2d(ROUND[None, None], 24 // f.shape[2])[0, 0]
        for layer, f in features.items()
    }
    changed = {layer: each + 7 * (weights[layer] == 0) for layer, each in features.items()}
    other, others = objective.measure(changed)
    assert float(other) == pytest.approx(float(content), rel=1e-12)
    for one, two in zip(statistics[0], others[0], strict=True):
        assert torch.allclose(one.second, two.second)


@pytest.mark.parametrize("kind", ["adam", "bounded", "lbfgs", "lbfgsb"])
def test_every_solver_paints_a_canvas_of_three_views(kind):
    canvas: Canvas = Triptych()
    recipe = RECIPE
    encoder = narrow_vgg(recipe).float()
    views = canvas.render([picture(48, 64, 1).float()])
    objective = ViewsObjective(
        [
            make_whole(recipe, encoder, v.image, [picture(70, 83, 2).float()], weight=v.weight)
            for v in views
        ],
        AREAS,
    )

    def evaluate(parameters: Sequence[torch.Tensor]) -> tuple[dict[str, float], Parameters]:
        images = [view.image for view in canvas.render(parameters)]
        losses, gradients = objective.evaluate(images)
        return losses, canvas.pull_back(parameters, gradients)

    settings = SolverChoice(kind=kind, learning_rate=4.0 if kind == "adam" else 1.0)
    start = [picture(48, 64, 1).float()]
    solver = SOLVERS[kind](settings, SolverProblem(canvas, start, evaluate, MEMORY))
    totals = [solver.step()["total"] for _ in range(12)]
    assert min(totals) < 0.8 * totals[0]
    assert 0 <= float(solver.picture.min()) <= float(solver.picture.max()) <= 1
    solver.close()


def test_views_need_a_style_of_moments():
    recipe = RECIPE.with_changes({"style.distance": "remd"})
    objectives = make_objectives(recipe)
    images = [view.image for view in Triptych().render([picture(48, 64, 4)])]
    with pytest.raises(ValueError, match="function of moments"):
        ViewsObjective(objectives, AREAS).evaluate(images)
    with pytest.raises(ValueError, match="at least one view"):
        ViewsObjective([])
