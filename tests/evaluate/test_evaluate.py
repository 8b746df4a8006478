"""Metrics on cases whose answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from conftest import synthetic_painting, synthetic_photo
from impasto.encoders.formats import write_parameters
from impasto.encoders.weight_sources import SOURCES, hash_file
from impasto.encoders.weights import load_vgg, load_wheel_parameters
from impasto.errors import LimitError
from impasto.evaluate import metrics
from impasto.evaluate.compare import PictureMeasurement, compare, load_reference_encoder
from impasto.evaluate.distributions import (
    compute_sliced_wasserstein,
    compute_wasserstein2,
    fit_gaussian,
    project_quantiles,
)
from impasto.evaluate.metrics import StyleStatistics
from impasto.image.files.decode import read_picture

GENERATOR = torch.Generator().manual_seed(0)


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32) / 255)[None]


PHOTO, PAINTING = tensor(synthetic_photo(96, 64)), tensor(synthetic_painting(80, 72))


@pytest.fixture(scope="module")
def encoder():
    return load_reference_encoder()


def test_a_picture_is_perfect_against_itself(encoder):
    picture = read_picture(synthetic_photo(96, 64))
    metrics = compare(picture, picture, picture, encoder)
    assert metrics["content_ssim"] == pytest.approx(1)
    assert metrics["halo"] < 0.01
    for name in set(metrics) - {"content_ssim", "blockiness", "halo"}:
        assert metrics[name] == pytest.approx(0, abs=1e-6), name


def test_style_is_the_paintings_and_content_the_photos(encoder):
    photo, painting = (
        read_picture(synthetic_photo(96, 64)),
        read_picture(synthetic_painting(96, 64)),
    )
    as_photo = compare(photo, painting, photo, encoder)
    as_painting = compare(photo, painting, painting, encoder)
    for name in ("style_gram", "style_w2", "style_swd", "palette"):
        assert as_painting[name] < 1e-6 < as_photo[name]
    for name in ("content_selfsim",):
        assert as_photo[name] < 1e-6 < as_painting[name]
    assert as_painting["content_ssim"] < 0.9


def test_w2_of_diagonal_gaussians_has_a_closed_form():
    mean_a, mean_b = torch.randn(2, 6, dtype=torch.float64, generator=GENERATOR)
    var_a, var_b = torch.rand(2, 6, dtype=torch.float64, generator=GENERATOR)
    expected = (mean_a - mean_b).square().sum() + (var_a.sqrt() - var_b.sqrt()).square().sum()
    distance = compute_wasserstein2((mean_a, var_a.diag()), (mean_b, var_b.diag()))
    assert distance == pytest.approx(float(expected))


def test_w2_resolves_small_eigenvalues_and_is_invariant_to_rotation():
    var_a = torch.tensor([1.0, 1e-8], dtype=torch.float64)
    var_b = torch.tensor([1.0, 4e-8], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    plain = compute_wasserstein2((zero, var_a.diag()), (zero, var_b.diag()))
    turned = compute_wasserstein2(
        (zero, turn @ var_a.diag() @ turn.T), (zero, turn @ var_b.diag() @ turn.T)
    )
    assert plain == pytest.approx(1e-8, rel=1e-3)
    assert turned == pytest.approx(1e-8, rel=1e-3)


def test_w2_of_a_translation_is_its_length_squared():
    points = torch.randn(500, 4, dtype=torch.float64, generator=GENERATOR)
    assert compute_wasserstein2(fit_gaussian(points), fit_gaussian(points + 2)) == pytest.approx(16)


def test_sliced_wasserstein_of_a_translation_and_of_resampling():
    points = torch.randn(2000, 3, dtype=torch.float64, generator=GENERATOR)
    moved = points + torch.tensor([1.0, 0, 0])
    shifted = compute_sliced_wasserstein(
        *(project_quantiles(each, directions=2000) for each in (points, moved))
    )
    assert shifted == pytest.approx(0.5, abs=0.03)  # mean |cos| over the sphere
    assert (
        compute_sliced_wasserstein(
            project_quantiles(points), project_quantiles(points.repeat(2, 1))
        )
        < 0.01
    )


def test_ssim_against_scikit_image():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    result = (PHOTO + 0.1 * torch.randn(PHOTO.shape, generator=GENERATOR)).clamp(0, 1)
    a, b = (metrics.compute_luma(x)[0, 0].numpy() for x in (PHOTO, result))
    _, full = structural_similarity(
        a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert metrics.content_ssim(PHOTO, result) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-6)


def features_of(draw):
    layers = (*metrics.GRAM_LAYERS, *metrics.HELD_OUT)
    return {layer: draw(1, 4, 9, 9, generator=GENERATOR) for layer in layers}


def test_gram_error_of_scaled_features_is_known():
    features = features_of(torch.rand)
    louder = {layer: value * 2 for layer, value in features.items()}
    one, other = StyleStatistics.measure(PHOTO, features), StyleStatistics.measure(PHOTO, louder)
    assert metrics.style_gram(one, other) == pytest.approx(3)
    assert metrics.style_gram(one, one) == 0


def test_w2_of_scaled_features_is_known():
    features, louder = features_of(torch.randn), {}
    for layer, value in features.items():
        mean = value.mean((2, 3), keepdim=True)
        louder[layer] = mean + 1.5 * (value - mean)
    one, other = StyleStatistics.measure(PHOTO, features), StyleStatistics.measure(PHOTO, louder)
    assert metrics.style_w2(one, other) == pytest.approx(0.25, rel=1e-4)


def test_metrics_do_not_mind_a_mirror(encoder):
    flipped = read_picture(synthetic_painting(80, 72)[:, ::-1].copy())
    painting, photo = (
        read_picture(synthetic_painting(80, 72)),
        read_picture(synthetic_photo(96, 64)),
    )
    metrics = compare(photo, painting, flipped, encoder)
    assert metrics["palette"] < 1e-6
    assert metrics["style_gram"] < compare(photo, painting, photo, encoder)["style_gram"] / 3


def test_noise_is_what_the_painting_does_not_have():
    grain = 0.05 * torch.randn(PHOTO.shape, generator=GENERATOR)
    noisy = (PHOTO + grain).clamp(0, 1)
    assert metrics.noise(PHOTO, noisy) > 0.005
    assert metrics.noise(noisy, PHOTO) == 0
    assert metrics.noise(noisy, noisy) == 0


@pytest.mark.parametrize("period", [8, 16])
def test_a_grid_is_found_and_a_gradient_is_not(period):
    y, x = np.mgrid[0:64, 0:96]
    smooth = torch.from_numpy((x + y) / 160).expand(1, 3, 64, 96)
    assert metrics.blockiness(smooth) == pytest.approx(0, abs=1e-6)
    steps = torch.from_numpy(((x // period) % 2) * 0.1).expand(1, 3, 64, 96)
    assert metrics.blockiness(steps) > 1
    elsewhere = torch.from_numpy((((x + 3) // period) % 2) * 0.1).expand(1, 3, 64, 96)
    assert metrics.blockiness(elsewhere) == 0


def test_palette_of_a_gray_shift_is_the_shift_in_lightness(encoder):
    dark = np.full((20, 20, 3), 0.2, np.float32)
    light = np.full((20, 20, 3), 0.8, np.float32)
    distance = metrics.palette(
        *(
            PictureMeasurement.measure(read_picture(each), encoder).statistics
            for each in (dark, light)
        )
    )
    from impasto.image.color.spaces import srgb_to_oklab

    lightness = float((srgb_to_oklab(light) - srgb_to_oklab(dark))[0, 0, 0])
    assert distance == pytest.approx(lightness / 2, rel=0.1)


def test_self_similarity_ignores_the_scale_of_features():
    features = torch.rand(1, 6, 40, 50, generator=GENERATOR)
    assert metrics.content_selfsim(features, features * 3) == pytest.approx(0, abs=1e-7)
    assert metrics.content_selfsim(features, features.flip(3)) > 1e-3


def test_too_small_a_result_is_refused(encoder):
    picture = read_picture(synthetic_photo(64, 48))
    with pytest.raises(LimitError, match="at least 16 px"):
        compare(picture, picture, read_picture(synthetic_photo(40, 15)), encoder)


def test_everybody_measures_with_the_same_network(encoder, monkeypatch, tmp_path):
    other = load_wheel_parameters()
    louder = {name: (weight * 2, bias) for name, (weight, bias) in other.layers.items()}
    downloaded = tmp_path / SOURCES[1].file
    write_parameters(dataclasses.replace(other, layers=louder), downloaded)
    downloaded.with_name(downloaded.name + ".sha256").write_text(hash_file(downloaded))
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    with torch.no_grad():
        features, expected = load_reference_encoder()(PHOTO), encoder(PHOTO)
    assert torch.equal(features["relu1_1"], expected["relu1_1"])


def test_held_out_layers_are_held_out_of_our_recipes():
    from impasto.recipe.recipe import load_recipe

    for name in ("sketch", "standard", "best"):
        assert not set(load_recipe(name).style.layers) & set(metrics.HELD_OUT)
    assert load_vgg("vgg19", metrics.HELD_OUT).taps == metrics.HELD_OUT
