"""The canvas of splats: views, gradients, bounds, and colors by least squares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from impasto.scene.cameras import measure_content, place_around
from impasto.scene.hidden import fill_hidden
from impasto.scene.least_squares import fit_colors
from impasto.scene.scene_engine import arrange_pictures, make_views
from impasto.scene.scene_setup import Studies, make_table, read_table
from impasto.scene.splat_canvas import SplatCanvas, SplatView
from impasto.scene.splats import Splats
from splat_scenes import make_blob, make_shell

GRAY = np.full(3, 0.5, np.float32)


def list_views(splats: Splats, count: int = 3, size: int = 32) -> list[SplatView]:
    return make_views(splats, place_around(measure_content(splats, (0, -1, 0)), count, size))


def list_views_without_the_first(splats: Splats) -> list[SplatView]:
    """The first Gaussian is far above the cameras."""
    positions = splats.positions.copy()
    positions[0] = (0, -50, 0)
    cameras = place_around(measure_content(splats, (0, -1, 0)), 3, 32)
    return make_views(replace(splats, positions=positions), cameras)


def make_canvas(splats: Splats, mask: np.ndarray | None = None) -> SplatCanvas:
    return SplatCanvas(list_views(splats), GRAY, mask)


def test_the_transpose_is_the_adjoint():
    splats = make_blob()
    generator = np.random.default_rng(1)
    for view in list_views(splats):
        colors = generator.normal(size=(len(splats), 3)).astype(np.float32)
        gradient = generator.normal(size=(*view.alpha.shape, 3)).astype(np.float32)
        image = view.render(colors, np.zeros(3, np.float32))
        left, right = (image * gradient).sum(), (colors * view.pull_back(gradient)).sum()
        assert left == pytest.approx(right, rel=1e-5, abs=1e-5)


def test_gradients_agree_with_finite_differences():
    splats = make_blob()
    canvas = make_canvas(splats)
    parameters = canvas.make_parameters(make_table(splats.colors))
    targets = [torch.rand_like(view.image) for view in canvas.render(parameters)]

    def compute(values: torch.Tensor) -> float:
        images = canvas.render([values])
        pairs = zip(images, targets, strict=True)
        return sum(float((v.image - t).double().square().sum()) for v, t in pairs)

    pairs = zip(canvas.render(parameters), targets, strict=True)
    (gradient,) = canvas.pull_back(parameters, [2 * (v.image - t) for v, t in pairs])
    direction = torch.randn_like(parameters[0]) * 0.01
    change = compute(parameters[0] + direction) - compute(parameters[0] - direction)
    assert change / 2 == pytest.approx(float((gradient * direction).sum()), rel=2e-3)


def test_a_gaussian_that_no_view_shows_has_no_gradient():
    shell = make_shell(300)
    canvas = SplatCanvas(list_views_without_the_first(shell), GRAY)
    parameters = canvas.make_parameters(make_table(shell.colors))
    ones = [torch.ones_like(view.image) for view in canvas.render(parameters)]
    (gradient,) = canvas.pull_back(parameters, ones)
    assert gradient.abs().median() > 0.1
    assert not gradient[0].any()


def test_what_is_not_to_change_has_no_gradient():
    splats = make_blob()
    mask = np.ones(len(splats), np.float32)
    mask[:10] = 0
    canvas = make_canvas(splats, mask)
    parameters = canvas.make_parameters(make_table(splats.colors))
    ones = [torch.ones_like(view.image) for view in canvas.render(parameters)]
    (gradient,) = canvas.pull_back(parameters, ones)
    assert not gradient[:10].any()
    assert gradient[10:].any()


def test_colors_stay_within_their_bounds_and_survive_the_table():
    splats = make_blob()
    canvas = make_canvas(splats)
    table = make_table(splats.colors)
    assert np.array_equal(read_table(canvas.show(canvas.make_parameters(table))), splats.colors)
    parameters = [torch.tensor([[-0.2, 0.5, 1.3]])]
    canvas.project(parameters)
    assert parameters[0].tolist() == [[0, 0.5, 1]]
    (bounds,) = canvas.list_bounds(parameters)
    assert (bounds.lower, bounds.upper) == (0, 1)


def test_a_view_is_over_the_background_and_weighted_by_alpha():
    splats = make_blob()
    for view in make_canvas(splats).make_views(make_table(np.full_like(splats.colors, 0.5))):
        assert view.image.numpy() == pytest.approx(0.5, abs=1e-5)
        assert view.weight is not None
        assert 0 < float(view.weight.mean()) < 1


def test_least_squares_finds_known_colors():
    splats = make_shell(300)
    views = list_views(splats, 6, 40)
    pictures = [view.render(splats.colors, GRAY) for view in views]
    start = np.full_like(splats.colors, 0.5)
    colors = fit_colors(views, pictures, start, GRAY, ridge=1e-3)
    again = [view.render(colors, GRAY) for view in views]
    error = np.mean([np.square(a - b).mean() for a, b in zip(again, pictures, strict=True)])
    assert -10 * np.log10(error) > 35


def test_least_squares_keeps_the_color_of_what_no_view_shows():
    splats = make_shell(300)
    views = list_views_without_the_first(splats)
    start = np.full_like(splats.colors, 0.7)
    pictures = [np.zeros_like(view.render(start, GRAY)) for view in views]
    colors = fit_colors(views, pictures, start, GRAY)
    assert colors[0] == pytest.approx(0.7, abs=1e-5)
    assert np.median(colors) < 0.1


def test_what_is_hidden_gets_the_color_around_it():
    positions = np.float32([[0, 0, 0], [1, 0, 0], [0.01, 0, 0], [9, 9, 9]])
    colors = np.float32([[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]])
    filled = fill_hidden(positions, colors, np.float32([5, 5, 0, 5]))
    assert filled[2] == pytest.approx([1, 0, 0], abs=0.01)
    assert np.array_equal(filled[[0, 1, 3]], colors[[0, 1, 3]])
    assert np.array_equal(fill_hidden(positions, colors, np.zeros(4, np.float32)), colors)


def test_views_come_in_a_random_order_and_all_alike():
    studies = Studies(
        views={32: list_views(make_blob(), 5)},
        background=GRAY,
        colors=np.zeros((50, 3), np.float32),
        start=np.zeros((50, 3), np.float32),
        mask=None,
        per_step=2,
        seed=3,
    )
    picks = [studies.choose_views(step) for step in range(10)]
    assert picks == [studies.choose_views(step) for step in range(10)]
    assert sorted(view for pick in picks for view in pick or ()) == sorted([*range(5)] * 4)
    assert replace(studies, per_step=5).choose_views(0) is None


def test_a_cropped_view_shows_the_same():
    splats = replace(make_blob(), scales=make_blob().scales / 10)
    camera = place_around(measure_content(splats, (0, -1, 0)), 1, 128)[0]
    (cropped,) = make_views(splats, [camera])
    assert cropped.alpha.size < 128 * 128
    pixels = cropped.alpha.shape[0] * cropped.alpha.shape[1]
    assert cropped.matrix.shape == (pixels, len(splats))


def test_pictures_are_laid_out_in_rows():
    pictures = [np.full((2, 3, 3), n, np.float32) for n in (1, 2, 3)]
    whole, cells = arrange_pictures(pictures, GRAY)
    assert whole.shape == (4, 6, 3)
    assert [float(whole[cell].mean()) for cell in cells] == [1, 2, 3]
    assert whole[-1, -1] == pytest.approx(0.5)
