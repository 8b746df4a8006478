"""Losses of sampled features: self-similarity, the relaxed earth mover's distance, the palette."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from impasto.image.color.spaces import srgb_to_oklab
from impasto.objective.losses import earth_mover, palette
from impasto.objective.losses.earth_mover import EarthMoverTarget, relaxed_earth_mover
from impasto.objective.losses.palette import convert_to_oklab
from impasto.objective.losses.self_similarity import measure_distances, self_similarity_loss
from impasto.objective.statistics.region_masks import RegionMasks
from impasto.objective.statistics.samples import SIDE, AverageGauge, PointGauge, Samples

torch.manual_seed(1)
ONE = torch.rand(9, 4, dtype=torch.float64)
TWO = torch.rand(13, 4, dtype=torch.float64)
PAINTING = EarthMoverTarget(TWO)


def slow_costs(a: np.ndarray, b: np.ndarray, cost: str) -> np.ndarray:
    costs = np.zeros((len(a), len(b)))
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            if cost == "cosine":
                costs[i, j] = 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y)
            else:
                costs[i, j] = ((x - y) ** 2).sum() / 2
    return costs


@pytest.mark.parametrize("cost", ["cosine", "euclidean"])
def test_earth_mover_against_its_definition_in_any_chunks(cost, monkeypatch):
    costs = slow_costs(ONE.numpy(), TWO.numpy(), cost)
    expected = max(costs.min(1).mean(), costs.min(0).mean())
    for chunk in (earth_mover.CHUNK, 3 * 13, 1):
        monkeypatch.setattr(earth_mover, "CHUNK", chunk)
        assert relaxed_earth_mover(ONE, PAINTING, cost).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cost", ["cosine", "euclidean"])
def test_both_directions_count(cost):
    """A part of the painting is near all of it one way only."""
    part = TWO[:4]
    forth = relaxed_earth_mover(part, PAINTING, cost)
    back = relaxed_earth_mover(TWO, EarthMoverTarget(part), cost)
    assert forth == back > 0.01
    again = relaxed_earth_mover(TWO.flip(0), PAINTING, cost)
    assert again.item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("cost", ["cosine", "euclidean"])
def test_earth_mover_gradient_against_finite_differences(cost):
    points = ONE.clone().requires_grad_()
    assert gradcheck(lambda p: relaxed_earth_mover(p, PAINTING, cost), (points,))
    flat = torch.zeros(3, 4, requires_grad=True)
    loss = relaxed_earth_mover(flat, EarthMoverTarget(torch.zeros(2, 4)), cost)
    loss.backward()
    assert loss < 1e-6
    assert torch.isfinite(flat.grad).all()


def test_cosine_sees_no_strength_and_euclidean_does():
    assert relaxed_earth_mover(3 * TWO, PAINTING, "cosine").item() == pytest.approx(0, abs=1e-12)
    assert relaxed_earth_mover(3 * TWO, PAINTING, "euclidean") > 0.1


def test_distances_are_column_normalized_cosine_distances():
    expected = slow_costs(ONE.numpy(), ONE.numpy(), "cosine")
    expected /= expected.sum(0)
    assert np.abs(measure_distances(ONE).numpy() - expected).max() < 1e-12


def test_self_similarity_loss_against_its_formula_and_finite_differences():
    other = torch.rand_like(ONE)
    a, b = measure_distances(other).numpy(), measure_distances(ONE).numpy()
    loss = self_similarity_loss(other, measure_distances(ONE))
    assert loss.item() == pytest.approx(((a - b) ** 2).sum() / (b**2).sum())
    assert self_similarity_loss(ONE, measure_distances(ONE)).item() == 0
    points = other.clone().requires_grad_()
    assert gradcheck(lambda p: self_similarity_loss(p, measure_distances(ONE)), (points,))


def test_self_similarity_does_not_see_what_the_features_are():
    """Turned and scaled all alike, they resemble each other as before."""
    turn, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))
    assert self_similarity_loss(2 * ONE @ turn, measure_distances(ONE)).item() < 1e-24
    assert self_similarity_loss(ONE.flip(0), measure_distances(ONE)).item() > 1e-3


def test_self_similarity_of_flat_features_is_finite():
    flat = torch.ones(5, 3, requires_grad=True)
    loss = self_similarity_loss(flat, measure_distances(torch.zeros(5, 3)))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(flat.grad).all()


def test_oklab_is_that_of_the_metrics_but_smooth_at_black(monkeypatch):
    colors = torch.rand(50, 3, dtype=torch.float64)
    expected = srgb_to_oklab(colors.numpy().astype(np.float32))
    black = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(convert_to_oklab(black).sum(), black)
    assert torch.isfinite(slope).all()
    assert convert_to_oklab(black).abs().max() == 0
    inner = (0.1 + 0.8 * colors[:4]).requires_grad_()
    assert gradcheck(convert_to_oklab, (inner,))
    monkeypatch.setattr(palette, "DARK", 1e-12)
    assert np.abs(convert_to_oklab(colors).numpy() - expected).max() < 2e-4


def everything() -> RegionMasks:
    return RegionMasks((), ())


def layer(height: int, width: int) -> dict[str, torch.Tensor]:
    """Features that say where they are."""
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return {"relu1_1": torch.stack([down, across]).double()[None]}


@pytest.mark.parametrize(("height", "width"), [(5, 90), (32, 32), (77, 64)])
def test_averages_are_those_of_equal_boxes(height, width):
    (samples,) = AverageGauge(["relu1_1"], (height, width), everything()).measure(
        layer(height, width)
    )
    rows, columns = min(height, SIDE), min(width, SIDE)
    assert samples.points.shape == (rows * columns, 2)
    middle = samples.points.view(rows, columns, 2)
    # The average of a linear function over a box is its value in the middle, if cells are points
    # spread over their own unit square: exact where edges fall between cells.
    if height % rows == 0:
        expected = (torch.arange(rows) + 0.5) * height / rows - 0.5
        assert torch.allclose(middle[:, 0, 0], expected.double())
    assert samples.points.mean(0).tolist() == pytest.approx([(height - 1) / 2, (width - 1) / 2])


def test_points_are_spread_evenly_and_their_number_is_bounded():
    (samples,) = PointGauge(["relu1_1"], (100, 640), everything()).measure(layer(100, 640))
    assert len(samples.points) == SIDE**2
    assert samples.points.mean(0).tolist() == pytest.approx([49.5, 319.5], abs=1)
    (few,) = PointGauge(["relu1_1"], (3, 4), everything()).measure(layer(3, 4))
    assert sorted(map(tuple, few.points.tolist())) == [(i, j) for i in range(3) for j in range(4)]


def test_a_regions_samples_lie_in_it():
    mask = torch.zeros(100, 80)
    mask[20:40, 10:30] = 1
    regions = RegionMasks([mask, torch.zeros(100, 80)], ["relu1_1"])
    for gauge in (PointGauge, AverageGauge):
        samples, nothing = gauge(["relu1_1"], (100, 80), regions).measure(layer(100, 80))
        assert nothing is None
        down, across = samples.points.T
        assert len(samples.points) > 30
        assert ((down >= 19.5) & (down <= 39.5) & (across >= 9.5) & (across <= 29.5)).all()
        assert [down.mean(), across.mean()] == pytest.approx([29.5, 19.5], abs=1)


def test_where_a_region_is_soft_fewer_points_are_taken():
    mask = torch.cat([torch.full((64, 32), 0.25), torch.ones(64, 32)], 1)
    (samples,) = PointGauge(["relu1_1"], (64, 64), RegionMasks([mask], ["relu1_1"])).measure(
        layer(64, 64)
    )
    assert (samples.points[:, 1] < 32).double().mean().item() == pytest.approx(0.2, abs=0.05)


def test_several_paintings_give_samples_in_proportion():
    ones, twos = Samples(torch.ones(90, 2)), Samples(torch.full((90, 2), 2.0))
    assert Samples.mix([ones, twos], [1, 2]).points[:, 0].tolist() == [1.0] * 45 + [2.0] * 90
    assert torch.equal(Samples.mix([ones, twos], [1, 0]).points, ones.points)
