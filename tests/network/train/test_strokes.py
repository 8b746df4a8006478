"""The stroke network, the losses it is trained by, and its training with the command line."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from torch.autograd import gradcheck

from impasto.cli import main
from impasto.errors import WeightsError
from impasto.network.network_files import (
    STROKE_KIND,
    read_painter,
    read_stroke_painter,
    write_painter,
)
from impasto.network.painter.color_map import measure_color_moments
from impasto.network.strokes import (
    NOISE_SIDE,
    STROKE_CODE_NUMBERS,
    STROKE_STATISTICS,
    StrokeBook,
    StrokePainter,
    hash_noise_origins,
)
from impasto.network.train import stroke_losses as losses
from impasto.network.train import stroke_targets, stroke_trainer, training_losses, training_photos
from impasto.network.train.stroke_targets import (
    ROW_NUMBERS,
    ROW_PARTS,
    StrokeGauge,
    pack_target,
    unpack_target,
)
from impasto.network.train.stroke_trainer import StrokePlan, crop_photo, draw_stroke_batch


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def draw_picture(seed=0, height=64, width=80):
    coarse = draw(1, 3, 6, 7, seed=seed)
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def draw_code(number=1, styles=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    code = 0.3 * torch.randn(number, styles, STROKE_CODE_NUMBERS, generator=generator)
    colors = measure_color_moments(
        torch.cat([draw_picture(seed + k) for k in range(number * styles)])
    )
    code[..., -12:] = colors.view(number, styles, 12)
    return code


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return StrokePainter().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def painter():
    """A network that paints: random weights where training begins with zeros."""
    torch.manual_seed(1)
    network = StrokePainter()
    with torch.no_grad():
        network.to_pixels.weight.normal_(0, 0.03)
        network.to_pixels.bias.normal_(0, 0.01)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (50, 64), (33, 100)])
def test_pictures_of_any_size_keep_their_size(painter, size):
    photo = draw_picture(0, *size)
    assert painter(photo, painter.modulate(draw_code())).shape == photo.shape


def test_weights_fit_in_twelve_megabytes_of_half_precision(painter):
    assert sum(p.numel() for p in painter.parameters()) <= 6_000_000


def test_an_untrained_network_gives_the_toned_photo(untrained):
    photo, style = draw_picture(), untrained.modulate(draw_code())
    result, toned = untrained.paint_and_tone(photo, style)
    assert torch.allclose(result, toned, atol=2e-3)
    assert torch.allclose(measure_color_moments(result), style.colors[:, 0], atol=5e-3)


def test_all_weights_of_the_last_layer_learn_from_the_first_step():
    torch.manual_seed(0)
    fresh = StrokePainter()
    result = fresh(draw_picture(), fresh.modulate(draw_code()))
    (result - draw_picture(1)).square().mean().backward()
    slopes = fresh.to_pixels.weight.grad
    assert (slopes.flatten(1).abs().amax(1) > 0).all()


def test_the_photos_own_colors_leave_it_as_it_is(untrained):
    photo, code = draw_picture(), draw_code()
    code[0, 0, -12:] = measure_color_moments(photo)
    assert torch.allclose(untrained(photo, untrained.modulate(code)), photo, atol=1e-3)


def test_an_amount_of_none_draws_no_stroke(painter):
    photo, code = draw_picture(), draw_code()
    code[0, 0, -12:] = measure_color_moments(photo)
    style = painter.modulate(code, torch.zeros(1, 1))
    assert torch.allclose(painter(photo, style), photo, atol=1e-3)
    assert not torch.allclose(painter(photo, painter.modulate(code)), photo, atol=1e-2)


def test_the_same_place_gets_the_same_noise(painter):
    photo, style = draw_picture(), painter.modulate(draw_code())
    first = painter(photo, style, origins=[(0, 0)])
    moved = painter(photo, style, origins=[(32, 48)])
    assert not torch.allclose(first, moved, atol=1e-3)
    assert torch.equal(first, painter(photo, style, origins=[(NOISE_SIDE, NOISE_SIDE)]))
    none = painter(photo, style, origins=None)
    assert not torch.allclose(first, none, atol=1e-3)


def test_noise_starts_where_the_pixels_of_the_photo_say(painter):
    photo, style = (255 * draw_picture()).round() / 255, painter.modulate(draw_code())
    (origin,) = hash_noise_origins(photo)
    assert all(place % 16 == 0 and 0 <= place < NOISE_SIDE for place in origin)
    assert hash_noise_origins(photo + 0.001 / 255) == [origin]  # the same 8-bit pixels
    same, again = painter(photo, style), painter(photo, style, origins=[origin])
    assert torch.equal(same, painter(photo, style))
    assert torch.equal(same, again)
    changed = photo.clone()
    changed[0, 0, 0, 0] = 1 - changed[0, 0, 0, 0].round()
    assert hash_noise_origins(changed) != [origin]
    many = torch.cat([draw_picture(seed) for seed in range(8)])
    assert len(set(hash_noise_origins(many))) == 8
    assert hash_noise_origins(many)[3] == hash_noise_origins(many[3:4])[0]


def test_noise_differs_from_place_to_place_of_a_flat_photo(painter):
    flat, style = torch.full((1, 3, 128, 128), 0.5), painter.modulate(draw_code())
    parts = painter(flat, style).unfold(2, 32, 32).unfold(3, 32, 32).reshape(3, -1, 32 * 32)
    likeness = torch.corrcoef(parts[0])
    assert likeness.fill_diagonal_(0).abs().max() < 0.9


def test_a_batch_is_painted_as_its_pictures_are(painter):
    photos = torch.cat([draw_picture(k) for k in range(2)])
    codes = draw_code(2)
    both = painter(photos, painter.modulate(codes))
    for k in range(2):
        alone = painter(photos[k : k + 1], painter.modulate(codes[k : k + 1]))
        assert torch.allclose(both[k : k + 1], alone, atol=1e-4)


def test_equal_styles_with_masks_are_one_style_if_statistics_are(painter):
    photo, code = draw_picture(), draw_code()
    one = painter.modulate(code)
    left = (torch.arange(80) < 40).float().expand(1, 1, 64, 80)
    masks = torch.cat([left, 1 - left], 1)
    two = painter.modulate(code.expand(1, 2, -1), masks=masks)
    statistics = painter.measure_statistics(photo, one)
    a, b = (painter(photo, style, statistics) for style in (one, two))
    assert torch.allclose(a, b, atol=1e-3)


def test_each_region_is_normalized_by_itself(painter):
    photo = draw_picture()
    left = (torch.arange(80) < 40).float().expand(1, 1, 64, 80)
    masks = torch.cat([left, 1 - left], 1)
    codes = draw_code(1, 2)
    result = painter(photo, painter.modulate(codes, masks=masks))
    assert result.isfinite().all()
    for k, part in enumerate((slice(0, 40), slice(40, 80))):
        moments = measure_color_moments(result[..., part])
        assert torch.allclose(moments, codes[:, k, -12:], atol=2e-2)


def test_given_statistics_paint_a_picture_as_its_own_do(painter):
    photo, style = draw_picture(), painter.modulate(draw_code())
    statistics = painter.measure_statistics(photo, style)
    assert statistics.shape == (1, STROKE_STATISTICS)
    own = painter(photo, style, origins=None)
    result = painter(photo, style, statistics, origins=None)
    assert torch.allclose(own, result, atol=1e-3)


def test_a_flat_photo_gets_no_border(painter):
    flat, style = torch.full((1, 3, 96, 96), 0.5), painter.modulate(draw_code())
    result = painter(flat, style, origins=None)[0]
    inner = result[:, 32:64, 32:64]
    phases = inner[:, :16, :16].repeat(1, 6, 6)  # what the grid itself draws is not the border's
    assert (result - phases)[:, :80, :80].abs().max() < 0.02


def test_codes_blend_to_what_lies_between(painter):
    a, b = draw_code(seed=1), draw_code(seed=2)
    colors = painter.modulate(0.5 * (a + b)).colors
    assert torch.allclose(colors, 0.5 * (a + b)[..., -12:])


def test_a_network_comes_back_from_its_file(painter, tmp_path):
    path = tmp_path / "network.safetensors"
    write_painter(painter.state_dict(), path, {"steps": 3}, kind=STROKE_KIND)
    again, about = read_stroke_painter(path)
    assert about == {"steps": 3}
    assert path.stat().st_size < 12.2e6
    for name, value in painter.state_dict().items():
        assert torch.allclose(again.state_dict()[name], value, atol=1e-3), name
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["format"] == "impasto strokes 1"
    photo, code = draw_picture(), draw_code()
    pictures = [each(photo, each.modulate(code)) for each in (painter, again)]
    assert torch.allclose(*pictures, atol=5e-3)
    with pytest.raises(WeightsError, match="strokes"):
        read_painter(path)
    write_painter({}, path, {}, kind=STROKE_KIND)
    with pytest.raises(WeightsError, match="layers"):
        read_stroke_painter(path)


def test_moments_and_their_gradient_are_exact():
    x = draw(2, 3, 4, 5).double().requires_grad_()
    mean, covariance = losses.measure_covariance(x)
    rows = x.flatten(2)
    for k in range(2):
        assert torch.allclose(covariance[k], torch.cov(rows[k], correction=0))
    assert torch.allclose(mean, rows.mean(2))
    assert gradcheck(losses.measure_covariance, x)


def test_moments_of_a_mixture_are_those_of_all_its_places():
    a, b = draw(1, 4, 8, 8), 2 * draw(1, 4, 8, 8, seed=1)
    both = losses.measure_covariance(torch.cat([a, b], 3))
    one, two = (losses.FeatureMoments(*([x] for x in losses.measure_covariance(f))) for f in (a, b))
    mixed = one.blend(two, torch.tensor([0.5]))
    assert torch.allclose(mixed.means[0], both[0])
    assert torch.allclose(mixed.covariances[0], both[1], atol=1e-6)


def test_losses_of_a_target_itself_are_none():
    image, photo = draw_picture(height=128, width=128), draw_picture(3, 128, 128)
    moments = losses.FeatureMoments(*([x] for x in losses.measure_covariance(image)))
    assert losses.compute_channel_loss(moments, moments).item() == 0
    assert losses.compute_correlation_loss(moments, moments, (1.0,)).item() == 0
    patches = losses.measure_patches(image, torch.arange(8), 1)
    assert losses.compute_patch_loss(patches, patches).item() == 0
    energy = losses.measure_energy(image)
    assert losses.compute_energy_loss(energy, energy).item() == 0
    assert losses.compute_halo_loss(photo, photo).item() == 0
    assert losses.compute_emboss_loss(photo, photo).item() == 0
    assert training_losses.compute_content_loss(photo, photo).item() == 0
    assert training_losses.compute_similarity_loss(photo, photo, stride=2).item() == 0


def test_octaves_add_up():
    image = draw_picture(height=64, width=64)
    octaves = losses.split_octaves(image)
    again = octaves[-1]
    for level in reversed(octaves[:-1]):
        again = level + F.interpolate(again, level.shape[2:], mode="bilinear")
    assert torch.allclose(again, image, atol=1e-6)


def test_rings_and_embossing_are_found_and_strokes_are_not():
    step = (torch.arange(128) >= 64).float().mul(0.6).add(0.2).expand(1, 3, 128, 128)
    ring = step.clone()
    ring[..., 66:72] += 0.15
    ring[..., 56:62] -= 0.15
    texture = step + 0.1 * (draw(1, 1, 128, 128) - 0.5)
    assert losses.compute_halo_loss(ring, step) > 20 * losses.compute_halo_loss(texture, step)
    assert losses.compute_emboss_loss(ring, step) > 5 * losses.compute_emboss_loss(texture, step)


def test_a_wide_glow_beside_an_edge_is_a_ring_too():
    step = (torch.arange(128) >= 64).float().mul(0.5).add(0.2).expand(1, 3, 128, 128)
    glow = step.clone()
    glow[..., 64:96] += torch.linspace(0.2, 0, 32)
    even = step.clone()
    even[..., 64:] -= 0.1
    assert losses.compute_halo_loss(glow, step) > 1e-4
    assert losses.compute_halo_loss(even, step) == 0


def test_energy_tells_edges_from_strokes_everywhere():
    strokes_ = 0.5 + 0.2 * (draw(1, 3, 128, 128) - 0.5)
    edges = torch.full((1, 3, 128, 128), 0.5)
    edges[..., ::64] = 0.5 + 0.2 * 8 * 0.29
    other = 0.5 + 0.2 * (draw(1, 3, 128, 128, seed=5) - 0.5)
    target = losses.measure_energy(strokes_)
    far, near = (
        losses.compute_energy_loss(losses.measure_energy(x), target) for x in (edges, other)
    )
    assert far > 10 * near


def test_targets_come_back_from_their_rows():
    gauge = StrokeGauge(StrokeBook(), 1.0)
    gauge.units = dict.fromkeys(gauge.units, 300.0)
    target = gauge.measure(draw_picture(height=128, width=144))
    row = pack_target(target)
    assert row.shape == (ROW_NUMBERS,)
    assert len(ROW_PARTS) == 1 + 2 * 9 + 3 + 1
    again = unpack_target(row[None])
    for a, b in zip(target.full.covariances, again.full.covariances, strict=True):
        assert torch.allclose(a, b, rtol=2e-3, atol=1e-4)
    for layer, value in target.patches.items():
        assert torch.allclose(value, again.patches[layer], rtol=2e-3, atol=1e-3)
    assert torch.allclose(target.energy, again.energy, rtol=2e-3, atol=1e-6)
    code = gauge.encode_style(again.full, again.color)
    assert code.shape == (1, STROKE_CODE_NUMBERS)


class Squares:
    """Photos without files."""

    def __init__(self, side=256):
        self.squares = (255 * draw(5, side, side, 3)).byte().numpy()

    def __len__(self):
        return len(self.squares)


def test_a_step_has_the_same_batch_whenever_it_is_drawn():
    plan, photos = StrokePlan(batch=3, side=192), Squares()
    a, b = (draw_stroke_batch(plan, photos, 50, 7) for _ in range(2))
    assert torch.equal(a.photos, b.photos)
    assert (a.styles, a.origins) == (b.styles, b.origins)
    assert a.photos.shape == (3, 3, 192, 192)
    assert draw_stroke_batch(plan, photos, 50, 15).styles == []


def test_crops_stay_in_range_at_the_photos_own_side():
    generator = torch.Generator().manual_seed(0)
    for k in range(8):
        crop = crop_photo(Squares(), k % 5, 256, generator)
        assert crop.shape == (1, 3, 256, 256)
        assert crop.min() >= 0
        assert crop.max() <= 1


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(training_photos, "SQUARE", 64)
    monkeypatch.setattr(stroke_targets, "STROKE_SIDES", (64, 64, 64))
    monkeypatch.setattr(stroke_trainer, "STROKE_SIDES", (64, 64, 64))
    generator = np.random.default_rng(0)
    for kind in ("photos", "paintings"):
        (tmp_path / kind).mkdir()
        for index in range(4):
            coarse = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((80, 64), Image.Resampling.BICUBIC)
            picture.save(tmp_path / kind / f"{index}.png")
    return tmp_path


def train_strokes(root, work, steps, *more):
    folders = ["--photos", str(root / "photos"), "--paintings", str(root / "paintings")]
    sizes = ["--side", "64", "--batch", "2", "--device", "cpu", "--precision", "float32"]
    rest = ["--quiet", "--steps", str(steps), *more]
    return main(["train", "strokes", *folders, "--work", str(work), *sizes, *rest])


@pytest.mark.slow
def test_a_state_of_the_first_run_continues_like_any_other(folders, monkeypatch, capsys):
    monkeypatch.setattr(stroke_trainer.StrokeTrainer, "evaluate", lambda *_: {"total": 1.0})
    work, copy = folders / "work", folders / "copy"
    assert train_strokes(folders, work, 1) == 0
    shutil.copytree(work, copy)
    state = torch.load(copy / "state.pt", weights_only=True)
    assert state.pop("format") == STROKE_KIND
    del state["run"]
    for name in ("steps", "fall", "precision"):
        del state["plan"][name]
    torch.save({"kind": STROKE_KIND, **state}, copy / "state.pt")
    for each in (work, copy):
        assert train_strokes(folders, each, 2) == 0
    states = [torch.load(each / "state.pt", weights_only=True) for each in (work, copy)]
    assert states[0]["step"] == states[1]["step"] == 2
    for name, value in states[0]["painter"].items():
        assert torch.equal(value, states[1]["painter"][name]), name
    painter, about = read_stroke_painter(work / "painter.safetensors")
    assert about["steps"] == 2
    assert isinstance(painter, StrokePainter)
    assert (work / "samples" / "0000002.jpg").exists()
    assert len((work / "log.jsonl").read_text().splitlines()) == 2
    torch.save({"kind": STROKE_KIND, **state}, copy / "state.pt")
    assert train_strokes(folders, copy, 3, "--seed", "1") != 0
    assert "seed 0, not 1" in capsys.readouterr().err


def test_held_out_losses_are_those_of_the_averaged_network(folders):
    photos = training_photos.Photos.pack(sorted((folders / "photos").iterdir()), folders / "cache")
    paths = sorted((folders / "paintings").iterdir())
    plan = StrokePlan(batch=2, side=64, precision="float32")
    trainer, held_out = stroke_trainer.make_stroke_trainer(
        plan, torch.device("cpu"), photos, (paths, paths[:2]), folders / "cache"
    )
    first = trainer.evaluate(photos, held_out, pairs=3)
    with torch.no_grad():
        trainer.painter.to_pixels.bias.add_(0.1)
    assert trainer.evaluate(photos, held_out, pairs=3) == first
    assert set(first) == {*stroke_weights()} - {"identity"} | {"total"}


def stroke_weights():
    names = list(StrokePlan.__dataclass_fields__)
    return names[names.index("deviation") :]


def test_the_learning_rate_stays_until_its_fall():
    trainer = object.__new__(stroke_trainer.StrokeTrainer)
    trainer.plan = StrokePlan(rate=1.0, fall=(1000, 100))
    rates = [trainer.compute_rate(step) for step in (0, 99, 999, 1050, 1100, 2000)]
    assert rates == [0.01, 1, 1, 0.5, 0, 0]


def test_several_processes_are_refused(folders, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train_strokes(folders, folders / "work", 1) != 0
    assert "one process" in capsys.readouterr().err
