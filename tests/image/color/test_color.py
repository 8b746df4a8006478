"""Color spaces, gamut, and the transfer of colors and chroma."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from conftest import synthetic_painting, synthetic_photo
from impasto.image import rows as picture_rows
from impasto.image.color import chroma
from impasto.image.color.chroma import carry_chroma, copy_chroma
from impasto.image.color.gamut import Excess, convert_rows_to_srgb, limit_softly
from impasto.image.color.spaces import oklab_to_srgb, srgb_to_oklab
from impasto.image.color.transfer import (
    ColorStatistics,
    match_colors,
    remove_color,
    solve_monge_kantorovich,
)
from impasto.image.picture import Picture

RNG = np.random.default_rng(3)


def picture(array, alpha=None) -> Picture:
    return Picture(np.asarray(array, np.float32), alpha)


PHOTO = picture(synthetic_photo() / 255)
PAINTING = picture(synthetic_painting() / 255)


def test_known_colors_have_their_oklab_values():
    colors = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0]], np.float32)
    expected = [[1, 0, 0], [0, 0, 0], [0.62796, 0.22486, 0.12585]]
    assert np.allclose(srgb_to_oklab(colors), expected, atol=2e-4)


def muted(size, spread, offset) -> Picture:
    """Correlated colors well inside sRGB."""
    mixing = RNG.normal(size=(3, 3)) * spread
    return picture((offset + RNG.normal(size=(*size, 3)) @ mixing).clip(0.2, 0.8))


def test_conversion_to_oklab_and_back_is_the_identity():
    colors = np.linspace(0, 1, 18)
    cube = np.stack(np.meshgrid(colors, colors, colors), -1).astype(np.float32)
    assert np.abs(oklab_to_srgb(srgb_to_oklab(cube)) - cube).max() < 3e-6
    assert srgb_to_oklab(np.ones(3, np.float32)) == pytest.approx([1, 0, 0], abs=1e-6)


@pytest.mark.parametrize("excess", [0.01, 0.2])
def test_the_soft_limit_is_the_identity_and_then_flattens_smoothly(excess):
    share = np.linspace(0, 5, 50_001)
    limited = limit_softly(share, excess)
    slope = np.diff(limited) / np.diff(share)
    below = share <= 1 - excess
    assert np.allclose(limited[below], share[below], atol=1e-12)
    assert (slope > 0).all()
    assert (np.diff(slope) < 1e-6).all()  # no kink: the slope falls
    assert np.abs(np.diff(slope)).max() < 3e-4 / excess
    assert limited.max() < 1


@pytest.mark.parametrize("hue", np.linspace(0, 2 * np.pi, 9)[:-1])
def test_colors_outside_of_srgb_lose_only_chroma(hue):
    strength = np.linspace(0.0, 0.5, 60)
    turned = np.stack([np.full(60, 0.6), strength * np.cos(hue), strength * np.sin(hue)], -1)
    lab = turned.astype(np.float32)[None]
    reduced = srgb_to_oklab(Excess.measure(lab).to_srgb(lab))[0]
    got = np.hypot(reduced[:, 1], reduced[:, 2])
    assert (np.diff(got) > 0).all()  # no two run together: no bands
    assert np.abs(reduced[:, 0] - 0.6).max() < 1e-3
    assert np.abs(np.exp(1j * hue) - (reduced[1:, 1] + 1j * reduced[1:, 2]) / got[1:]).max() < 0.02


def test_colors_inside_of_srgb_are_unchanged():
    lab = srgb_to_oklab(PHOTO.pixels)
    assert Excess.measure(lab) == Excess()
    assert np.abs(convert_rows_to_srgb(lambda rows: lab[rows], 48, 64) - PHOTO.pixels).max() < 1e-5


def test_the_monge_kantorovich_map_transforms_covariances_without_rotation():
    a, b = (m @ m.T for m in RNG.normal(size=(2, 3, 3)))
    mapping = solve_monge_kantorovich(a, b)
    assert np.abs(mapping @ a @ mapping - b).max() < 1e-6
    assert np.abs(mapping - mapping.T).max() < 1e-9  # with the next: no rotation
    assert np.linalg.eigvalsh(mapping).min() > 0
    assert np.abs(solve_monge_kantorovich(a, a) - np.eye(3)).max() < 1e-6
    # Commuting covariances: the root of their ratio.
    diagonal = solve_monge_kantorovich(np.diag([4.0, 1, 9]), np.diag([1.0, 4, 9]))
    assert np.abs(diagonal - np.diag([0.5, 2, 1])).max() < 1e-6


def test_a_matched_painting_has_the_photos_statistics():
    photo, painting = muted((50, 60), 0.03, [0.4, 0.5, 0.45]), muted((40, 70), 0.04, 0.5)
    target = ColorStatistics.measure(photo)
    result = ColorStatistics.measure(match_colors(painting, target))
    assert np.abs(ColorStatistics.measure(painting).mean - target.mean).max() > 0.01
    assert np.abs(result.mean - target.mean).max() < 1e-5
    assert np.abs(result.covariance - target.covariance).max() < 1e-5


def test_a_painting_in_the_photos_colors_already_is_unchanged():
    vivid = picture(RNG.integers(0, 2, (20, 20, 3)))  # corners of the gamut
    for each in (vivid, PAINTING):
        assert (
            np.abs(match_colors(each, ColorStatistics.measure(each)).pixels - each.pixels).max()
            < 1e-4
        )


def test_a_gray_painting_is_tinted_without_blowing_up_its_noise():
    noisy = picture(0.5 + RNG.normal(size=(60, 60, 1)) * 0.2 + RNG.normal(size=(60, 60, 3)) * 0.002)
    result = ColorStatistics.measure(match_colors(noisy, ColorStatistics.measure(PHOTO)))
    assert np.sqrt(np.diag(result.covariance)[1:]).max() < 0.02
    assert np.sqrt(np.diag(ColorStatistics.measure(PHOTO).covariance)[1:]).max() > 0.05


def test_transparent_pixels_do_not_count_in_color_statistics():
    pixels = np.concatenate([PHOTO.pixels, RNG.random((48, 64, 3), np.float32)])
    alpha = np.repeat([1.0, 0.0], 48)[:, None].repeat(64, 1).astype(np.float32)
    visible, whole = ColorStatistics.measure(picture(pixels, alpha)), ColorStatistics.measure(PHOTO)
    assert np.allclose(visible.mean, whole.mean)
    assert np.allclose(visible.covariance, whole.covariance)
    hidden = ColorStatistics.measure(picture(pixels, np.zeros_like(alpha)))
    assert np.isfinite(match_colors(PAINTING, hidden).pixels).all()


def test_a_gray_picture_has_the_requested_lightness_and_no_chroma():
    photo, painting = muted((50, 60), 0.03, [0.4, 0.5, 0.45]), muted((40, 70), 0.04, 0.5)
    target = ColorStatistics.measure(photo)
    result = ColorStatistics.measure(remove_color(painting, target))
    assert result.mean == pytest.approx([target.mean[0], 0, 0], abs=1e-5)
    assert result.covariance[0, 0] == pytest.approx(target.covariance[0, 0], abs=1e-5)
    assert np.abs(result.covariance[1:]).max() < 1e-8


def test_colors_do_not_depend_on_the_bands_of_rows(monkeypatch):
    def all_of_them():
        statistics = ColorStatistics.measure(PHOTO)
        return [
            statistics.covariance,
            match_colors(PAINTING, statistics).pixels,
            remove_color(PAINTING, statistics).pixels,
            carry_chroma(PAINTING.resize(64, 48), PHOTO).pixels,
            copy_chroma(PAINTING.resize(64, 48), PHOTO).pixels,
        ]

    whole = all_of_them()
    monkeypatch.setattr(picture_rows, "PIXELS_PER_BAND", 5 * 64)
    for one, other in zip(whole, all_of_them(), strict=True):
        assert np.abs(one - other).max() < 1e-5


def moved_edges(amount: float):
    """A photo, what a painting might make of it, and that in the photo's true colors."""
    size, stripe = (96, 128), 18
    y, x = np.mgrid[: size[0], : size[1]]
    shift = gaussian_filter(RNG.normal(size=size), 9)
    shift *= amount / shift.std()

    def scene(across):
        left = (across // stripe).astype(int) % 3
        return np.array([[0.35, 0.1, 0.05], [0.7, -0.08, 0.09], [0.5, 0.0, -0.12]])[left]

    photo, truth = scene(x + 0.2 * y), scene(x + 0.2 * y + shift)
    strokes = gaussian_filter(RNG.normal(size=size), 1.5)
    picked = truth * [1, 0.3, -0.5] + 0.04 * (strokes / strokes.std())[..., None] * [1, 0.3, 0.3]
    photo, picked = (picture(oklab_to_srgb(lab.astype(np.float32))) for lab in (photo, picked))
    return photo, picked, truth[..., 1:]


def test_chroma_follows_the_edges_that_moved():
    photo, painting, truth = moved_edges(0.8)

    def wrong(image):
        return np.hypot(*np.moveaxis(srgb_to_oklab(image.pixels)[..., 1:] - truth, -1, 0))

    halo, followed = wrong(copy_chroma(painting, photo)), wrong(carry_chroma(painting, photo))
    assert halo.max() > 0.15  # another stripe's color
    assert (followed > 0.1).mean() < 0.5 * (halo > 0.1).mean()
    assert np.sqrt((followed**2).mean()) < 0.75 * np.sqrt((halo**2).mean())


def test_an_outline_of_the_paintings_own_gets_no_color_of_its_own():
    """The photo is red beside green; the painting draws the edge between in black."""
    lab = np.empty((60, 80, 3), np.float32)
    lab[:, :40], lab[:, 40:] = (0.6, 0.1, 0.05), (0.5, -0.1, 0.08)
    result = lab + RNG.normal(size=lab.shape).astype(np.float32) * 0.01
    result[:, 39:41, 0] = 0.1
    photo, result = picture(oklab_to_srgb(lab)), picture(oklab_to_srgb(result))
    chroma = srgb_to_oklab(carry_chroma(result, photo).pixels)[..., 1:]
    assert chroma[..., 0].min() > -0.11
    assert chroma[..., 0].max() < 0.11
    assert chroma[..., 1].min() > 0.0
    assert np.abs(chroma - lab[..., 1:])[:, [*range(36), *range(44, 80)]].max() < 0.01


@pytest.mark.parametrize("longer_side", [40, 512])
def test_the_photo_keeps_its_colors_exactly(longer_side, monkeypatch):
    monkeypatch.setattr(chroma, "LONGER_SIDE", longer_side)
    for way in (carry_chroma, copy_chroma):
        assert np.abs(way(PHOTO, PHOTO).pixels - PHOTO.pixels).max() < 1e-5


def test_a_flipped_result_has_flipped_colors():
    photo, result, _ = moved_edges(0.8)
    flipped = [picture(each.pixels[:, ::-1]) for each in (result, photo)]
    one, other = carry_chroma(result, photo).pixels, carry_chroma(*flipped).pixels[:, ::-1]
    assert np.abs(one - other).max() < 1e-4
