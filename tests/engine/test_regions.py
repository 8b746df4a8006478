"""Strength and regions: each does something, stays where it belongs, and is continuous."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.engine.machine.storage import Storage
from impasto.engine.regions import Regions
from impasto.errors import InputError
from impasto.image import rows as picture_rows
from impasto.image.files.decode import read_picture
from impasto.image.masks import Mask, read_mask
from impasto.image.picture import Picture
from impasto.objective.statistics.moments import Moments, measure_moments
from impasto.objective.statistics.region_masks import MomentGauge, RegionMasks
from impasto.objective.targets import mix_targets
from impasto.objective.tiled import TiledObjective
from impasto.objective.whole import WholeObjective
from impasto.recipe.recipe import Recipe, load_recipe
from objectives import assert_equal_evaluations, make_tiled, make_whole, narrow_vgg, picture

pytestmark = pytest.mark.usefixtures("narrow_encoder")

MEMORY = Storage(torch.device("cpu"))
PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
OTHER = PAINTING[::-1, :, ::-1]
QUICK = load_recipe("sketch").with_changes({"schedule.total": 8, "size": 64})


def half(width: int = 64, height: int = 48) -> np.ndarray:
    """White on the left."""
    mask = np.zeros((height, width), np.float32)
    mask[:, : width // 2] = 1
    return mask


def paint(**options) -> np.ndarray:
    """[H, W, 3] uint8."""
    recipe = options.pop("recipe", QUICK)
    painting = options.pop("painting", PAINTING)
    result = impasto.stylize(PHOTO, painting, recipe=recipe, device="cpu", **options)
    return np.asarray(result.image).astype(int)


@pytest.fixture(scope="module")
def full() -> np.ndarray:
    return paint()


# Moments


def test_moments_of_several_masks_are_those_of_each():
    features = torch.rand(1, 3, 4, 5, dtype=torch.float64)
    mask = torch.rand(4, 5, dtype=torch.float64)
    points, weights = features[0].reshape(3, -1), mask.flatten() / mask.sum()
    moments = measure_moments(features, mask)
    assert torch.allclose(moments.mean, points @ weights, atol=1e-15)
    assert torch.allclose(moments.second, (points * weights) @ points.T, atol=1e-15)


def test_gradient_of_weighted_moments_against_finite_differences():
    features = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(4, 5, dtype=torch.float64)

    def both(f):
        moments = measure_moments(f, mask)
        return moments.mean, moments.second

    assert torch.autograd.gradcheck(both, (features,))


def test_masks_on_disk_are_let_go_of_band_by_band(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_rows, "PIXELS_PER_BAND", 64)
    storage = Storage(torch.device("cpu"), tmp_path)
    mask = storage.empty(32, 16)
    mask[:] = torch.rand(32, 16)
    settled: list[int] = []
    monkeypatch.setattr(storage, "settle", lambda: settled.append(1))
    regions = RegionMasks([mask], ["relu1_1", "relu2_1"], storage)
    assert len(settled) == 32 * 16 // 64 + 16 * 8 // 64
    assert regions.shares == [pytest.approx(float(mask.mean()))]
    (pooled,) = regions.get_layer_masks("relu2_1")
    assert torch.allclose(pooled, mask.view(16, 2, 8, 2).mean((1, 3)))


def test_a_region_counts_by_its_own_area_however_small():
    features = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    mask = torch.zeros(16, 16, dtype=torch.float64)
    mask[3:5, 3:5] = 1
    regions = RegionMasks([mask, 1 - mask], ["relu1_1"])
    small, rest = MomentGauge(["relu1_1"], regions).measure({"relu1_1": features})
    assert torch.allclose(small.second, measure_moments(features[..., 3:5, 3:5]).second)
    assert regions.shares == [4 / 256, 252 / 256]
    assert small.merge(rest).weight == 256


# Targets


def numbers(mean: float) -> list[Moments]:
    return [Moments(torch.full((1,), mean), torch.full((1, 1), 10 * mean), 1.0)]


def recipe_of(**changes) -> Recipe:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return load_recipe("sketch").with_changes({"style.layers": {"relu1_1": 1.0}, **dotted})


def mean_of(targets: Sequence[Sequence[Moments]]) -> list[float]:
    return [float(each.mean) for each in targets[0]]


def test_strength_blends_the_photos_own_moments_linearly():
    photo = numbers(4.0)
    for strength in (0.0, 0.25, 1.0):
        targets = mix_targets(recipe_of(strength=strength), [numbers(8.0)], 1, photo)
        assert mean_of(targets) == pytest.approx([4 + 4 * strength])
        assert float(targets[0][0].second) == pytest.approx(10 * (4 + 4 * strength))


def test_each_painting_of_a_blend_and_each_region_has_a_strength():
    photo = numbers(0.0)
    recipe = recipe_of(strength=0.5, style__strengths=[1.0, 0.5], style__weights=[3.0, 1.0])
    paintings = [numbers(8.0), numbers(16.0)]
    assert mean_of(mix_targets(recipe, paintings, 1, photo)) == pytest.approx(
        [(3 * 0.5 * 8 + 0.25 * 16) / 4]
    )
    apart = [*numbers(0.0), *numbers(4.0)]
    targets = mix_targets(recipe, paintings, 2, apart)
    assert mean_of(targets) == pytest.approx([0.5 * 8, 0.25 * 16 + 0.75 * 4])


def test_full_strength_needs_no_photo():
    a, b = numbers(1.0), numbers(2.0)
    ((target,),) = mix_targets(recipe_of(), [a, b], 1)
    assert torch.equal(target.mean, Moments.mix([*a, *b], [1, 1]).mean)


# The objective


def objectives(recipe: Recipe, **masks) -> tuple[WholeObjective, TiledObjective]:
    encoder, photo = narrow_vgg(recipe), picture(97, 130, 1)
    styles = [picture(70, 83, 2), picture(49, 131, 3)]
    whole = make_whole(recipe, encoder, photo, styles, **masks)
    return whole, make_tiled(recipe, encoder, photo, styles, side=64, **masks)


def soft_masks() -> list[torch.Tensor]:
    slope = torch.linspace(0, 1, 130, dtype=torch.float64).expand(97, 130)
    return [slope, 1 - slope]


@pytest.mark.parametrize("with_masks", [False, True])
def test_strengths_and_masks_in_tiles_are_those_of_the_whole(with_masks):
    recipe = QUICK.with_changes({"strength": 0.6, "style.strengths": [1.0, 0.5]})
    visible = torch.zeros(70, 83, dtype=torch.float64)
    visible[10:50, 20:70] = 0.7
    masks = {"masks": soft_masks(), "style_masks": [visible, None]} if with_masks else {}
    whole, tiled = objectives(recipe, **masks)
    assert_equal_evaluations(whole, tiled, picture(97, 130, 4))


def test_at_strength_0_the_photo_has_no_loss_and_no_gradient():
    whole, tiled = objectives(QUICK.with_changes({"strength": 0.0}), masks=soft_masks())
    for objective in (whole, tiled):
        losses, gradient = objective.evaluate(picture(97, 130, 1))
        assert losses["total"] == pytest.approx(0, abs=1e-20)
        assert gradient.abs().max() < 1e-10


def test_a_painting_side_mask_takes_the_style_of_that_part_only():
    recipe, left = QUICK, torch.zeros(64, 96, dtype=torch.float64)
    left[:, :48] = 1
    encoder = narrow_vgg(recipe)
    painting, image = picture(64, 96, 2), picture(64, 96, 4)
    changed = painting.clone()
    changed[..., 90:] = 0  # beyond what a feature of the left half sees

    def style(of, masks):
        objective = make_whole(recipe, encoder, picture(64, 96, 1), [of], style_masks=masks)
        return objective.compute_losses(image)["style"]

    shallow = recipe.with_changes({"style.layers": {"relu2_1": 1.0}})
    recipe, encoder = shallow, narrow_vgg(shallow)
    assert style(painting, [left]) == style(changed, [left])
    assert style(painting, [None]) != style(changed, [None])


def test_a_region_that_is_gone_at_some_scale_has_no_style_there():
    nothing = torch.zeros(97, 130, dtype=torch.float64)
    inputs = (QUICK, narrow_vgg(QUICK), picture(97, 130, 1), [picture(70, 83, 2)])
    image = picture(97, 130, 4)
    whole = make_whole(*inputs, masks=[nothing])
    tiled = make_tiled(*inputs, side=64, masks=[nothing])
    assert whole.compute_losses(image)["style"] == 0
    assert_equal_evaluations(whole, tiled, image)


def test_a_mask_of_ones_is_no_mask():
    ones = torch.ones(97, 130, dtype=torch.float64)
    encoder, image = narrow_vgg(QUICK), picture(97, 130, 4)
    inputs = (QUICK, encoder, picture(97, 130, 1), [picture(70, 83, 2)])
    losses, gradient = make_whole(*inputs, masks=[ones]).evaluate(image)
    theirs, their_gradient = make_whole(*inputs).evaluate(image)
    assert losses == theirs
    assert torch.equal(gradient, their_gradient)


# Masks


def test_overlapping_masks_become_a_partition_of_unity():
    ones, left = Mask(np.ones((48, 64), np.float32)), Mask(half())
    regions = Regions((ones, left), strengths=(1.0, 1.0), weights=(1.0, 1.0))
    first, second = regions.make_masks(64, 48, MEMORY)
    assert torch.equal(first + second, torch.ones(48, 64))
    assert float(first[0, 0]) == 0.5
    assert float(first[0, 63]) == 1
    assert regions.make_kept_mask(64, 48, MEMORY) is None


def test_the_rest_goes_to_the_last_painting_or_is_kept():
    left = Mask(half())
    regions = Regions((left,), strengths=(1.0, 0.5), weights=(1.0, 1.0))
    assert torch.equal(regions.make_masks(64, 48, MEMORY)[1], torch.from_numpy(1 - left.values))
    assert regions.make_kept_mask(64, 48, MEMORY) is None
    assert torch.equal(
        regions.make_weakness_map(64, 48, MEMORY), torch.from_numpy(1 - left.values) / 2
    )
    alone = Regions((left,))
    assert torch.equal(alone.make_kept_mask(64, 48, MEMORY), torch.from_numpy(1 - left.values))


def test_masks_that_cannot_be_meant_are_refused_in_one_line():
    with pytest.raises(InputError, match="is black; white"):
        read_mask(np.zeros((48, 64), np.uint8))
    with pytest.raises(InputError, match="1 mask but 3 paintings"):
        paint(painting=[PAINTING] * 3, masks=[half()])
    with pytest.raises(InputError, match="nothing is left for the last"):
        paint(painting=[PAINTING, OTHER], masks=[np.ones((48, 64), np.float32)])
    with pytest.raises(InputError, match="1 painting but 2 style strengths"):
        paint(strength=[1.0, 0.5])
    with pytest.raises(InputError, match="1 painting but 2 style masks"):
        paint(style_masks=[half(), None])


# Whole runs


@pytest.mark.parametrize("recipe", [QUICK, load_recipe("draft")], ids=["optimizer", "network"])
def test_what_is_transparent_in_a_painting_is_not_looked_at(recipe):
    levels = np.asarray(PAINTING)
    alpha = np.round(255 * half(*levels.shape[1::-1])).astype(np.uint8)
    cut = read_picture(np.dstack([levels, alpha]))
    result = paint(painting=cut, recipe=recipe)
    whole = Picture(cut.pixels)  # its hidden pixels have no color of their own
    masked = paint(painting=whole, style_masks=[cut.alpha], recipe=recipe)
    unmasked = paint(painting=whole, recipe=recipe)
    near, far = (np.abs(result - each).mean() for each in (masked, unmasked))
    assert near < far / 3, (near, far)  # resized by itself, what is seen gets nothing of the rest
    evenly = paint(painting=cut, style_masks=[1 - half() / 2], recipe=recipe)
    assert np.abs(result - evenly).mean() < far / 3
    quarter = half() * np.roll(half(), -16, 1)
    for hidden in (np.zeros_like(alpha), 255 - alpha):
        nothing = read_picture(np.dstack([levels, hidden]))
        with pytest.raises(InputError, match="fully transparent"):
            paint(painting=nothing, style_masks=[quarter], recipe=recipe)


@pytest.mark.parametrize("name", ["standard", "gatys-2015", "keras-lbfgs"])
def test_strength_0_is_the_photo_to_the_byte_whatever_the_recipe(name):
    recipe = load_recipe(name).with_changes({"size": 48, "schedule.total": 3})
    photo = read_picture(PHOTO).resize(48, 36)
    result = paint(recipe=recipe, strength=0)
    assert np.array_equal(result, np.asarray(photo.to_pil()))


@pytest.mark.parametrize("colors", ["content", "luminance", "match"])
def test_what_is_kept_is_kept_whatever_the_colors(colors):
    recipe = QUICK.with_changes({"colors": colors, "schedule.total": 3})
    assert np.array_equal(paint(recipe=recipe, strength=0), PHOTO)
    result = paint(recipe=recipe, masks=[half()])
    assert np.array_equal(result[:, 34:], PHOTO[:, 34:])
    assert (result != PHOTO).any()


@pytest.mark.usefixtures("real_encoder")
def test_strength_is_monotone_from_the_photo_to_the_full_style(full):
    changes = [np.abs(paint(strength=strength) - PHOTO).mean() for strength in (0, 0.02, 0.3, 0.7)]
    changes.append(np.abs(full - PHOTO).mean())
    assert changes[0] == 0
    assert changes[1] < 0.2 * changes[-1]
    assert changes == sorted(changes)


def test_a_noise_start_is_as_strong_as_the_style():
    noisy = QUICK.with_changes({"start.noise_ratio": 1.0, "schedule.total": 2})
    weak, strong = (np.abs(paint(recipe=noisy, strength=s) - PHOTO).mean() for s in (0.02, 1))
    assert weak < 0.1 * strong


def test_style_stays_inside_its_mask_and_is_there_in_full(full):
    result = paint(masks=[half(32, 24)])
    change = np.abs(result - PHOTO).mean(-1)
    assert change[:, 36:].max() == 0  # four pixels beside the edge, which a mask of half size has
    assert change[:, :30].mean() > 0.7 * np.abs(full - PHOTO).mean(-1)[:, :30].mean()


def test_a_soft_edge_is_a_cross_fade_without_a_rim():
    """Where the photo shines through, it is not answered with its complement."""
    slope = np.tile(np.clip(np.linspace(2, -1, 64), 0, 1).astype(np.float32), (48, 1))
    photo = np.random.default_rng(0).normal((220, 40, 40), 8, (48, 64, 3)).clip(0, 255)
    gray = np.repeat(PAINTING.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    recipe = QUICK.with_changes({"schedule.total": 30, "content.weight": 0.01})
    result = impasto.stylize(
        photo.astype(np.uint8), gray, recipe=recipe, masks=[slope], device="cpu"
    ).picture.pixels
    edge = np.repeat((slope > 0.2) & (slope < 0.6), 3).reshape(result.shape)
    own = (result - (1 - slope[..., None]) * photo / 255) / slope[..., None].clip(0.1)
    red, green, _ = own[edge].reshape(-1, 3).mean(0)
    assert red > green - 0.02, (red, green)


def test_a_white_mask_is_no_mask(full):
    assert np.array_equal(paint(masks=[np.ones((8, 10), np.float32)]), full)


def test_every_region_has_a_painting_and_a_strength_of_its_own(full):
    both = [PAINTING, OTHER // 3]
    one = paint(painting=both, masks=[half()])
    assert np.abs(one - full)[:, 40:].mean() > 5
    weak = paint(painting=both, masks=[half()], strength=[1.0, 0.0])
    assert np.abs(weak - PHOTO)[:, 32:].max() == 0
    assert np.abs(weak - PHOTO)[:, :28].mean() > 5


def test_a_run_in_tiles_knows_masks_and_strengths_too():
    brief = QUICK.with_changes({"schedule.total": 2, "style.layers": {"relu1_1": 1.0}})
    brief = brief.with_changes({"content.layers": {"relu1_1": 1.0}})
    options = {"masks": [half()], "painting": [PAINTING, OTHER], "strength": [0.8, 0.5]}
    whole = paint(recipe=brief, **options)
    tiled = paint(recipe=brief.with_changes({"tile": 32}), **options)
    assert np.abs(whole - tiled).max() <= 1
