"""The objective of a canvas with several views: exact gradients, whole and in tiles."""

from __future__ import annotations

from functools import reduce

import pytest
import torch
import torch.nn.functional as F

from impasto.objective.evaluation import Losses
from impasto.objective.statistics.gauge import add_by_name, merge_statistics
from impasto.objective.statistics.region_masks import MomentGauge
from impasto.objective.views import ViewsObjective
from impasto.objective.whole import WholeObjective
from impasto.recipe.recipe import Recipe, load_recipe
from objectives import make_neighbors, make_tiled, make_whole, narrow_vgg, picture
from triptych import Triptych, disk

RECIPE = load_recipe("standard").with_changes({"smoothness.weight": 0.1})


def make_objectives(recipe: Recipe = RECIPE) -> list[WholeObjective]:
    """Make the objective of each view of a photo's texture."""
    encoder = narrow_vgg(recipe)
    photo = Triptych().render([picture(48, 64, 1)])
    return [
        make_whole(recipe, encoder, view.image, [picture(70, 83, 2)], weight=view.weight)
        for view in photo
    ]


AREAS = [48 * 64, 48 * 32, float(disk(48, 64).sum())]


def render(seed: int) -> list[torch.Tensor]:
    return [view.image for view in Triptych().render([picture(48, 64, seed)])]


RECIPES = {
    "standard": {},
    "palette": {"palette.weight": 100.0},
    "remd": {"style.distance": "remd"},
    "self_similarity": {"content.kind": "self_similarity", "content.weight": 30.0},
    "wasserstein": {"style.distance": "wasserstein"},
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_gradient_of_views_is_that_of_one_graph(name):
    recipe = RECIPE.with_changes(RECIPES[name])
    objectives, images = make_objectives(recipe), render(4)
    shares = [area / sum(AREAS) for area in AREAS]
    losses, gradients = ViewsObjective(objectives, AREAS).evaluate(images)
    leaves = [image.clone().requires_grad_() for image in images]
    views = [each.measure_losses(leaf) for each, leaf in zip(objectives, leaves, strict=True)]
    sums: dict[str, torch.Tensor] = {}
    for share, (local, _) in zip(shares, views, strict=True):
        sums = add_by_name(sums, {name: share * loss for name, loss in local.items()})
    for index, term in enumerate(objectives[0].terms):
        if isinstance(term.gauge, MomentGauge):  # one loss of all views together
            (merged,) = reduce(merge_statistics, ([own[index]] for _, own in views))
            sums = add_by_name(sums, {term.name: term.compute_loss(merged)})
        else:
            for share, objective, (_, own) in zip(shares, objectives, views, strict=True):
                each = objective.terms[index]
                sums = add_by_name(sums, {each.name: share * each.compute_loss(own[index])})
    whole = Losses.weigh(recipe, sums)
    assert losses == pytest.approx(whole.as_numbers(), rel=1e-12)
    assert ViewsObjective(objectives, AREAS).compute_losses(images) == pytest.approx(losses)
    for mine, theirs in zip(gradients, torch.autograd.grad(whole.total, leaves), strict=True):
        assert (mine - theirs).abs().max() <= 1e-12 * theirs.abs().max()


@pytest.mark.parametrize("name", ["standard", "self_similarity"])
def test_views_in_tiles_are_the_same_with_their_weights(name):
    recipe, encoder = RECIPE.with_changes(RECIPES[name]), narrow_vgg(RECIPE)
    images = render(4)
    tiled = [
        make_tiled(recipe, encoder, view.image, [picture(70, 83, 2)], side=16, weight=view.weight)
        for view in Triptych().render([picture(48, 64, 1)])
    ]
    losses, gradients = ViewsObjective(make_objectives(recipe), AREAS).evaluate(images)
    in_tiles, slopes = ViewsObjective(tiled, AREAS).evaluate(images)
    assert in_tiles == pytest.approx(losses, rel=1e-12)
    assert ViewsObjective(tiled, AREAS).compute_losses(images) == pytest.approx(losses, rel=1e-12)
    for mine, theirs in zip(slopes, gradients, strict=True):
        assert (mine - theirs).abs().max() <= 1e-12 * theirs.abs().max()


def test_one_view_and_the_same_view_twice_are_the_whole_objective():
    objective, image = make_objectives()[0], picture(48, 64, 4)
    expected, slope = objective.evaluate(image)
    losses, (gradient,) = ViewsObjective([objective], [7.0]).evaluate([image])
    assert losses == expected
    assert torch.equal(gradient, slope)
    twice = ViewsObjective([objective, objective], [1.0, 3.0])
    losses, (first, second) = twice.evaluate([image, image])
    assert losses == pytest.approx(expected, rel=1e-12)
    assert (first + second - slope).abs().max() <= 1e-12 * slope.abs().max()


def test_neighbors_of_several_views_are_the_mean():
    recipe = load_recipe("nnst")
    encoder = narrow_vgg(recipe)
    photos, images = (
        [picture(32, 40, 1), picture(48, 32, 2)],
        [picture(32, 40, 3), picture(48, 32, 4)],
    )
    views = [make_neighbors(recipe, encoder, photo, [picture(40, 40, 5)]) for photo in photos]
    losses, gradients = ViewsObjective(views, [1.0, 3.0]).evaluate(images)
    for share, view, image, gradient in zip((0.25, 0.75), views, images, gradients, strict=True):
        _, slope = view.evaluate(image)
        assert (gradient - share * slope).abs().max() <= 1e-12 * slope.abs().max()
    totals = [
        view.compute_losses(image)["total"] for view, image in zip(views, images, strict=True)
    ]
    assert losses["total"] == pytest.approx(0.25 * totals[0] + 0.75 * totals[1], rel=1e-12)
    with pytest.raises(ValueError, match="without weights"):
        make_neighbors(recipe, encoder, photos[0], [photos[1]], weight=torch.ones(32, 40))


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
    content, statistics = objective.measure_features(features)
    weights = {
        layer: F.avg_pool2d(disk(48, 64)[None, None], 24 // f.shape[2])[0, 0]
        for layer, f in features.items()
    }
    changed = {layer: each + 7 * (weights[layer] == 0) for layer, each in features.items()}
    other, others = objective.measure_features(changed)
    assert float(other) == pytest.approx(float(content), rel=1e-12)
    for one, two in zip(statistics[0], others[0], strict=True):
        assert torch.allclose(one.second, two.second)


def test_there_is_a_view_with_pixels_that_count():
    for objectives, areas in (([], []), (make_objectives()[:1], [0.0])):
        with pytest.raises(ValueError, match="at least one view"):
            ViewsObjective(objectives, areas)
