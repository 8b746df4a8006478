"""The Python interface: facade, loop, checkpoints, starts, precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.media.picture import Picture
from impasto.optimize import checkpoint
from impasto.optimize.canvas import starting_image, to_tensor, with_detail
from impasto.optimize.device import autocast_dtype, resolve_device
from impasto.optimize.precondition import blur, emphasise_coarse
from impasto.optimize.schedule import Scale
from impasto.recipe import Start

PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
TINY = impasto.load_recipe("draft").with_changes({"schedule.total": 3, "size": 48})


def test_five_lines(tmp_path):
    steps = []
    result = impasto.stylize(PHOTO, PAINTING, size=48, iterations=4, on_step=steps.append)
    assert isinstance(result.image, Image.Image)
    assert result.image.size == (48, 36)
    assert [step.iteration for step in steps] == [1, 2, 3, 4]
    assert result.losses == steps[-1].losses
    result.save(tmp_path / "out.webp")
    assert impasto.read_picture(tmp_path / "out.webp").width == 48


def test_every_kind_of_image_gives_the_same_picture(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "p.png")
    unit = PHOTO.astype(np.float32) / 255
    sources = [tmp_path / "p.png", str(tmp_path / "p.png"), Image.fromarray(PHOTO), PHOTO, unit]
    sources.append(torch.from_numpy(unit.transpose(2, 0, 1).copy()))
    results = [np.asarray(impasto.stylize(s, PAINTING, recipe=TINY).image) for s in sources]
    assert all(np.array_equal(results[0], each) for each in results[1:])


def test_steps_tell_where_the_run_is():
    recipe = impasto.load_recipe("draft").with_changes(
        {"schedule.coarsest": 24, "schedule.iterations": 2, "schedule.growth": 1}
    )
    steps = list(impasto.Stylizer(recipe).run(*pictures()))
    assert [s.scale for s in steps] == [0, 0, 1, 1]
    assert [s.width for s in steps] == [32, 32, 64, 64] or steps[0].width < steps[-1].width == 64
    assert {s.total for s in steps} == {4}
    assert [s.elapsed_s for s in steps] == sorted(s.elapsed_s for s in steps)
    assert steps[-1].eta_s == 0
    assert steps[-1].preview().size == (64, 48)
    assert all(s.picture().pixels.min() >= 0 for s in steps)


def pictures() -> tuple[Picture, list[Picture]]:
    return impasto.read_picture(PHOTO), [impasto.read_picture(PAINTING)]


def test_the_last_losses_are_those_of_the_saved_picture(tmp_path):
    engine = impasto.Stylizer(TINY)
    photo, paintings = pictures()
    *_, last = engine.run(photo, paintings)
    last.preview().save(tmp_path / "saved.png")
    saved = impasto.read_picture(tmp_path / "saved.png")
    objective = engine.objective(photo, paintings, Scale(saved.width, saved.height, 1))
    with torch.no_grad():
        image = to_tensor(saved, saved.width, saved.height, engine.device)
        again = objective(image).as_numbers()
    assert again == pytest.approx(last.losses, rel=1e-5)


def test_one_engine_serves_many_runs_alike():
    engine = impasto.Stylizer(TINY)
    first, second = ([s.losses for s in engine.run(*pictures())] for _ in range(2))
    assert first == second


def test_closing_the_stream_writes_the_checkpoint(tmp_path):
    steps = impasto.Stylizer(TINY).run(*pictures(), checkpoint=tmp_path / "state")
    first = next(steps)
    steps.close()
    rest = list(impasto.Stylizer(TINY).run(*pictures(), resume=tmp_path / "state"))
    assert [first.iteration, *(s.iteration for s in rest)] == [1, 2, 3]
    whole = list(impasto.Stylizer(TINY).run(*pictures()))
    assert np.array_equal(whole[-1].picture().pixels, rest[-1].picture().pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_checkpoints_are_written_before_thirty_seconds_pass(tmp_path, monkeypatch):
    clock, writes = [0.0], []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(checkpoint, "save_state", lambda *_: writes.append(clock[0]))
    keeper = checkpoint.Keeper(tmp_path / "state")
    for _ in range(40):
        clock[0] += 7.0
        keeper.offer(None)
    gaps = np.diff([0.0, *writes])
    assert writes
    assert gaps.max() <= 30


def test_a_checkpoint_that_cannot_be_written_stops_the_run_clearly(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    steps = impasto.Stylizer(TINY).run(*pictures(), checkpoint=tmp_path / "no" / "state")
    with pytest.raises(impasto.ResourceError, match="cannot be written"):
        list(steps)


def test_what_is_missing_is_said():
    photo, paintings = pictures()
    engine = impasto.Stylizer(TINY)
    with pytest.raises(impasto.InputError, match="a style is needed"):
        engine.run(photo, [])
    weighted = impasto.Stylizer(TINY.with_changes({"style.weights": [1, 2]}))
    with pytest.raises(impasto.InputError, match="1 painting"):
        weighted.run(photo, paintings)
    with pytest.raises(impasto.InputError, match="no device"):
        impasto.Stylizer(TINY, device="abacus")


def test_bfloat16_is_close_to_float32():
    losses = []
    for precision in ("float32", "bfloat16"):
        recipe = TINY.with_changes({"precision": precision, "schedule.total": 6})
        *_, last = impasto.Stylizer(recipe).run(*pictures())
        losses.append(last.losses["total"])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    assert losses[1] != losses[0]
    assert autocast_dtype("float32", resolve_device("cpu")) is None


STARTS = {
    "content": Start(),
    "style": Start(base="style"),
    "noise": Start(noise_ratio=1.0),
    "blend": Start(noise_ratio=0.5, noise_center=0.0, noise_amplitude=0.2),
    "mean": Start(noise_ratio=1.0, noise_center="mean", noise_amplitude=0.0),
}


@pytest.mark.parametrize("name", STARTS)
def test_starts_are_what_they_say(name):
    content = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    style = torch.rand(1, 3, 50, 40, generator=torch.Generator().manual_seed(2))
    image = starting_image(STARTS[name], content, [style], seed=3)
    assert image.shape == content.shape
    assert 0 <= image.min() <= image.max() <= 1
    again = starting_image(STARTS[name], content, [style], seed=3)
    assert torch.equal(image, again)
    match name:
        case "content":
            assert torch.equal(image, content)
        case "style":
            assert float((image - style[..., 11:38, :].mean()).abs().mean()) < 0.3
            assert not torch.equal(image, content)
        case "noise":
            assert float(image.mean()) == pytest.approx(0.5, abs=0.03)
            assert float(image.std()) == pytest.approx(12**-0.5, abs=0.02)
            assert not torch.equal(image, starting_image(STARTS[name], content, [style], seed=4))
        case "blend":
            # (photo + U(-0.2, 0.2)) / 2, cut at black
            assert float((image - content / 2).abs().max()) <= 0.1 + 1e-6
            assert float((image - content / 2).abs().mean()) > 0.03
        case "mean":
            expected = [123.68 / 255, 116.779 / 255, 103.939 / 255]
            assert image[0, :, 5, 5].tolist() == pytest.approx(expected)


def test_detail_brings_back_what_the_coarser_scale_lost():
    photo = impasto.read_picture(PHOTO)
    device = resolve_device("cpu")
    fine = to_tensor(photo, 64, 48, device)
    coarse = Scale(32, 24, 1)
    from impasto.optimize.canvas import enlarged

    known = enlarged(to_tensor(photo, 32, 24, device), 64, 48)
    assert torch.allclose(with_detail(known, photo, coarse, 1.0), fine, atol=1e-5)
    assert torch.equal(with_detail(known, photo, coarse, 0.0), known)


def test_emphasis_is_linear_symmetric_and_stronger_for_coarse_structure():
    a, b = torch.rand(2, 1, 3, 40, 40, dtype=torch.float64)
    inner = torch.zeros(1, 3, 40, 40, dtype=torch.float64)
    inner[..., 14:26, 14:26] = 1
    a, b = a * inner, b * inner
    left = (emphasise_coarse(a, 3) * b).sum()
    assert float(left) == pytest.approx(float((a * emphasise_coarse(b, 3)).sum()))
    assert torch.allclose(
        emphasise_coarse(a + 2 * b, 2), emphasise_coarse(a, 2) + 2 * emphasise_coarse(b, 2)
    )
    flat, checks = torch.ones(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    checks[..., ::2] = -1
    assert float(emphasise_coarse(flat, 3).mean()) == pytest.approx(15)
    assert float((emphasise_coarse(checks, 3) * checks).mean()) < 3
    assert torch.equal(emphasise_coarse(a, 0), a)
    assert blur(torch.rand(1, 3, 1, 5), 2.0).shape == (1, 3, 1, 5)
