"""The Laplacian canvas: an exact, linear map, and runs that move its coefficients."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from impasto.api.stylizer import Stylizer
from impasto.canvas.pyramid import compose, decompose, double, pull_back
from impasto.cli import main
from impasto.errors import RecipeError
from impasto.image.files.decode import read_picture
from impasto.optimize.budget.memory import list_layouts
from impasto.optimize.solvers.solver import Solver
from impasto.recipe.recipe import load_recipe
from impasto.recipe.tables import CanvasChoice, SolverChoice
from solvers import make_picture_solver

SIZES = [(16, 16), (17, 31), (1, 9), (5, 2), (33, 64)]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
def test_a_pyramid_is_its_picture(size):
    image = noise(1, 3, *size)
    for levels in (1, 3, 12):
        pyramid = decompose(image, levels)
        assert len(pyramid) <= levels + 1
        assert (compose(pyramid) - image).abs().max() < 1e-14
        for fine, coarse in itertools.pairwise(pyramid):
            halves = tuple((side + 1) // 2 for side in fine.shape[2:])
            assert tuple(coarse.shape[2:]) == halves


def test_doubling_is_bilinear_interpolation():
    image = noise(2, 3, 7, 5)
    expected = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(double(image, 14, 10), expected, atol=1e-14)
    assert torch.equal(double(image, 13, 9), double(image, 14, 10)[..., :13, :9])


def test_a_gray_picture_has_no_detail():
    *bands, rest = decompose(torch.full((1, 3, 21, 34), 0.3), 4)
    assert all(band.abs().max() < 1e-6 for band in bands)
    assert torch.allclose(rest, torch.full_like(rest, 0.3))


@pytest.mark.parametrize("size", SIZES)
def test_the_slopes_are_the_adjoint(size):
    pyramid = [noise(*band.shape, seed=1) for band in decompose(noise(1, 3, *size), 4)]
    gradient = noise(1, 3, *size, seed=2)
    paired = sum((a * b).sum() for a, b in zip(pyramid, pull_back(pyramid, gradient), strict=True))
    assert float(paired) == pytest.approx(float((compose(pyramid) * gradient).sum()), rel=1e-12)


def test_the_slopes_are_finite_differences():
    pyramid = decompose(noise(1, 1, 9, 7), 2)

    def loss(bands):
        return compose(bands).pow(3).sum()

    gradient = 3 * compose(pyramid).square()
    slopes = pull_back(pyramid, gradient)
    for level, band in enumerate(pyramid):
        place = (0, 0, band.shape[2] // 2, band.shape[3] - 1)
        losses = []
        for step in (1e-5, -1e-5):
            moved = [each.clone() for each in pyramid]
            moved[level][place] += step
            losses.append(loss(moved))
        difference = (losses[0] - losses[1]) / 2e-5
        assert float(slopes[level][place]) == pytest.approx(float(difference), rel=1e-7)


def pull(image):
    """Towards a picture that lies partly outside the box."""
    away = image - (torch.linspace(-0.5, 1.5, image.numel()).view(image.shape))
    return {"total": float(away.square().sum())}, 2 * away


def solver(average: float = 0.0) -> Solver:
    settings = SolverChoice(
        kind="adam", learning_rate=4, decay=0.5, decay_every=40, average=average
    )
    return make_picture_solver(settings, torch.full((1, 3, 13, 10), 0.5), pull, levels=3)


@pytest.mark.parametrize("average", [0.0, 0.8])
def test_the_picture_stays_in_range_and_finds_the_minimum(average):
    moving = solver(average)
    for _ in range(300):
        moving.step()
        assert 0 <= moving.picture.min() <= moving.picture.max() <= 1
    expected = torch.linspace(-0.5, 1.5, 390).view(1, 3, 13, 10).clamp(0, 1)
    assert (moving.picture - expected).abs().max() < 0.02


def test_one_step_moves_patches_where_pixels_would_not():
    """A gradient at a single pixel changes its surroundings."""

    def one_pixel(image):
        gradient = torch.zeros_like(image)
        gradient[..., 6, 5] = 1
        return {"total": float(image[..., 6, 5].sum())}, gradient

    settings = SolverChoice(kind="adam", learning_rate=4)
    moving = make_picture_solver(settings, torch.full((1, 3, 13, 10), 0.5), one_pixel, levels=2)
    moving.step()
    assert ((moving.picture - 0.5).abs() > 1e-3).sum() > 3 * 4


def test_a_loaded_state_goes_on_bit_for_bit(tmp_path):
    whole, first = solver(0.5), solver(0.5)
    for _ in range(20):
        whole.step()
    for _ in range(8):
        first.step()
    torch.save(first.state(), tmp_path / "state")
    again = solver(0.5)
    again.load(torch.load(tmp_path / "state", weights_only=True))
    for _ in range(12):
        again.step()
    assert torch.equal(again.picture, whole.picture)


RECIPE = """
base = "standard"
[canvas]
kind = "laplacian"
[solver]
kind = "adam"
learning_rate = 2.0
[schedule]
coarsest = 32
"""


def test_a_run_lowers_the_loss_and_resumes_to_the_same_bytes(work: Path, monkeypatch):
    monkeypatch.chdir(work)
    Path("mine.toml").write_text(RECIPE)
    job = ["photo.png", "--style", "painting.png", "--recipe", "mine.toml", "--quiet"]
    job += ["--size", "45", "--iterations", "12"]
    assert main([*job, "-o", "out.png"]) == 0
    recipe = load_recipe("mine.toml").with_changes({"size": 45, "schedule.total": 12})
    photo, painting = read_picture("photo.png"), read_picture("painting.png")
    steps = Stylizer(recipe).run(photo, painting, checkpoint="state")
    losses = [next(steps).losses["total"] for _ in range(9)]
    steps.close()
    assert losses[7] < losses[0]
    assert main([*job, "-o", "again.png", "--resume", "state"]) == 0
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


def test_the_canvas_changes_the_picture(work: Path):
    pixels = load_recipe("tf-vgg19").with_changes({"size": 32, "schedule.total": 3})
    pyramid = pixels.with_changes({"canvas.kind": "laplacian"})
    hashes = []
    for recipe in (pixels, pyramid, pyramid.with_changes({"canvas.levels": 2})):
        *_, last = Stylizer(recipe).run(work / "photo.png", work / "painting.png")
        hashes.append(last.picture().compute_sha256())
    assert len(set(hashes)) == 3


def test_what_it_cannot_do_is_refused():
    with pytest.raises(RecipeError, match=r'requires solver\.kind "adam", not "bounded"'):
        load_recipe("standard").with_changes({"canvas.kind": "laplacian"})
    with pytest.raises(RecipeError, match=r"does not support schedule\.carry"):
        load_recipe("tf-vgg19").with_changes({"canvas.kind": "laplacian", "schedule.carry": True})


def test_its_state_stays_in_memory():
    for kind, states in (("pixels", {"device", "disk"}), ("laplacian", {"device"})):
        ways = list_layouts(0, 4096, SolverChoice(), CanvasChoice(kind=kind), has_own_memory=False)
        assert {way.state for way in ways} == states
