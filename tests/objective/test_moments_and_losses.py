"""Exact mathematics of the objective, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from impasto.evaluate.distributions import compute_wasserstein2, fit_gaussian
from impasto.objective.losses.bures import bures_loss, make_bures_target
from impasto.objective.losses.content import content_loss
from impasto.objective.losses.gram import gram_loss
from impasto.objective.losses.smoothness import total_variation
from impasto.objective.statistics.moments import Moments, measure_moments

torch.manual_seed(0)
FEATURES = torch.rand(1, 5, 4, 6, dtype=torch.float64)
OTHER = torch.rand(1, 5, 3, 7, dtype=torch.float64)


def numpy_gram(features: torch.Tensor, divisor: float) -> np.ndarray:
    """Written from the definition, element by element, independent of the library."""
    f = features.numpy()[0]
    channels = f.shape[0]
    gram = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            gram[i, j] = (f[i] * f[j]).sum() / divisor
    return gram


def test_moments_are_mean_and_mean_outer_product():
    moments = measure_moments(FEATURES)
    assert torch.allclose(moments.mean, FEATURES.mean((0, 2, 3)))
    assert np.allclose(moments.second.numpy(), numpy_gram(FEATURES, 24))
    assert moments.weight == 24


def test_moments_of_parts_merge_to_moments_of_the_whole():
    whole = measure_moments(FEATURES)
    merged = measure_moments(FEATURES[..., :2]).merge(measure_moments(FEATURES[..., 2:]))
    assert torch.allclose(merged.mean, whole.mean, atol=1e-14)
    assert torch.allclose(merged.second, whole.second, atol=1e-14)
    assert merged.weight == whole.weight


def test_a_mask_measures_only_what_it_shows_normalized_by_its_own_area():
    mask = torch.zeros(4, 6)
    mask[1:3, 2:5] = 1
    inside = measure_moments(FEATURES[:, :, 1:3, 2:5])
    masked = measure_moments(FEATURES, mask)
    assert torch.allclose(masked.mean, inside.mean)
    assert torch.allclose(masked.second, inside.second)
    half = measure_moments(FEATURES, mask * 0.5)
    assert torch.allclose(half.second, inside.second)


def test_blending_is_linear_and_normalized():
    a, b = measure_moments(FEATURES), measure_moments(OTHER)
    mixed = Moments.mix([a, b], [1, 3])
    assert torch.allclose(mixed.second, 0.25 * a.second + 0.75 * b.second)
    assert torch.allclose(mixed.mean, 0.25 * a.mean + 0.75 * b.mean)
    assert torch.equal(Moments.mix([a], [5]).second, a.second)


def test_moments_are_float32_for_half_precision_features():
    moments = measure_moments(FEATURES.to(torch.bfloat16))
    assert moments.mean.dtype == moments.second.dtype == torch.float32


def test_moments_gradient_against_finite_differences():
    features = FEATURES.clone().requires_grad_()
    assert gradcheck(lambda f: (measure_moments(f).mean, measure_moments(f).second), (features,))
    mask = torch.rand(4, 6, dtype=torch.float64)
    assert gradcheck(lambda f: measure_moments(f, mask).second, (features,))


@pytest.mark.parametrize("normalization", ["mean", "sum", "half_sum", "paper", "relative"])
def test_content_loss_against_its_formula(normalization):
    target = torch.rand_like(FEATURES)
    f, p = FEATURES.numpy(), target.numpy()
    n, m = 5, 24
    total = ((f - p) ** 2).sum()
    expected = {
        "mean": total / f.size,
        "sum": total,
        "half_sum": 0.5 * total,
        "paper": total / (2 * n * m),
        "relative": total / (p**2).sum(),
    }[normalization]
    assert content_loss(FEATURES, target, normalization).item() == pytest.approx(expected)
    features = FEATURES.clone().requires_grad_()
    assert gradcheck(lambda x: content_loss(x, target, normalization), (features,))


@pytest.mark.parametrize("over", ["hw", "chw"])
@pytest.mark.parametrize("normalization", ["mean", "sum", "relative"])
def test_gram_loss_against_its_formula(normalization, over):
    channels = 5
    g = numpy_gram(FEATURES, 24 * (channels if over == "chw" else 1))
    a = numpy_gram(OTHER, 21 * (channels if over == "chw" else 1))
    total = ((g - a) ** 2).sum()
    expected = {
        "mean": total / channels**2,
        "sum": total,
        "relative": total / (a**2).sum(),
    }[normalization]
    loss = gram_loss(measure_moments(FEATURES), measure_moments(OTHER), normalization, over)
    assert loss.item() == pytest.approx(expected)


def test_the_papers_style_loss_with_unnormalized_grams_of_equal_sizes():
    other = torch.rand_like(FEATURES)
    n, m = 5, 24
    g, a = numpy_gram(FEATURES, 1), numpy_gram(other, 1)
    expected = ((g - a) ** 2).sum() / (4 * n**2 * m**2)
    loss = gram_loss(measure_moments(FEATURES), measure_moments(other), "paper")
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("normalization", ["mean", "sum", "paper", "relative"])
def test_gram_loss_gradient_against_finite_differences(normalization):
    target = measure_moments(OTHER)
    features = FEATURES.clone().requires_grad_()
    assert gradcheck(lambda f: gram_loss(measure_moments(f), target, normalization), (features,))


def test_bures_loss_is_the_wasserstein_distance_to_second_order():
    generator = torch.Generator().manual_seed(0)
    painting, direction = (
        torch.randn(1, 4, 9, 9, dtype=torch.float64, generator=generator) for _ in range(2)
    )
    points = painting[0].flatten(1).T
    target = make_bures_target(measure_moments(painting), damping=0)
    errors = []
    for step in (1e-1, 1e-2, 1e-3):
        near = painting + step * direction
        exact = compute_wasserstein2(fit_gaussian(near[0].flatten(1).T), fit_gaussian(points))
        exact /= float(fit_gaussian(points)[1].trace())
        errors.append(abs(bures_loss(measure_moments(near), target).item() / exact - 1))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


def test_bures_loss_of_one_channel_in_closed_form():
    painting, result = FEATURES[:, :1], OTHER[:, :1]
    (m, v), (a, b) = ((x.mean().item(), x.var(correction=0).item()) for x in (painting, result))
    loss = bures_loss(
        measure_moments(result), make_bures_target(measure_moments(painting), damping=0.5)
    )
    assert loss.item() == pytest.approx(((a - m) ** 2 + (b - v) ** 2 / (4 * 1.5 * v)) / v)


def test_bures_loss_is_zero_at_the_painting_wherever_its_pixels_lie():
    target = make_bures_target(measure_moments(FEATURES))
    assert bures_loss(measure_moments(FEATURES.flip(2, 3)), target).item() == pytest.approx(
        0, abs=1e-20
    )
    assert bures_loss(measure_moments(OTHER), target).item() > 1e-3


def test_a_flat_painting_is_a_finite_target():
    flat = measure_moments(torch.full_like(FEATURES, 0.5))
    target = make_bures_target(flat)
    assert bures_loss(flat, target).item() == pytest.approx(0, abs=1e-20)
    assert 0 < bures_loss(measure_moments(FEATURES), target).item() < 100


def test_bures_loss_gradient_against_finite_differences():
    target = make_bures_target(measure_moments(OTHER))
    features = FEATURES.clone().requires_grad_()
    assert gradcheck(lambda f: bures_loss(measure_moments(f), target), (features,))


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_total_variation_against_its_formula(kind):
    x = FEATURES.numpy()
    power = 1 if kind == "l1" else 2
    expected = (np.abs(np.diff(x, axis=2)) ** power).mean()
    expected += (np.abs(np.diff(x, axis=3)) ** power).mean()
    assert total_variation(FEATURES, kind).item() == pytest.approx(expected)
    image = FEATURES.clone().requires_grad_()
    assert gradcheck(lambda i: total_variation(i, kind), (image,))


def test_total_variation_of_single_pixels_is_zero():
    assert total_variation(torch.rand(1, 3, 1, 1), "l2").item() == 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_losses_and_gradients_are_finite_for_flat_features(value):
    flat = torch.full((1, 5, 4, 4), value, requires_grad=True)
    target = torch.zeros(1, 5, 4, 4)
    moments = Moments(torch.zeros(5), torch.zeros(5, 5), 16)
    total = sum(content_loss(flat, target, n) for n in ("mean", "paper", "relative"))
    total = total + sum(gram_loss(measure_moments(flat), moments, n) for n in ("mean", "relative"))
    total = total + bures_loss(measure_moments(flat), make_bures_target(moments))
    total = total + total_variation(flat, "l1") + total_variation(flat, "l2")
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(flat.grad).all()
