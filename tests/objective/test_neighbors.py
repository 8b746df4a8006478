"""Nearest neighbors against slow loops, and what matching must leave as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from impasto.api.stylizer import Stylizer
from impasto.cli import main
from impasto.encoders.layers import list_convolutions
from impasto.encoders.parameters import CAFFE, InputConvention, VggParameters
from impasto.encoders.vgg import VggEncoder
from impasto.engine.sizes import plan_scales
from impasto.errors import InputError, RecipeError, ResourceError
from impasto.image.files.decode import read_picture
from impasto.objective.evaluation import list_taps
from impasto.objective.losses import neighbor_matching as neighbors
from impasto.objective.losses.neighbor_matching import (
    build_hypercolumns,
    compute_directions,
    cosine_loss,
    draw_places,
    find_nearest,
    match_features,
    match_hypercolumns,
    sample_grid,
)
from impasto.objective.neighbors import NeighborObjective
from impasto.recipe.recipe import Recipe, load_recipe
from objectives import make_neighbors

LAYERS = {"relu1_1": 1.0, "relu2_1": 0.5, "relu3_1": 2.0, "relu4_1": 1.0}
NNST = load_recipe("nnst").with_changes({"style.layers": LAYERS})


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def narrow_vgg(recipe: Recipe) -> VggEncoder:
    """VGG-19's topology with a few channels, random, in float64."""
    layers, inputs = {}, 3
    for layer in list_convolutions("vgg19"):
        outputs = 3 + layer.block
        weight = (noise(outputs, inputs, 3, 3, seed=len(layers)) - 0.45) * (2 / inputs) ** 0.5
        layers[layer.name] = (weight.float(), noise(outputs, seed=99).float())
        inputs = outputs
    convention = InputConvention("bgr", torch.full((3,), 4.0), CAFFE.offset / 64)
    parameters = VggParameters("vgg19", layers, convention, origin="", license="")
    return VggEncoder(parameters, list_taps(recipe), padding=recipe.encoder.padding).double()


def slow_column(features: dict[str, torch.Tensor], row: int, column: int) -> torch.Tensor:
    """One place, by the words of the definition."""
    parts = []
    for layer, weight in LAYERS.items():
        feature = features[layer][0]
        cell = 2 ** (int(layer[4]) - 1)
        if cell <= 4:
            n = 4 // cell
            value = feature[:, row * n : row * n + n, column * n : column * n + n].mean((1, 2))
        else:
            size = [2 * side for side in feature.shape[1:]]
            large = F.interpolate(feature[None], size=size, mode="bilinear", align_corners=False)
            value = large[0, :, row, column]
        parts.append(weight * value / feature.shape[0])
    return torch.cat(parts)


@pytest.mark.parametrize("size", [(32, 48), (37, 50)])
def test_hypercolumns_are_what_they_are_said_to_be(size):
    features = narrow_vgg(NNST)(noise(1, 3, *size))
    columns = build_hypercolumns(features, LAYERS)
    height, width = size[0] // 8 * 2, size[1] // 8 * 2
    assert columns.shape == (height * width, sum(f.shape[1] for f in features.values()))
    for row, column in [(0, 0), (1, 3), (height - 1, width - 1), (3, 2)]:
        expected = slow_column(features, row, column)
        assert torch.allclose(columns[row * width + column], expected, atol=1e-13)


