"""A network as a recipe, through the real command line: every control, the record, the errors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.cli import main
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels import tensors as canvas
from impasto.engine.sizes import fit_painting
from impasto.image.files.decode import read_picture
from impasto.network.network_files import encode_paintings, read_painter, write_painter
from impasto.network.one_pass import OnePassEngine
from impasto.network.painter import runtime
from impasto.network.painter.code_painter import measure_code
from impasto.network.painter.grade import GRADE_NUMBERS, measure_grade
from impasto.network.painter.model import Painter
from impasto.network.train.session import fit_book
from impasto.optimize.optimizer_engine import OptimizerEngine


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network that paints something, of random weights."""
    folder = tmp_path_factory.mktemp("network")
    for k in range(4):
        pixels = np.rot90(synthetic_painting(48 + 8 * k, 64), k)
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{k}.png")
    torch.manual_seed(2)
    painter = Painter()
    with torch.no_grad():
        painter.to_pixels.weight.normal_(0, 0.05)
        painter.reader[-1].weight *= 20
    painter.book.load_state_dict(fit_book(sorted(folder.glob("*.png")), 0).state_dict())
    path = folder / "mine.safetensors"
    write_painter(painter.state_dict(), path, {})
    return path


@pytest.fixture
def folder(work):
    second = np.ascontiguousarray(synthetic_painting(72, 48)[:, :, ::-1])
    Image.fromarray(second).save(work / "second.png")
    half = np.zeros((48, 64), np.uint8)
    half[:, :32] = 255
    Image.fromarray(half).save(work / "left.png")
    return work


def paint_file(folder, network, *flags, name="out.png", style=("painting.png",)):
    """[H, W, 3] of what the command line writes."""
    styles = [part for each in style for part in ("--style", str(folder / each))]
    job = [str(folder / "photo.png"), *styles, "-o", str(folder / name), "--quiet"]
    assert main([*job, "--recipe", str(network), *map(str, flags)]) == 0
    return np.asarray(Image.open(folder / name).convert("RGB")).astype(float)


def apart(a, b):
    return np.abs(a - b).mean()


def test_it_paints_at_any_size_and_tells_what_it_did(folder, network, capsys):
    flags = ["--recipe", str(network), "--size", "90", "--json", "--quiet"]
    out = folder / "out.png"
    job = [str(folder / "photo.png"), "--style", str(folder / "painting.png"), "-o", str(out)]
    assert main([*job, *flags]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["width"], report["height"]) == (90, 68)
    assert report["iterations"] == 1
    assert report["recipe"]["engine"] == {"kind": "network", "file": str(network)}
    with Image.open(out) as picture:
        assert picture.size == (90, 68)


def test_strength_goes_from_the_photo_to_the_style(folder, network):
    photo = synthetic_photo().astype(float)
    distances = [
        apart(paint_file(folder, network, "--strength", s, "--force"), photo) for s in (0, 1)
    ]
    assert distances[0] == 0
    assert distances[1] > 10
    half = paint_file(folder, network, "--strength", 0.5, "--force")
    assert apart(half, paint_file(folder, network, "--force")) > 1


def test_paintings_are_blended_by_weight(folder, network):
    both = ("painting.png", "second.png")
    one, two = (paint_file(folder, network, style=(each,), name=f"{each}-1.png") for each in both)
    first = paint_file(
        folder, network, "--style-weight", 1, "--style-weight", 0, style=both, name="a.png"
    )
    mixed = paint_file(folder, network, style=both, name="b.png")
    assert apart(first, one) == 0
    assert min(apart(mixed, one), apart(mixed, two)) > 1


def test_masks_put_each_painting_in_its_place(folder, network):
    both = ("painting.png", "second.png")
    made_both = paint_file(folder, network, "--mask", folder / "left.png", style=both)
    alone = paint_file(folder, network, "--mask", folder / "left.png", name="alone.png")
    photo = synthetic_photo().astype(float)
    assert apart(alone[:, 40:], photo[:, 40:]) == 0
    assert apart(alone[:, :24], photo[:, :24]) > 5
    assert apart(made_both[:, 40:], photo[:, 40:]) > 5


