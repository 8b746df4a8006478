"""Style as distributions: exact Wasserstein, AdaIN statistics, covariances; in float64."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.autograd import gradcheck

from impasto.objective.losses.bures import bures_loss, make_bures_target
from impasto.objective.losses.gram import covariance_loss, mean_std_loss
from impasto.objective.losses.wasserstein import BLUR, make_wasserstein_target, wasserstein_loss
from impasto.objective.statistics.moments import Moments, measure_moments

torch.manual_seed(0)
FEATURES = torch.rand(1, 5, 4, 6, dtype=torch.float64)
OTHER = torch.rand(1, 5, 3, 7, dtype=torch.float64) * 1.5


def points(features: torch.Tensor) -> np.ndarray:
    return features[0].flatten(1).T.numpy()


def slow_wasserstein(result: torch.Tensor, painting: torch.Tensor) -> float:
    """From the definition, with SciPy's square root of a matrix."""
    x, y = points(result), points(painting)
    s, t = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    root = scipy.linalg.sqrtm(t)
    cross = scipy.linalg.sqrtm(root @ s @ root).real
    shift = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return float((shift + np.trace(s + t - 2 * cross)) / np.trace(t))


def exact_wasserstein(result: torch.Tensor, painting: torch.Tensor) -> torch.Tensor:
    return wasserstein_loss(
        measure_moments(result), make_wasserstein_target(measure_moments(painting), blur=0)
    )


def test_wasserstein_against_scipys_square_root():
    expected = slow_wasserstein(FEATURES, OTHER)
    assert exact_wasserstein(FEATURES, OTHER).item() == pytest.approx(expected, rel=1e-12)
    blurred = wasserstein_loss(
        measure_moments(FEATURES), make_wasserstein_target(measure_moments(OTHER))
    )
    assert blurred.item() == pytest.approx(expected, rel=10 * BLUR)


def test_wasserstein_of_independent_channels_in_closed_form():
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 0.25]).double()
    m, n = torch.tensor([1.0, 0.0, 2.0]).double(), torch.tensor([0.0, 3.0, 2.0]).double()
    result, painting = (
        Moments(mean, torch.diag(variances) + torch.outer(mean, mean), 9)
        for mean, variances in ((m, a), (n, b))
    )
    expected = ((m - n) ** 2).sum() + ((a.sqrt() - b.sqrt()) ** 2).sum()
    loss = wasserstein_loss(result, make_wasserstein_target(painting, blur=0))
    assert loss.item() == pytest.approx((expected / b.sum()).item(), rel=1e-12)


def test_its_gradient_in_the_covariance_is_the_closed_form():
    target = make_wasserstein_target(measure_moments(OTHER), blur=0)
    moments = measure_moments(FEATURES)
    second = moments.second.clone().requires_grad_()
    loss = wasserstein_loss(Moments(moments.mean, second, moments.weight), target)
    (slope,) = torch.autograd.grad(loss * target.spread, second)
    root = target.root.numpy()
    between = scipy.linalg.sqrtm(root @ moments.covariance.numpy() @ root)
    expected = np.eye(5) - root @ np.linalg.inv(between) @ root
    assert np.abs(slope.numpy() - expected).max() < 1e-10