def test_hypercolumns_without_a_deep_layer_cover_odd_sizes():
    layers = {"relu1_1": 1.0, "relu3_1": 1.0}
    features = narrow_vgg(NNST.with_changes({"style.layers": layers}))(noise(1, 3, 39, 46))
    assert build_hypercolumns(features, layers).shape[0] == (39 // 4) * (46 // 4)


def slow_match(queries, paintings, center):
    matches = []
    own = queries.mean(0)
    for query in queries:
        best, target = -2.0, None
        for keys in paintings:
            for key in keys:
                similarity = float(F.cosine_similarity(query - own, key - center, dim=0))
                if similarity > best:
                    best, target = similarity, key
        matches.append(target)
    return torch.stack(matches)


@pytest.mark.parametrize("chunk", [2**24, 50, 1])
def test_matches_are_those_of_a_loop_whatever_the_chunk(chunk, monkeypatch):
    monkeypatch.setattr(neighbors, "CHUNK", chunk)
    queries, paintings = noise(17, 6), [noise(23, 6, seed=1), noise(5, 6, seed=2)]
    center = torch.cat(paintings).mean(0)
    matches = match_hypercolumns(queries, iter(paintings), center)
    assert torch.equal(matches, slow_match(queries, paintings, center))


def test_no_chunk_is_larger_than_asked_for(monkeypatch):
    monkeypatch.setattr(neighbors, "CHUNK", 40)
    products = []
    times = torch.Tensor.__matmul__

    def spy(a, b):
        products.append(times(a, b))
        return products[-1]

    monkeypatch.setattr(torch.Tensor, "__matmul__", spy)
    find_nearest(noise(30, 4), noise(10, 4, seed=1))
    assert len(products) == 8
    assert max(each.numel() for each in products) <= 40


def test_losses_are_those_of_a_loop_and_their_gradients_finite_differences():
    points, keys = noise(9, 5), noise(12, 5, seed=1)
    center = keys.mean(0)
    targets = slow_match(points - points.mean(0), [keys], center)
    distances = [
        1 - float(F.cosine_similarity(p - center, t - center, dim=0))
        for p, t in zip(points, targets, strict=True)
    ]
    assert float(cosine_loss(points, targets, center)) == pytest.approx(sum(distances) / 9)
    least = [
        min(1 - float(F.cosine_similarity(p - center, k - center, dim=0)) for k in keys)
        for p in points
    ]

    def compute_nearest(x):
        return cosine_loss(x, match_features(x, keys, center), center)

    assert float(compute_nearest(points)) == pytest.approx(sum(least) / 9)
    assert torch.autograd.gradcheck(compute_nearest, points.clone().requires_grad_())


def test_a_point_at_the_center_pulls_nowhere_and_is_finite():
    points = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    loss = cosine_loss(points, noise(3, 4), torch.zeros(4, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(loss, points)
    assert torch.isfinite(gradient).all()
    assert torch.equal(compute_directions(points, points[0]), torch.zeros_like(points))


def test_a_grid_is_spread_and_moves():
    feature = torch.arange(150.0 * 70).view(1, 1, 150, 70)
    generator = torch.Generator().manual_seed(1)
    places = {
        tuple(sample_grid(feature, draw_places(feature, generator))[:, 0].tolist())
        for _ in range(40)
    }
    assert len(places) == 6  # 3 rows to begin at, and 2 columns
    assert {len(each) for each in places} == {50 * 35}
    assert {p for each in places for p in each} == set(range(150 * 70))
    assert draw_places(feature[..., :9, :7], generator) == (slice(0, None, 1),) * 2


def objective(recipe: Recipe, photo, painting, **options) -> NeighborObjective:
    return make_neighbors(recipe, narrow_vgg(recipe), photo, [painting], **options)


@pytest.mark.parametrize("splitting", [False, True])
def test_the_painting_as_photo_has_nothing_to_change(splitting):
    painting = noise(1, 3, 40, 48)
    recipe = NNST.with_changes({"neighbors.rotations": not splitting})  # more than are sampled
    terms = objective(recipe, painting, painting, per_layer=splitting)
    losses, gradient = terms.evaluate(painting)
    assert abs(losses["style"]) < 1e-12
    assert gradient.abs().max() < 1e-10
    moved, _ = terms.evaluate(painting**2)
    assert moved["style"] > 1e-3


@pytest.mark.parametrize("splitting", [False, True])
def test_at_less_than_full_strength_the_photo_pulls_as_well(splitting):
    photo, painting, image = (noise(1, 3, 40, 48, seed=seed) for seed in range(3))

    def style(strength: float, candidate: torch.Tensor = image) -> float:
        recipe = NNST.with_changes({"strength": strength})
        return objective(recipe, photo, painting, per_layer=splitting).compute_losses(candidate)[
            "style"
        ]

    assert style(0.5) == pytest.approx((style(0) + style(1)) / 2)
    assert abs(style(0, photo)) < 1e-12 < style(0)


A, B = noise(1, 3, 40, 48, seed=1), noise(1, 3, 32, 64, seed=2) ** 2
LEFT = torch.zeros(40, 48, dtype=torch.float64)
LEFT[:, :24] = 1


def of_two(splitting: bool = False, changes: dict | None = None, **options) -> NeighborObjective:
    recipe = NNST.with_changes({"neighbors.rotations": False, **(changes or {})})
    photo = noise(1, 3, 40, 48)
    return make_neighbors(recipe, narrow_vgg(recipe), photo, [A, B], per_layer=splitting, **options)


@pytest.mark.parametrize("splitting", [False, True])
def test_paintings_of_unequal_weight_pull_by_their_weights(splitting):
    image = noise(1, 3, 40, 48, seed=4)

    def style(*weights: float) -> float:
        terms = of_two(splitting, {"style.weights": list(weights)})
        return terms.compute_losses(image)["style"]

    first, second = style(1, 0), style(0, 2)
    alone = NNST.with_changes({"neighbors.rotations": False})
    one = objective(alone, noise(1, 3, 40, 48), A, per_layer=splitting).compute_losses(image)[
        "style"
    ]
    assert first == pytest.approx(one, rel=1e-3 if splitting else 1e-12)
    assert style(3, 1) == pytest.approx(
        0.75 * first + 0.25 * second, rel=1e-3 if splitting else 1e-12
    )
    assert abs(first - second) > 1e-3


def test_each_region_has_its_neighbors_in_its_own_painting():
    image = noise(1, 3, 40, 48, seed=4)
    terms = of_two(masks=[LEFT, 1 - LEFT])
    photo, encoder = noise(1, 3, 40, 48), narrow_vgg(NNST)
    queries, columns = (build_hypercolumns(encoder(each), LAYERS) for each in (photo, image))
    left = LEFT[::4, ::4].flatten() == 1
    loss = 0.0
    for here, painting in ((left, A), (~left, B)):
        keys = build_hypercolumns(encoder(painting), LAYERS)
        targets = slow_match(queries[here], [keys], keys.mean(0))
        loss += float(here.double().mean()) * float(
            cosine_loss(columns[here], targets, keys.mean(0))
        )
    assert terms.compute_losses(image)["style"] == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("splitting", [False, True])
def test_a_region_pulls_only_where_it_is(splitting):
    shallow = {"style.layers": {"relu1_1": 1.0, "relu3_1": 1.0}, "style.strengths": [1.0, 0.0]}
    terms = of_two(splitting, shallow, masks=[LEFT, 0 * LEFT])
    _, gradient = terms.evaluate(noise(1, 3, 40, 48, seed=4))
    assert gradient[..., 40:].abs().max() == 0  # farther than relu3_1 sees
    assert gradient[..., :20].abs().max() > 0


@pytest.mark.parametrize("splitting", [False, True])
def test_neighbors_come_only_from_what_is_shown_of_a_painting(splitting):
    image, changed = noise(1, 3, 40, 48, seed=4), A.clone()
    changed[..., 40:] = 0
    recipe = NNST.with_changes({"style.layers": {"relu1_1": 1.0, "relu3_1": 1.0}})
    encoder, photo = narrow_vgg(recipe), noise(1, 3, 40, 48)

    def style(painting: torch.Tensor, mask: torch.Tensor | None) -> float:
        parts = (recipe, encoder, photo, [painting])
        terms = make_neighbors(*parts, style_masks=[mask], per_layer=splitting)
        return terms.compute_losses(image)["style"]

    assert style(A, LEFT) == style(changed, LEFT)
    assert style(A, None) != style(changed, None)
    with pytest.raises(InputError, match="shows too little"):
        style(A, 0 * LEFT)


def test_a_run_by_region_keeps_the_rest(work: Path):
    recipe = load_recipe("nnst").with_changes({"size": 64, "schedule.total": 6})
    mask = np.zeros((48, 64), np.float32)
    mask[:, :32] = 1
    photo = read_picture(work / "photo.png")
    *_, last = Stylizer(recipe).run(photo, work / "painting.png", masks=[mask])
    change = np.abs(last.picture().pixels - photo.pixels).mean(-1)
    assert change[:, 34:].max() == 0
    assert change[:, :30].mean() > 0.01


@pytest.mark.parametrize("splitting", [False, True])
def test_the_gradient_is_a_finite_difference(splitting):
    image = noise(1, 3, 16, 24, seed=5)
    terms = objective(NNST, noise(1, 3, 16, 24), noise(1, 3, 24, 16, seed=1), per_layer=splitting)
    _, gradient = terms.evaluate(image)
    bump = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).double() * 1e-7
    ahead, behind = (terms.compute_losses(image + sign * bump)["total"] for sign in (1, -1))
    expected = float((gradient * bump).sum())
    assert (ahead - behind) / 2 == pytest.approx(expected, rel=1e-4)


class Mirror:
    """An encoder that sees everything in a mirror, and says so in one."""

    def __init__(self, encoder):
        self.encoder, self.device = encoder, encoder.device

    def __call__(self, image):
        return {k: v.flip(-1) for k, v in self.encoder(image.flip(-1)).items()}


def test_a_mirrored_world_has_a_mirrored_gradient():
    recipe = NNST.with_changes({"neighbors.rotations": False})
    encoder, photo, painting = narrow_vgg(recipe), noise(1, 3, 32, 48), noise(1, 3, 40, 32, seed=1)
    image = noise(1, 3, 32, 48, seed=2)
    plain = make_neighbors(recipe, encoder, photo, [painting])
    world = [each.flip(-1) for each in (photo, painting, image)]
    mirrored = make_neighbors(recipe, Mirror(encoder), world[0], [world[1]])
    losses, gradient = plain.evaluate(image)
    their_losses, their_gradient = mirrored.evaluate(world[2])
    assert their_losses == pytest.approx(losses, rel=1e-10)
    assert torch.allclose(their_gradient.flip(-1), gradient, atol=1e-12)


def test_a_turned_painting_is_found_only_with_rotations():
    photo = noise(1, 3, 32, 32)
    turned = torch.rot90(photo, 1, (2, 3))
    upright = NNST.with_changes({"neighbors.rotations": False})
    losses = [objective(r, photo, turned).compute_losses(photo)["style"] for r in (NNST, upright)]
    assert abs(losses[0]) < 1e-12
    assert losses[1] > 1e-3


def test_the_share_of_the_photo_is_what_is_matched():
    photo, painting, current = (noise(1, 3, 32, 32, seed=s) for s in range(3))
    only = NNST.with_changes({"neighbors.photo_share": 1.0})
    none = NNST.with_changes({"neighbors.photo_share": 0.0})
    image = noise(1, 3, 32, 32, seed=9)
    plain = objective(only, photo, painting).compute_losses(image)
    assert objective(only, photo, painting, start=current).compute_losses(image) == plain
    assert objective(none, photo, painting, start=photo).compute_losses(image) == plain
    assert objective(NNST, photo, painting, start=current).compute_losses(image) != plain


def test_content_and_smoothness_count_beside_it():
    photo, painting, image = (noise(1, 3, 32, 32, seed=s) for s in range(3))
    recipe = NNST.with_changes({"content.weight": 0.5, "smoothness.weight": 2.0})
    losses = objective(recipe, photo, painting).compute_losses(image)
    plain = objective(NNST, photo, painting).compute_losses(image)
    assert plain["content"] == plain["smoothness"] == 0
    assert losses["content"] > 0
    assert losses["smoothness"] > 0
    assert losses["total"] == pytest.approx(
        plain["style"] + losses["content"] + losses["smoothness"]
    )


def test_the_last_pass_is_one_more_scale_of_the_same_size():
    schedule = NNST.schedule.model_copy(update={"coarsest": 64, "iterations": 7, "refine": 3})
    *_, finest, last = plan_scales(schedule, 128, 96)
    assert (last.width, last.height, last.iterations, last.refines) == (128, 96, 3, True)
    assert (finest.width, finest.iterations, finest.refines) == (128, 7, False)


def test_a_run_resumes_to_the_same_bytes_at_every_pass(work: Path, monkeypatch):
    monkeypatch.chdir(work)
    small = 'base = "nnst"\n[style.layers]\nrelu1_1 = 1\nrelu3_1 = 1\n'
    small += "[content.layers]\nrelu3_1 = 1\n[schedule]\ncoarsest = 24\niterations = 3\nrefine = 3"
    Path("mine.toml").write_text(small)
    job = ["photo.png", "--style", "painting.png", "--recipe", "mine.toml", "--quiet"]
    job += ["--size", "48"]
    assert main([*job, "-o", "out.png"]) == 0
    recipe = load_recipe("mine.toml").with_changes({"size": 48})
    pictures = read_picture("photo.png"), read_picture("painting.png")
    for count in (2, 5, 8):  # in each of the three passes
        steps = Stylizer(recipe).run(*pictures, checkpoint="state")
        for _ in range(count):
            next(steps)
        steps.close()
        assert main([*job, "-o", "again.png", "--resume", "state", "--force"]) == 0
        assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


def test_what_it_cannot_do_is_refused(work: Path):
    with pytest.raises(RecipeError, match="does not support tiles"):
        load_recipe("nnst").with_changes({"tile": 256})
    with pytest.raises(RecipeError, match=r"without content\.structure"):
        load_recipe("nnst").with_changes({"content.structure": 1})
    large = Stylizer(load_recipe("nnst").with_changes({"size": 4096}), max_memory=4 * 2**30)
    with pytest.raises(ResourceError, match=r"a `size` of \d+ would fit"):
        large.run(work / "photo.png", work / "painting.png")