def test_a_network_for_some_paintings_has_them_in_its_file(folder, network, capsys, monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", str(folder / "cache"))
    weights = read_painter(network)[0].state_dict()
    one, both = folder / "one.safetensors", folder / "both.safetensors"
    first, second = folder / "painting.png", folder / "second.png"
    write_painter(weights, one, {}, encode_paintings((first,)))
    write_painter(weights, both, {}, encode_paintings((first, second)))
    assert np.array_equal(
        paint_file(folder, one, style=()), paint_file(folder, one, name="given.png")
    )
    other = paint_file(folder, one, name="second-given.png", style=("second.png",))
    first.rename(folder / "gone.png")
    second.rename(folder / "gone-too.png")
    out = folder / "chosen.png"
    flags = ["--recipe", str(both), "--quiet", "-o", str(out)]
    assert main([str(folder / "photo.png"), "--style", "second", *flags]) == 0
    assert np.array_equal(np.asarray(Image.open(out).convert("RGB")), other)
    assert main([str(folder / "photo.png"), *flags, "--force"]) == 2
    assert "expected --style painting or second" in capsys.readouterr().err
    assert main([str(folder / "photo.png"), "-o", str(folder / "no.png"), "--quiet"]) == 2
    assert "expected --style PAINTING" in capsys.readouterr().err


def test_a_style_mask_shows_a_part_of_the_painting(folder, network):
    whole = paint_file(folder, network)
    part = paint_file(folder, network, "--style-mask", folder / "left.png", name="part.png")
    assert apart(whole, part) > 0.5


def test_style_scale_and_colors_change_the_picture(folder, network):
    plain = paint_file(folder, network)
    for number, flags in enumerate((("--style-scale", 2), ("--colors", "content"))):
        assert apart(plain, paint_file(folder, network, *flags, name=f"{number}.png")) > 0.5


@pytest.mark.parametrize(("size", "masked"), [(528, False), (700, True)])
def test_what_is_made_in_strips_has_no_seams(folder, monkeypatch, size, masked):
    monkeypatch.setattr(runtime, "WORK", 256)
    flags = ["--size", size, *(["--mask", folder / "left.png"] if masked else [])]
    style = ("painting.png", "second.png") if masked else ("painting.png",)
    whole = paint_file(folder, "draft", *flags, style=style)
    monkeypatch.setattr(runtime, "STRIP", 64)
    strips = paint_file(folder, "draft", *flags, name="strips.png", style=style)
    assert np.abs(whole - strips).max() <= 1
    if masked:
        alone = paint_file(folder, "draft", "--size", size, name="alone.png", style=style[1:])
        assert apart(strips[:, 600:], alone[:, 600:]) < apart(strips[:, :100], alone[:, :100])


def test_large_photos_are_painted_together_as_alone(network, monkeypatch):
    monkeypatch.setattr(runtime, "WORK", 64)
    engine = runtime.Runtime.load(network, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    photos = torch.rand(2, 3, 48, 200, generator=generator)
    paintings = torch.rand(2, 1, 3, 64, 64, generator=generator)
    codes = torch.stack([engine.code(each) for each in paintings])[:, None]
    alone = [engine.paint(p[None], c[None]) for p, c in zip(photos, codes, strict=True)]
    torch.testing.assert_close(engine.paint(photos, codes), torch.cat(alone), atol=2e-3, rtol=0)


def test_a_large_picture_has_the_strokes_of_a_smaller_one_and_the_photos_detail(network):
    engine = runtime.Runtime.load(network, torch.device("cpu"))
    photo = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    code = engine.code(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    small = torch.nn.functional.interpolate(photo, (48, 80), mode="bilinear", antialias=True)
    strokes = engine.paint(small, code[None, None])
    with pytest.MonkeyPatch.context() as context:
        context.setattr(runtime, "WORK", math.sqrt(48 * 80))
        large = engine.paint(photo, code[None, None])
    coarse, expected = (
        torch.nn.functional.avg_pool2d(each, side) for each, side in ((large, 8), (strokes, 4))
    )
    assert (coarse - expected).abs().mean() < 0.2 * expected.std()
    enlarged = torch.nn.functional.interpolate(strokes, (96, 160), mode="bicubic")
    fine, photos = (detail(each).flatten() for each in (large, photo))
    assert torch.corrcoef(torch.stack([fine, photos]))[0, 1] > 0.5
    assert fine.std() > 2 * detail(enlarged).std()


def detail(image):
    coarse = torch.nn.functional.avg_pool2d(image.mean(1, keepdim=True), 2)
    return image.mean(1, keepdim=True) - coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)


@pytest.mark.parametrize("painting", [(128, 128), (300, 200)])
def test_a_code_has_the_grade_of_the_painting_at_the_results_size(network, painting):
    picture = read_picture(synthetic_painting(*painting))
    loaded = runtime.Runtime.load(network, torch.device("cpu"))
    code = measure_code(loaded, picture, (512, 512))
    size = fit_painting((picture.width, picture.height), (512, 512), 1.0)
    image = canvas.picture_to_tensor(picture, *size, Storage(torch.device("cpu")))
    features = fit_painting((picture.width, picture.height), (384, 384), 1.0)
    torch.testing.assert_close(code[-GRADE_NUMBERS:], measure_grade(image)[0])
    expected = loaded.code(
        canvas.picture_to_tensor(picture, *features, Storage(torch.device("cpu")))
    )
    torch.testing.assert_close(code[:-GRADE_NUMBERS], expected[:-GRADE_NUMBERS])
    large, larger = (measure_code(loaded, picture, (side, side)) for side in (1024, 2048))
    torch.testing.assert_close(large, larger)


@pytest.mark.parametrize("work", [256, 512], ids=["shrunk to a half", "at its own size"])
def test_a_part_is_painted_as_in_the_whole(network, monkeypatch, work):
    monkeypatch.setattr(runtime, "WORK", work)
    engine = runtime.Runtime.load(network, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    coarse, noise = (torch.rand(1, 3, *s, generator=generator) for s in ((4, 64), (128, 2048)))
    coarse = torch.nn.functional.interpolate(coarse, (128, 2048), mode="bicubic").clamp(0, 1)
    photo = 0.7 * coarse + 0.3 * noise
    codes = engine.code(torch.rand(1, 3, 64, 64, generator=generator))[None, None]
    whole = engine.paint(photo, codes)
    torch.testing.assert_close(engine.paint(photo, codes, like=photo), whole, atol=1 / 255, rtol=0)
    part, inner = slice(512, 1536), slice(256, 768)

    def apart(paint_file):
        return (paint_file - whole[..., part])[..., inner].abs().max()

    assert apart(engine.paint(photo[..., part], codes, like=photo)) < 2 / 255
    assert apart(engine.paint(photo[..., part], codes)) > 10 / 255


def test_a_replay_is_the_same_picture_and_knows_its_network(folder, network, tmp_path, capsys):
    first = paint_file(folder, network)
    out = folder / "out.png"
    assert main(["replay", str(out), "--network", str(network), "--quiet"]) == 0
    assert (folder / "out-replay.png").read_bytes() == out.read_bytes()
    assert main(["replay", str(out), "--force", "--quiet"]) == 2
    assert "--network" in capsys.readouterr().err
    other = tmp_path / "other.safetensors"
    write_painter(Painter().state_dict(), other, {})
    again = ["replay", str(out), "--network", str(other), "--force", "--quiet"]
    assert main(again) == 2
    assert "not the network" in capsys.readouterr().err
    assert main([*again, "--accept-changed"]) == 0
    changed = np.asarray(Image.open(folder / "out-replay.png").convert("RGB"))
    assert apart(first, changed) > 1


def test_from_python(folder, network):
    result = impasto.stylize(folder / "photo.png", folder / "painting.png", recipe=str(network))
    assert result.recipe.engine.kind == "network"
    steps = []
    impasto.stylize(
        folder / "photo.png", folder / "painting.png", recipe=str(network), on_step=steps.append
    )
    assert len(steps) == 1
    assert steps[0].last


def test_the_optimizers_engine_refuses_a_networks_recipe(network):
    with pytest.raises(impasto.RecipeError, match="not for the optimizer"):
        OptimizerEngine(impasto.load_recipe(network))


def test_a_plan_tells_size_and_time(folder, network, capsys):
    job = [str(folder / "photo.png"), "--style", str(folder / "painting.png")]
    assert main(["plan", *job, "--recipe", str(network), "--size", "1200", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["width"], plan["height"], plan["tile"]) == (1200, 900, 0)
    assert plan["seconds"] > 0


@pytest.mark.parametrize(
    ("flags", "code", "complaint"),
    [
        (["--checkpoint", "state.ck"], 2, "one pass"),
        (["--max-memory", "0.1"], 4, "memory"),
        (["--size", "20"], 3, "larger --size"),
        (["--set", "engine.kind=optimizer"], 2, "engine.file"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    folder, network, capsys, monkeypatch, flags, code, complaint
):
    monkeypatch.chdir(folder)
    job = ["photo.png", "--style", "painting.png", "-o", "o.png", "--recipe", str(network)]
    assert main([*job, *flags, "--quiet"]) == code
    assert complaint in capsys.readouterr().err
    assert not (folder / "o.png").exists()


@pytest.mark.parametrize("name", ["gone.safetensors", "wrong.safetensors"])
def test_a_bad_network_file_is_told_by_name(folder, capsys, name):
    (folder / "wrong.safetensors").write_bytes(b"nothing of the kind")
    job = [str(folder / "photo.png"), "--style", str(folder / "painting.png")]
    out = ["-o", str(folder / "o.png"), "--quiet"]
    assert main([*job, *out, "--recipe", str(folder / name)]) == 2
    assert name in capsys.readouterr().err


def test_the_code_of_a_part_is_that_of_the_part_alone(network):
    engine = runtime.Runtime.load(network, torch.device("cpu"))
    image = torch.rand(1, 3, 64, 256, generator=torch.Generator().manual_seed(0))
    image[..., 128:] *= 0.5
    mask = torch.zeros(1, 1, 64, 256)
    mask[..., :128] = 1
    inputs = (image, mask), (image[..., :128], None), (image, None)
    part, alone, whole = (engine.code(*each)[-12:] for each in inputs)
    torch.testing.assert_close(part, alone, atol=0.01, rtol=0)  # levels look across the border
    assert (whole - alone).abs().max() > 0.1


@pytest.fixture
def photos(folder):
    """Taken four at a time: two of one size, one of another, one that is none; and one more."""
    (folder / "photos").mkdir()
    for k in (0, 3, 4):
        pixels = np.roll(synthetic_photo(), 11 * k, axis=1)
        Image.fromarray(pixels).save(folder / "photos" / f"{k}.png")
    Image.fromarray(synthetic_photo(48, 64)).save(folder / "photos" / "1.png")
    (folder / "photos" / "2.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("more", [[], ["--strength", "0.7", "--colors", "match"]])
def test_a_batch_paints_photos_of_one_size_together(photos, network, more, monkeypatch, capsys):
    passes, flags = [], ["--set", "precision=float32", *more]
    paint = runtime.Runtime.paint

    def counted(self, photo, *rest, **named):
        passes.append(len(photo))
        return paint(self, photo, *rest, **named)

    monkeypatch.setattr(runtime.Runtime, "paint", counted)
    job = [str(photos / "photos"), "--style", str(photos / "painting.png"), *flags]
    job += ["--recipe", str(network), "-o", str(photos / "out"), "--executor", "serial"]
    assert main(["batch", *job]) == 1
    assert "2.png" in capsys.readouterr().err
    assert passes.count(2) == 1
    assert max(passes) == 2
    for k in (0, 1, 3, 4):
        (photos / "photo.png").write_bytes((photos / "photos" / f"{k}.png").read_bytes())
        alone = paint_file(photos, network, *flags, "--force")
        together = np.asarray(Image.open(photos / "out" / f"{k}.png").convert("RGB"))
        assert np.abs(alone - together).max() <= 1


def test_photos_that_do_not_fit_together_are_painted_one_by_one(photos, network, monkeypatch):
    def failing(*_):
        raise MemoryError

    monkeypatch.setattr(OnePassEngine, "run_together", failing)
    job = [str(photos / "photos"), "--style", str(photos / "painting.png")]
    job += ["--recipe", str(network), "-o", str(photos / "out"), "--executor", "serial"]
    assert main(["batch", *job]) == 1
    assert len(list((photos / "out").glob("*.png"))) == 4


def test_a_painting_is_read_once(network, monkeypatch):
    read = []
    code = runtime.Runtime.code
    monkeypatch.setattr(runtime.Runtime, "code", lambda *a: read.append(1) or code(*a))
    engine = impasto.Stylizer(impasto.load_recipe(str(network)))
    for _ in range(3):
        list(engine.run(synthetic_photo(), synthetic_painting()))
    assert len(read) == 1