DISTANCES = {
    "wasserstein": lambda painting: partial(
        wasserstein_loss, target=make_wasserstein_target(painting)
    ),
    "covariance": lambda painting: partial(covariance_loss, target=painting),
    "mean_std": lambda painting: partial(mean_std_loss, target=painting),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_gradients_against_finite_differences(name):
    distance = DISTANCES[name](measure_moments(OTHER))
    features = FEATURES.clone().requires_grad_()
    assert gradcheck(lambda f: distance(measure_moments(f)), (features,))


@pytest.mark.parametrize("name", DISTANCES)
def test_zero_at_the_painting_wherever_its_pixels_lie(name):
    distance = DISTANCES[name](measure_moments(FEATURES))
    features = FEATURES.flip(2, 3).requires_grad_()
    loss = distance(measure_moments(features))
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert distance(measure_moments(OTHER)).item() > 1e-3
    (slope,) = torch.autograd.grad(loss, features)
    assert slope.abs().max() < 1e-9


@pytest.mark.parametrize("name", DISTANCES)
def test_relative_to_the_painting(name):
    """Features ten times as strong, of both, are as far apart; no texture is about 1 away."""
    near = DISTANCES[name](measure_moments(OTHER))(measure_moments(FEATURES)).item()
    far = DISTANCES[name](measure_moments(10 * OTHER))(measure_moments(10 * FEATURES)).item()
    assert far == pytest.approx(near, rel=1e-9)
    flat = OTHER.mean((2, 3), keepdim=True).expand(1, 5, 4, 6)
    assert DISTANCES[name](measure_moments(OTHER))(measure_moments(flat)).item() == pytest.approx(
        1, rel=0.05
    )


def test_a_covariance_is_seen_where_channels_alone_are_not():
    """Two channels that rise together, and that rise against each other."""
    wave = torch.linspace(-1, 1, 20, dtype=torch.float64)
    with_it, against = (torch.stack([wave, s * wave]).view(1, 2, 4, 5) for s in (1, -1))
    assert mean_std_loss(
        measure_moments(with_it), measure_moments(against)
    ).item() == pytest.approx(0, abs=1e-12)
    assert covariance_loss(
        measure_moments(with_it), measure_moments(against)
    ).item() == pytest.approx(2)
    target = make_wasserstein_target(measure_moments(against))
    assert wasserstein_loss(measure_moments(with_it), target).item() == pytest.approx(2, rel=0.05)


def test_covariance_and_adain_losses_against_their_formulas():
    x, y = points(FEATURES), points(OTHER)
    s, t = np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    shift = ((x.mean(0) - y.mean(0)) ** 2).sum() / np.trace(t)
    loss = covariance_loss(measure_moments(FEATURES), measure_moments(OTHER))
    assert loss.item() == pytest.approx(shift + ((s - t) ** 2).sum() / (t**2).sum())
    deviations = ((x.std(0) - y.std(0)) ** 2).sum() / np.trace(t)
    loss = mean_std_loss(measure_moments(FEATURES), measure_moments(OTHER))
    assert loss.item() == pytest.approx(shift + deviations, rel=1e-3)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_channels_and_missing_directions_give_finite_slopes(name, dtype):
    """Fewer positions than channels, and channels that painting, result or both leave silent."""
    few, many = FEATURES[..., :1, :3].to(dtype).clone(), OTHER.to(dtype).clone()
    few[:, 0] = many[:, 0] = 0
    few[:, 1] = 0
    many[:, 2] = 0.5
    for painting in (few, many, torch.zeros_like(many)):
        distance = DISTANCES[name](measure_moments(painting))
        for result in (few, many, torch.zeros_like(few)):
            features = result.clone().requires_grad_()
            loss = distance(measure_moments(features))
            (slope,) = torch.autograd.grad(loss, features)
            assert torch.isfinite(loss)
            assert torch.isfinite(slope).all()


def test_small_eigenvalues_count():
    """One direction holds a ten-thousandth of the variance, and its share of the distance."""
    mean = torch.zeros(2, dtype=torch.float64)
    painting = Moments(mean, torch.diag(torch.tensor([1.0, 1e-4]).double()), 9)
    result = Moments(mean, torch.diag(torch.tensor([1.0, 4e-4]).double()), 9)
    loss = wasserstein_loss(result, make_wasserstein_target(painting, blur=1e-6))
    assert loss.item() == pytest.approx(1e-4 / (1 + 1e-4), rel=0.01)


def test_near_the_painting_the_second_order_form_agrees():
    target = make_bures_target(measure_moments(OTHER), damping=0)
    near = OTHER + 1e-4 * torch.randn_like(OTHER)
    exact = exact_wasserstein(near, OTHER).item()
    assert bures_loss(measure_moments(near), target).item() == pytest.approx(exact, rel=1e-2)
