"""The one-pass network: closed-form colors, codes that blend, statistics that can be given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from impasto.encoders.weights import load_vgg
from impasto.errors import WeightsError
from impasto.image.color.transfer import solve_monge_kantorovich
from impasto.network.network_files import read_painter, write_painter
from impasto.network.painter.color_map import (
    SMALLEST_EIGENVALUE,
    compute_color_map,
    compute_roots,
    measure_color_moments,
)
from impasto.network.painter.grade import (
    CELL,
    GRADE_NUMBERS,
    _double,
    _halve,
    apply_grade,
    build_pyramid,
    collapse_pyramid,
    measure_grade,
    measure_grades_in_strips,
    pad_to_cells,
)
from impasto.network.painter.model import STATISTICS, Painter, double_size, smooth
from impasto.network.painter.style_code import (
    CHANNELS,
    LAYERS,
    NUMBERS,
    SLICE,
    CodeBook,
    PictureMoments,
)
from impasto.network.train import training_losses as losses


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def picture(seed=0, height=40, width=48):
    """Smooth, of three correlated colors."""
    coarse = noise(1, 3, 6, 7, seed=seed)
    coarse[:, 1] = 0.6 * coarse[:, 0] + 0.4 * coarse[:, 1]
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module")
def encoder():
    return load_vgg("vgg19", LAYERS)


@pytest.fixture(scope="module")
def painter(encoder):
    """A network that paints: random weights where training begins with zeros."""
    torch.manual_seed(3)
    network = Painter()
    with torch.no_grad():
        network.to_pixels.weight.normal_(0, 0.05)
        network.reader[-1].weight *= 20
        network.book.fit(some_moments(encoder, range(6)))
    return network.eval().requires_grad_(False)


def some_moments(encoder, seeds):
    book = CodeBook()
    with torch.no_grad():
        moments = [book.measure_moments(image := picture(s), encoder(image)) for s in seeds]
    return PictureMoments(
        [torch.cat(layer) for layer in zip(*(m.means for m in moments), strict=True)],
        [torch.cat(layer) for layer in zip(*(m.seconds for m in moments), strict=True)],
        torch.cat([m.grade for m in moments]),
    )


def code_of(painter, encoder, image):
    return painter.book.encode(painter.book.measure_moments(image, encoder(image)))


def covariance(seed):
    factor = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(seed)).double()
    return factor @ factor.transpose(1, 2) + 0.01 * torch.eye(3)


def test_roots_are_those_of_the_eigenvalues():
    matrix = covariance(1)
    root, inverse = compute_roots(matrix)
    torch.testing.assert_close(root @ root, matrix)
    torch.testing.assert_close(root @ inverse, torch.eye(3).double().expand(2, 3, 3))


@pytest.mark.parametrize("middle", [1.0, 1e-2, SMALLEST_EIGENVALUE])
def test_roots_reach_down_to_the_least_eigenvalue(middle):
    turn = torch.linalg.qr(covariance(2)[0])[0]
    matrix = (turn * torch.tensor([1.0, middle, 2 * SMALLEST_EIGENVALUE])) @ turn.T
    root, inverse = compute_roots(matrix[None])
    torch.testing.assert_close(root[0] @ root[0], matrix)
    torch.testing.assert_close(root[0] @ inverse[0], torch.eye(3).double())


@pytest.mark.parametrize(("share", "most"), [(0.0, 1e-3), (0.005, 0.01), (0.02, 0.02)])
def test_a_photo_after_a_gray_painting_is_as_gray(share, most):
    photo, painting = picture(1), picture(2)
    dull = painting.mean(1, keepdim=True).lerp(painting, share)
    matrix, offset = compute_color_map(measure_color_moments(photo), measure_color_moments(dull))
    mapped = matrix @ photo.flatten(2) + offset
    color, target = (float((x - x.mean(1, keepdim=True)).std()) for x in (mapped, dull.flatten(2)))
    assert target - 1e-6 <= color < most


def test_color_map_is_monge_kantorovichs():
    source, target = (
        measure_color_moments(noise(2, 3, 9, 8, seed=s, dtype=torch.float64)) for s in (1, 2)
    )
    matrix, offset = compute_color_map(source, target)
    for k in range(2):
        means, covariances = [], []
        for moments in (source[k], target[k]):
            mean, second = moments[:3], moments[3:].view(3, 3)
            means.append(mean)
            covariances.append(second - torch.outer(mean, mean) + 5e-4 * torch.eye(3))
        expected = solve_monge_kantorovich(*(c.numpy() for c in covariances))
        np.testing.assert_allclose(matrix[k].numpy(), expected, rtol=1e-5)
        torch.testing.assert_close(matrix[k] @ means[0] + offset[k, :, 0], means[1])


def test_a_picture_is_mapped_onto_the_moments_of_another():
    photo, painting = picture(1), picture(2)
    matrix, offset = compute_color_map(
        measure_color_moments(photo), measure_color_moments(painting)
    )
    mapped = (matrix @ photo.flatten(2) + offset).view_as(photo)
    torch.testing.assert_close(
        measure_color_moments(mapped), measure_color_moments(painting), atol=3e-3, rtol=0
    )
    same, nothing = compute_color_map(measure_color_moments(photo), measure_color_moments(photo))
    torch.testing.assert_close(same, torch.eye(3)[None], atol=1e-3, rtol=0)
    torch.testing.assert_close(nothing, torch.zeros(1, 3, 1), atol=1e-3, rtol=0)


def test_moments_are_sums_over_places(encoder):
    image, book = picture(1), CodeBook()
    book.units.fill_(2.0)
    features = encoder(image)
    moments = book.measure_moments(image, features)
    points = features["relu2_1"][0].flatten(1).T / 2
    total = sum(torch.outer(p, p) for p in points) / len(points)
    torch.testing.assert_close(moments.seconds[1][0], total, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(moments.means[1][0], points.mean(0))


@pytest.mark.parametrize("masked", [False, True])
def test_a_code_measured_at_once_is_that_of_all_moments(painter, encoder, masked):
    image, book = torch.cat([picture(1, 72, 96), picture(2, 72, 96)]), painter.book
    mask = torch.cat([picture(seed, 72, 96)[:, :1] for seed in (3, 4)]) if masked else None
    features = encoder(image)
    expected = book.encode(book.measure_moments(image, features, mask))
    assert features["relu1_1"][0, 0].numel() > SLICE
    torch.testing.assert_close(
        book.measure_code(image, features, mask), expected, rtol=1e-4, atol=1e-4
    )
    halves = {layer: each.bfloat16() for layer, each in features.items()}
    assert (book.measure_code(image, halves, mask) - expected).norm() < 0.01 * expected.norm()


def test_blending_codes_blends_moments(painter, encoder):
    a, b = (painter.book.measure_moments(x, encoder(x)) for x in (picture(1), picture(2)))
    code = painter.book.encode
    blended = code(a.blend(b, torch.tensor([0.3])))
    torch.testing.assert_close(blended, 0.7 * code(a) + 0.3 * code(b), rtol=1e-4, atol=1e-4)


def test_a_code_is_read_relative_to_the_paintings_of_the_book(encoder):
    moments, book = some_moments(encoder, range(8)), CodeBook()
    book.fit(moments)
    for position, channels in enumerate(CHANNELS):
        square = moments.seconds[position].diagonal(dim1=1, dim2=2).mean()
        assert book.units[position].square() == pytest.approx(float(square), rel=1e-4)
        axes = getattr(book, f"axes_{LAYERS[position]}")
        torch.testing.assert_close(axes.T @ axes, torch.eye(24), atol=1e-4, rtol=0)
        assert axes.shape == (channels, 24)
    units = zip(moments.means, moments.seconds, book.units, strict=True)
    scaled = [(m / u, s / u**2) for m, s, u in units]
    means, seconds = (list(each) for each in zip(*scaled, strict=True))
    code = book.encode(PictureMoments(means, seconds, moments.grade))
    assert code.shape == (8, NUMBERS)
    read = ((book.describe(code) - book.center) / book.width).mean(0)
    torch.testing.assert_close(read, torch.zeros_like(read), atol=1e-3, rtol=0)
    assert book.standardize(code * 100).abs().max() <= 5


def test_a_book_of_one_painting_can_be_read(encoder):
    moments, book = some_moments(encoder, [1]), CodeBook()
    book.fit(moments)
    assert book.standardize(book.encode(moments)).isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 51), (17, 16)])
def test_a_pyramid_is_the_picture(height, width):
    image = noise(2, 3, height, width, dtype=torch.float64)
    whole = pad_to_cells(image)
    assert whole.shape[2] % CELL == whole.shape[3] % CELL == 0
    torch.testing.assert_close(whole[..., :height, :width], image)
    levels = build_pyramid(whole)
    torch.testing.assert_close(collapse_pyramid(levels), whole)
    torch.testing.assert_close(
        measure_grade(image), torch.cat([measure_color_moments(level) for level in levels], 1)
    )
    torch.testing.assert_close(measure_grades_in_strips(image, CELL)[:, 0], measure_grade(image))


def test_a_part_gets_the_whole_contrast_of_its_style():
    """Though the rest of the photo has another one."""
    photo = noise(1, 3, 64, 96, seed=3, dtype=torch.float64)
    photo[..., 48:] = 0.5 + 0.05 * (photo[..., 48:] - 0.5)
    left = torch.zeros(1, 1, 64, 96, dtype=torch.float64)
    left[..., :48] = 1
    masks = torch.cat([left, 1 - left], 1)
    styles = [noise(1, 3, 64, 64, seed=s, dtype=torch.float64) for s in (4, 5)]
    grades = torch.stack([measure_grade(each) for each in styles], 1)
    result = apply_grade(photo, None, grades, masks)
    for k, part in enumerate((slice(0, 32), slice(64, 96))):
        alone = apply_grade(photo[..., 48 * k : 48 * (k + 1)], None, grades[:, k : k + 1])
        there = alone[..., part.start - 48 * k : part.stop - 48 * k]
        assert float(result[..., part].std()) == pytest.approx(float(there.std()), rel=0.1)
    strips = measure_grades_in_strips(photo, CELL, masks)
    torch.testing.assert_close(apply_grade(photo, strips, grades, masks), result)


def test_pictures_are_halved_by_the_weights_that_double_them():
    draws = torch.Generator().manual_seed(0)
    picture = torch.rand(2, 3, 24, 32, generator=draws, dtype=torch.float64)
    other = torch.rand(2, 3, 12, 16, generator=draws, dtype=torch.float64)
    other[:, :, 0] = other[:, :, -1] = other[..., 0] = other[..., -1] = 0  # borders repeat
    there, back = (picture * _double(other)).sum(), (4 * _halve(picture) * other).sum()
    torch.testing.assert_close(there, back)


def test_what_is_graded_hardly_depends_on_where_its_grid_lies():
    draws = torch.Generator().manual_seed(0)
    picture, painting = (
        F.avg_pool2d(torch.rand(1, 3, 180, 180, generator=draws), side, 1) for side in (9, 5)
    )
    grades = measure_grade(picture), measure_grade(2 * painting - 0.5)[:, None]
    whole = apply_grade(picture[:, :, :160, :160], *grades)
    part = apply_grade(picture[:, :, 8:168, 8:168], *grades)
    error = (whole[:, :, 48:112, 48:112] - part[:, :, 40:104, 40:104]).square().mean().sqrt()
    assert error < 0.02 * whole.std()  # 0.054 of halves that are means of 2 x 2 px


def test_every_octave_gets_the_grade_of_another_picture():
    image, other = (noise(1, 3, 64, 96, seed=s, dtype=torch.float64) for s in (1, 2))
    other = other.square() * torch.tensor([0.9, 0.5, 0.2]).view(1, 3, 1, 1)
    result = apply_grade(image, measure_grade(image), measure_grade(other)[:, None])
    for level, target in zip(build_pyramid(result), build_pyramid(other), strict=True):
        torch.testing.assert_close(
            measure_color_moments(level), measure_color_moments(target), rtol=0.15, atol=2e-3
        )
    apart = [(measure_grade(x) - measure_grade(other)).abs().mean() for x in (result, image)]
    assert apart[0] < 0.05 * apart[1]
    same = apply_grade(image, measure_grade(image), measure_grade(image)[:, None])
    torch.testing.assert_close(same, image, atol=1e-6, rtol=0)


def test_a_grade_of_a_part_is_of_what_the_mask_shows():
    image = noise(1, 3, 64, 192)
    image[..., 96:] *= 0.3
    left = torch.zeros(1, 1, 64, 192)
    left[..., :96] = 1
    apart = [
        (measure_grade(image, left) - each).abs()
        for each in (measure_grade(image[..., :96]), measure_grade(image))
    ]
    # Levels at the seam see across it.
    assert apart[0].max() < 0.1 * apart[1].max()


def test_an_untrained_network_grades_and_its_own_style_is_the_photo(encoder):
    painter = Painter().eval()
    photo, painting = picture(1, 48, 64), picture(2, 48, 64)
    with torch.no_grad():
        theirs, own = (code_of(painter, encoder, x)[:, None] for x in (painting, photo))
        toned = painter(photo, painter.modulate(theirs))
        torch.testing.assert_close(measure_grade(toned), measure_grade(painting), atol=0.01, rtol=0)
        assert (measure_grade(photo) - measure_grade(painting)).abs().max() > 0.05
        torch.testing.assert_close(painter(photo, painter.modulate(own)), photo, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(40, 48), (37, 51), (17, 16)])
def test_every_size_comes_back_at_its_size(painter, encoder, height, width):
    style = painter.modulate(code_of(painter, encoder, picture(2))[:, None])
    result = painter(picture(1, height, width), style)
    assert result.shape == (1, 3, height, width)
    assert torch.isfinite(result).all()


def test_another_style_makes_another_picture_beyond_its_colors(painter, encoder):
    photo = picture(1)
    one, two = (code_of(painter, encoder, picture(s)) for s in (2, 3))
    two = torch.cat([two[:, :-GRADE_NUMBERS], one[:, -GRADE_NUMBERS:]], 1)
    pictures = [painter(photo, painter.modulate(c[:, None])) for c in (one, two)]
    assert (pictures[0] - pictures[1]).abs().mean() > 0.01


def test_given_statistics_are_the_pictures_own(painter, encoder):
    photo = picture(1)
    style = painter.modulate(code_of(painter, encoder, picture(2))[:, None])
    statistics = painter.measure_statistics(photo, style)
    assert statistics.shape == (1, STATISTICS)
    torch.testing.assert_close(painter(photo, style, statistics), painter(photo, style))
    other = painter.measure_statistics(picture(4), style)
    assert (painter(photo, style, other) - painter(photo, style)).abs().mean() > 0.01


def test_with_given_statistics_a_part_is_painted_as_in_the_whole(painter, encoder):
    photo = picture(1, 64, 320)
    style = painter.modulate(code_of(painter, encoder, picture(2))[:, None])
    statistics = painter.measure_statistics(photo, style)
    whole = painter(photo, style, statistics)
    part = painter(photo[..., :256], style, statistics)
    torch.testing.assert_close(part[..., :128], whole[..., :128], atol=1e-5, rtol=0)


def test_masks_lay_styles_side_by_side(painter, encoder):
    photo = picture(1, 64, 320)
    codes = torch.stack([code_of(painter, encoder, picture(s)) for s in (2, 3)], 1)
    left = torch.zeros(1, 2, 64, 320)
    left[:, 0, :, :160] = left[:, 1, :, 160:] = 1
    alone = painter.modulate(codes[:, :1]), painter.modulate(codes[:, 1:])
    statistics = painter.measure_statistics(photo, alone[0])
    both = painter(photo, painter.modulate(codes, left), statistics)
    first, second = (painter(photo, style, statistics) for style in alone)
    torch.testing.assert_close(both[..., :32], first[..., :32], atol=1e-4, rtol=0)
    torch.testing.assert_close(both[..., -32:], second[..., -32:], atol=1e-4, rtol=0)
    assert (first - second).abs().mean() > 0.01


def test_a_region_is_normalized_by_itself(painter, encoder):
    """Whatever is beside it, but for what strokes see across the border."""
    codes = torch.stack([code_of(painter, encoder, picture(s)) for s in (2, 3)], 1)
    left = torch.zeros(1, 2, 64, 192)
    left[:, 0, :, :96] = left[:, 1, :, 96:] = 1
    style = painter.modulate(codes, left)
    photo = picture(1, 64, 192)
    other = photo.clone()
    other[..., 160:] = 0.3 * other[..., 160:]
    change = (painter(photo, style) - painter(other, style)).abs()
    assert float(change[..., :32].mean()) < 0.1 * float(change[..., 112:].mean())


def random_moments(seed, number=2):
    generator = torch.Generator().manual_seed(seed)
    points = [torch.randn(number, c, 9, generator=generator).double() for c in (5, 4)]
    return PictureMoments(
        [p.mean(2) for p in points],
        [p @ p.transpose(1, 2) / 9 for p in points],
        torch.zeros(number, GRADE_NUMBERS),
    )


def test_style_losses_vanish_at_the_target_only_and_are_its_distances():
    a, b = random_moments(1), random_moments(2)
    for loss in (
        losses.compute_deviation_loss,
        lambda x, y: losses.compute_covariance_loss(x, y, (1.0, 2.0)),
    ):
        assert float(loss(a, a).abs().max()) == 0
        assert (loss(a, b) > 0.01).all()
    expected = []
    for mean, second, mean_t, second_t in zip(a.means, a.seconds, b.means, b.seconds, strict=True):
        s, t = (
            torch.stack([second[0, i, i] - mean[0, i] ** 2 for i in range(len(mean[0]))]).sqrt()
            for mean, second in ((mean, second), (mean_t, second_t))
        )
        shift = (mean[0] - mean_t[0]).square() + (s - t).square()
        expected.append(shift.sum() / t.square().sum())
    torch.testing.assert_close(losses.compute_deviation_loss(a, b)[0], sum(expected) / 2)


@pytest.mark.parametrize("name", ["compute_content_loss", "compute_structure_loss"])
def test_content_losses_see_structure_and_have_the_right_slope(name):
    loss = getattr(losses, name)
    a, b = (noise(1, 3, 56, 56, seed=s, dtype=torch.float64) for s in (1, 2))
    # The means of every channel are what a style may change.
    torch.testing.assert_close(loss(a + 0.2, a), loss(a, a), atol=1e-6, rtol=0)
    assert loss(b, a) > 0.5
    small = b[..., :54, :54].clone().requires_grad_()
    assert gradcheck(lambda x: loss(x, a[..., :54, :54]), small, fast_mode=True)


def test_similarity_is_of_pairs_of_places_whatever_their_strength():
    a, b = (noise(2, 3, 4, 5, seed=s, dtype=torch.float64) for s in (1, 2))
    strength = noise(2, 1, 4, 5, seed=3, dtype=torch.float64) + 0.1
    torch.testing.assert_close(
        losses.compute_similarity_loss(strength * a, a), torch.zeros(2).double()
    )
    points, others = (x[1].flatten(1).T for x in (a, b))
    apart = [
        F.cosine_similarity(points[i], points[k], 0) - F.cosine_similarity(others[i], others[k], 0)
        for i in range(20)
        for k in range(20)
    ]
    expected = torch.stack(apart).abs().mean()
    torch.testing.assert_close(losses.compute_similarity_loss(a, b)[1], expected)
    assert gradcheck(
        lambda x: losses.compute_similarity_loss(x, b), a.requires_grad_(), fast_mode=True
    )


def test_a_grid_of_squares_is_seen_wherever_it_begins_and_a_ramp_has_none():
    ramp = torch.arange(64.0).expand(1, 3, 64, 64) / 64
    assert float(losses.compute_grid_loss(ramp + ramp.transpose(2, 3))) == pytest.approx(
        0, abs=1e-8
    )
    squares = ramp[..., ::4].repeat_interleave(4, 3)
    squares = squares + squares.transpose(2, 3)
    # One step of four is 4, three are 0: a variance of 3, and a mean of 1.
    for shift in range(4):
        moved = squares[..., shift:, shift:]
        assert float(losses.compute_grid_loss(moved)) == pytest.approx(3, rel=1e-5)


def test_patterns_of_two_pixels_are_smoothed_away_and_nothing_else_is_shifted():
    rows, columns = torch.arange(20.0)[:, None], torch.arange(24.0)
    for pattern in ((rows + columns) % 2, columns % 2 + 0 * rows, rows % 2 + 0 * columns):
        every = pattern.expand(2, 3, 20, 24)
        torch.testing.assert_close(smooth(every), torch.full((2, 3, 20, 24), 0.5))
    ramp = columns.expand(2, 3, 20, 24)
    torch.testing.assert_close(smooth(ramp)[..., 3:-3], ramp[..., 3:-3])
    wave = torch.cos(torch.pi / 2 * columns).expand(2, 3, 20, 24)  # 1 - sin(pi / 4)^6
    torch.testing.assert_close(smooth(wave)[..., 3:-3], 7 / 8 * wave[..., 3:-3])


def test_features_are_enlarged_by_equal_steps():
    ramp = torch.arange(6.0, dtype=torch.float64).view(1, 1, 1, 6).expand(1, 1, 4, 6)
    both = double_size(ramp + 10 * torch.arange(4.0, dtype=torch.float64).view(1, 1, 4, 1))
    assert both.shape == (1, 1, 8, 12)
    assert both[..., :-1].diff(dim=3).unique().tolist() == [0.5]
    assert both[..., :-1, :].diff(dim=2).unique().tolist() == [5.0]
    assert both[0, 0, -1, -1] == both.max() == 35  # the last is repeated


def test_roughness_and_range_are_means_over_pixels():
    image = torch.zeros(1, 3, 2, 2)
    image[..., 0, 0] = 2.0
    assert float(losses.compute_bounds_loss(image)) == pytest.approx(0.25)
    assert float(losses.compute_roughness_loss(image)) == pytest.approx(4.0)


def test_a_network_file_gives_the_same_pictures(painter, encoder, tmp_path):
    path = tmp_path / "painter.safetensors"
    write_painter(painter.state_dict(), path, {"steps": 7})
    read, about = read_painter(path)
    assert about == {"steps": 7}
    assert path.stat().st_size < 8 * 2**20
    code = code_of(painter, encoder, picture(2))[:, None]
    pictures = [each(picture(1), each.modulate(code)) for each in (painter, read)]
    torch.testing.assert_close(*pictures, atol=0.02, rtol=0)


@pytest.mark.parametrize("content", [b"", b"no such thing", b"\x10" + b"\0" * 40])
def test_a_file_of_something_else_is_told_by_name(tmp_path, content):
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        read_painter(path)


def test_a_damaged_note_is_told(painter, tmp_path):
    path = tmp_path / "mine.safetensors"
    write_painter(painter.state_dict(), path, {"steps": 7})
    path.write_bytes(path.read_bytes().replace(b'{\\"steps\\": 7}', b'{\\"steps\\": 7 '))
    with pytest.raises(WeightsError, match="its note is damaged"):
        read_painter(path)
