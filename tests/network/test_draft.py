"""The network that is shipped, as ``--quality draft``, through the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from clips import make_pan, write_clip
from conftest import REPOSITORY, complaint, synthetic_painting, synthetic_photo
from impasto.cli import main
from impasto.evaluate.compare import compare, load_reference_encoder
from impasto.image.files.decode import read_picture
from impasto.network import export
from impasto.network.network_files import identify_network, network_file, read_painter
from impasto.network.painter import runtime
from impasto.network.painter.code_painter import CodePainter
from impasto.record.provenance import read_provenance
from impasto.video.clip.reading import open_clip

JOB = ["photo.png", "--style", "painting.png", "--quality", "draft"]
EXAMPLES = REPOSITORY / "examples"
PHOTO, PAINTING = synthetic_photo(160, 120), synthetic_painting(140, 160)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("photo.png")
    Image.fromarray(PAINTING).save("painting.png")
    Image.fromarray(np.ascontiguousarray(PAINTING[:, ::-1, ::-1])).save("second.png")
    half = np.zeros((120, 160), np.uint8)
    half[:, :80] = 255
    Image.fromarray(half).save("left.png")


def paint_draft(*flags, name="out.png"):
    """[H, W, 3] uint8 of what the command line writes."""
    assert main([*JOB, *map(str, flags), "-o", name, "--force", "--quiet"]) == 0
    return np.asarray(Image.open(name).convert("RGB"))


def apart(a, b):
    return np.abs(a.astype(float) - b).mean()


def test_the_shipped_network_is_small_and_loads():
    assert network_file(None).stat().st_size <= 8_000_000
    painter, about = read_painter(network_file(None))
    assert about["steps"] > 0
    assert all(bool(value.isfinite().all()) for value in painter.state_dict().values())


def test_a_draft_has_the_paintings_colors_and_the_photos_drawing():
    photo, painting = (read_picture(EXAMPLES / f"{name}.jpg") for name in ("photo", "painting"))
    paint_draft = impasto.stylize(photo, painting, quality="draft", size=128).picture
    before = photo.resize(paint_draft.width, paint_draft.height)
    encoder = load_reference_encoder()
    moved, unmoved = (compare(photo, painting, each, encoder) for each in (paint_draft, before))
    for style in ("palette", "style_gram", "style_w2", "style_swd"):
        assert moved[style] < 0.8 * unmoved[style], style
    assert moved["palette"] < 0.4 * unmoved["palette"]
    assert 0.3 < moved["content_ssim"] < 0.9


def test_a_draft_differs_from_the_photo():
    assert apart(paint_draft(), PHOTO) > 10


def test_a_draft_is_the_same_bytes_twice():
    paint_draft(name="one.png")
    paint_draft(name="two.png")
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()


def test_strength_goes_from_the_photo_to_the_style():
    distances = [apart(paint_draft("--strength", each), PHOTO) for each in (0, 0.5, 1)]
    assert distances[0] < 1
    assert distances[0] < 0.5 * distances[1] < distances[1] < distances[2]


def test_masks_put_each_painting_in_its_place():
    alone = paint_draft("--mask", "left.png")
    assert apart(alone[:, 100:], PHOTO[:, 100:]) == 0
    assert apart(alone[:, :60], PHOTO[:, :60]) > 10
    both = paint_draft("--mask", "left.png", "--style", "second.png")
    assert apart(both[:, 100:], PHOTO[:, 100:]) > 10
    assert apart(both, paint_draft("--style", "second.png")) > 1


def test_the_record_names_the_network_and_a_replay_is_the_same_picture():
    paint_draft()
    record = read_provenance(Path("out.png"))
    assert record.network == identify_network(impasto.load_recipe("draft").engine)
    assert record.recipe.name == "draft"
    assert main(["replay", "out.png", "--quiet"]) == 0
    assert Path("out-replay.png").read_bytes() == Path("out.png").read_bytes()


def test_a_region_of_a_draft_is_refined_by_the_optimizer():
    paint_draft("--strength", "0.8")
    region = ["--region", "40,30,48,48", "--iterations", "2", "--quiet"]
    assert main(["refine", "out.png", *region]) == 0
    before, after = (np.asarray(Image.open(f"out{end}.png")) for end in ("", "-refined"))
    assert apart(before[:20], after[:20]) == 0
    assert apart(before[40:60, 50:70], after[40:60, 50:70]) > 0.5
    (note,) = read_provenance(Path("out-refined.png")).refined
    assert note["recipe"]["name"] == "standard"
    assert note["recipe"]["strength"] == 0.8


@pytest.mark.parametrize(
    "text",
    [
        'base = "draft"\n[schedule]\niterations = 9',
        '[engine]\nkind = "network"\n[start]\nnoise_ratio = 1',
    ],
)
def test_a_file_that_asks_a_network_for_steps_is_refused(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(impasto.RecipeError, match="'mine' uses the engine"):
        impasto.load_recipe(file)


def test_a_file_may_change_what_a_network_heeds(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "draft"\nstrength = 0.5\n[style]\nscale = 2.0')
    assert impasto.load_recipe(file).style.scale == 2
    file.write_text('base = "standard"\n[engine]\nkind = "network"')
    assert impasto.load_recipe(file).engine.kind == "network"


def test_from_python_it_is_the_picture_of_the_command_line():
    result = impasto.stylize("photo.png", "painting.png", quality="draft")
    assert (result.recipe.name, result.iterations) == ("draft", 1)
    assert np.array_equal(np.asarray(result.image.convert("RGB")), paint_draft())
    with pytest.raises(impasto.RecipeError, match=r"does not use `schedule\.total`"):
        impasto.stylize("photo.png", "painting.png", quality="draft", iterations=5)


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--iterations", "5"], "--iterations"),
        (["--until", "converged"], "--until"),
        (["--init", "noise"], "--init"),
        (["--set", "style.layers.relu1_1=1"], "style.layers.relu1_1"),
        (["--set", "photorealism.weight=1"], "photorealism.weight"),
        (["--checkpoint", "run.ck"], "--checkpoint"),
        (["--resume", "run.ck"], "--resume"),
        (["--timelapse", "run.gif"], "--timelapse"),
        (["--loss-plot", "losses.png"], "--loss-plot"),
        (["--snapshots", "steps"], "--snapshots"),
    ],
)
def test_what_only_the_optimizer_knows_is_one_line_before_any_work(flags, what, capsys):
    before = set(Path().iterdir())
    assert main([*JOB, *flags, "-o", "out.png"]) == 2
    message = complaint(capsys)
    assert f" {what}" in message
    assert "one pass" in message
    assert "sketch" in message
    assert set(Path().iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["sheet", *JOB, "--vary", "schedule.total=2,3"],
        ["video", *JOB, "--later", "2"],
        ["video", *JOB, "--iterations", "2"],
        ["batch", *JOB, "--iterations", "2", "-o", "out"],
        ["refine", "out.png", "--region", "0,0,9,9", "--recipe", "draft"],
    ],
)
def test_other_commands_say_so_too(arguments, capsys):
    if arguments[0] == "refine":
        paint_draft()
    assert main(arguments) == 2
    assert """recipe 'draft' uses the engine "network", which""" in complaint(capsys)


def test_for_lightness_alone_a_network_sees_colors_all_the_same(monkeypatch):
    requests, paint = [], CodePainter.paint
    monkeypatch.setattr(
        CodePainter, "paint", lambda *arguments: requests.extend(arguments[2]) or paint(*arguments)
    )
    luminance = paint_draft("--colors", "luminance")
    (painting,) = requests[0].inputs.paintings
    assert np.ptp(painting.pixels, axis=2).max() > 0.1
    assert apart(luminance, paint_draft("--colors", "match")) > 0.5


def test_a_network_has_no_tiles(capsys):
    assert main([*JOB, "--set", "tile=64", "-o", "out.png"]) == 2
    assert 'engine.kind "network" does not support tiles' in complaint(capsys)


def test_what_a_network_heeds_it_takes():
    plain = paint_draft()
    for flags in (["--style-scale", "2"], ["--colors", "content"], ["--set", "colors=match"]):
        assert apart(plain, paint_draft(*flags)) > 0.5


def test_a_sheet_of_drafts():
    job = ["sheet", *JOB, "--strengths", "0,0.5,1", "--size", "96", "-o", "sheet.png", "--quiet"]
    assert main(job) == 0
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 3 * 96


def test_a_batch_of_drafts_takes_photos_of_one_size_together(monkeypatch, capsys):
    Path("photos").mkdir()
    for k in range(3):
        Image.fromarray(np.roll(PHOTO, 17 * k, axis=1)).save(f"photos/{k}.png")
    passes = []
    paint = runtime.Runtime.paint

    def counted(self, photo, *rest, **named):
        passes.append(len(photo))
        return paint(self, photo, *rest, **named)

    monkeypatch.setattr(runtime.Runtime, "paint", counted)
    exact = ["--set", "precision=float32"]
    job = ["batch", "photos", *JOB[1:], *exact, "-o", "out", "--executor", "serial", "--json"]
    assert main(job) == 0
    assert json.loads(capsys.readouterr().out)["made"] == 3
    assert 3 in passes
    alone = paint_draft(*exact)
    assert np.abs(np.asarray(Image.open("out/0.png").convert("RGB")) - alone.astype(int)).max() <= 1


def test_a_film_of_drafts():
    frames = make_pan(3)
    write_clip(Path("clip.mp4"), frames)
    assert main(["video", "clip.mp4", *JOB[1:], "-o", "film.mp4", "--quiet"]) == 0
    results = [frame.load() for frame in open_clip("film.mp4").read_frames()]
    assert len(results) == 3
    assert all(apart(a, b) > 4 for a, b in zip(results, frames, strict=True))


def test_export_takes_it_by_name(monkeypatch):
    """What export makes of a network, test_export.py shows."""
    arguments = []
    monkeypatch.setattr(export, "export_graphs", lambda *each, **_: arguments.extend(each) or [])
    assert main(["export", "draft"]) == 0
    (painter, folder), (shipped, _) = arguments, read_painter(network_file(None))
    assert str(folder) == "draft-onnx"
    weights = painter.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in shipped.state_dict().items())
