"""The command line, end to end, through ``impasto.cli.main`` or a real process."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import forks
from conftest import complaint, synthetic_painting
from impasto.cli import main
from impasto.errors import InputError, ResourceError
from impasto.image.files import reading_cost
from impasto.image.files.decode import read_picture
from impasto.image.files.metadata import read_record
from impasto.optimize.budget import fitting
from runs import three_scales

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")

QUICK = ["--recipe", "sketch", "--iterations", "2", "--quiet"]


def impasto(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "error", "-m", "impasto", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **options)


def size_of(source) -> tuple[int, int]:
    with Image.open(source) as image:
        return image.size


# --- the main job ------------------------------------------------------------------------------


def test_the_default_name_is_photo_and_painting_beside_the_photo(work, capsys):
    before = (work / "photo.png").read_bytes()
    assert main(["photo.png", "--style", "painting.png", *QUICK]) == 0
    assert size_of(work / "photo-painting.png") == (64, 48)
    assert (work / "photo.png").read_bytes() == before
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err == ""
    assert sorted(p.name for p in work.iterdir()) == [
        "painting.png",
        "photo-painting.png",
        "photo.png",
    ]


def test_json_is_one_object_on_the_last_line(capsys):
    arguments = ["photo.png", "--style", "painting.png", "--recipe", "sketch", "--iterations", "3"]
    assert main([*arguments, "-o", "a.jpg", "--size", "48", "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])
    assert report["output"] == "a.jpg"
    assert (report["width"], report["height"]) == (48, 36)
    assert report["iterations"] == 3
    assert set(report["losses"]) == {"total", "content", "style", "smoothness"}
    assert report["recipe"]["size"] == 48
    assert report["device"] == "cpu"
    assert report["seconds"] > 0
    assert report["peak_memory_mb"] > 100
    assert "3/3" in captured.err


def test_every_record_of_the_run_is_written(work):
    arguments = ["--snapshots", "steps", "--snapshot-every", "2", "--loss-plot", "loss.png"]
    arguments += ["--timelapse", "run.mp4", "--iterations", "5", "--quiet", "--size", "63"]
    assert main(["photo.png", "--style", "painting.png", *arguments]) == 0
    assert sorted(p.name for p in (work / "steps").iterdir()) == [
        "step-00002.png",
        "step-00004.png",
        "step-00005.png",
    ]
    assert size_of(work / "loss.png")[0] > 300
    import av

    with av.open(str(work / "run.mp4")) as film:
        frames = list(film.decode(video=0))
    assert (frames[0].width, frames[0].height) == (64, 48)
    assert len(frames) == 5 + 12
    last = frames[-1].to_ndarray(format="rgb24")[:47, :63].astype(float)
    result = read_picture(work / "photo-painting.png").pixels * 255
    assert np.abs(last - result).mean() < 12


def test_a_gif_timelapse(work):
    arguments = ["photo.png", "--style", "painting.png", *QUICK]
    assert main([*arguments, "--timelapse", "run.gif"]) == 0
    with Image.open(work / "run.gif") as film:
        assert film.n_frames >= 2


def test_standard_input_and_output(work):
    process = impasto(
        "-", "--style", "painting.png", "-o", "-", *QUICK, input=(work / "photo.png").read_bytes()
    )
    assert process.returncode == 0, process.stderr
    assert size_of(io.BytesIO(process.stdout)) == (64, 48)


def test_alpha_and_16_bits_pass_through(work):
    image = read_picture(work / "photo.png").to_pil().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save("alpha.png")
    arguments = ["alpha.png", "--style", "painting.png", *QUICK, "--depth", "16", "-o", "deep.png"]
    assert main(arguments) == 0
    result = read_picture(work / "deep.png")
    assert result.metadata.depth == 16
    assert np.abs(result.alpha - read_picture(work / "alpha.png").alpha).max() < 1e-4
    assert len(np.unique(result.pixels)) > 256


def test_several_paintings_blend_by_weight(work):
    for name, tint in (("blue", (0.3, 0.5, 1.0)), ("red", (1.0, 0.4, 0.3))):
        Image.fromarray((synthetic_painting() * tint).astype(np.uint8)).save(f"{name}.png")
    reds = []
    for weight in ("0", "1", "30"):
        arguments = ["--style", "blue.png", "--style", "red.png", "--style-weight", "1"]
        arguments += ["--style-weight", weight, "-o", f"w{weight}.png", "--quiet"]
        assert main(["photo.png", *arguments, "--iterations", "25"]) == 0
        pixels = read_picture(work / f"w{weight}.png").pixels
        reds.append(float((pixels[..., 0] - pixels[..., 2]).mean()))
    assert reds[0] < reds[1] < reds[2]


def fineness(path: str) -> float:
    """Mean spatial frequency of a picture's grays, cycles a pixel, by power."""
    with Image.open(path) as image:
        gray = np.asarray(image.convert("L"), float)
    window = np.outer(*(np.hanning(side) for side in gray.shape))
    power = np.abs(np.fft.rfft2((gray - gray.mean()) * window)) ** 2
    down, across = (np.fft.fftfreq(side) for side in gray.shape)
    frequency = np.hypot(*np.meshgrid(down, across[: power.shape[1]], indexing="ij"))
    return float((power * frequency).sum() / power.sum())


@pytest.mark.slow
@pytest.mark.usefixtures("real_encoder")
def test_strokes_grow_with_the_style_scale():
    Image.new("RGB", (96, 96), "gray").save("flat.png")
    Image.fromarray(synthetic_painting(128, 128)).save("strokes.png")
    job = ["flat.png", "--style", "strokes.png", "--recipe", "sketch", "--iterations", "20"]
    job += ["--set", "content.weight=0", "--set", "start.noise_ratio=0.3", "--quiet"]
    fine = []
    for scale in ("0.5", "1", "2"):
        assert main([*job, "--style-scale", scale, "-o", f"s{scale}.png"]) == 0
        fine.append(fineness(f"s{scale}.png"))
    assert fine[0] > 1.25 * fine[1]
    assert fine[1] > 1.15 * fine[2]


@pytest.mark.parametrize("init", ["noise", "blend", "style", "painting.png"])
def test_starts(init):
    arguments = ["photo.png", "--style", "painting.png", *QUICK, "--init", init]
    assert main([*arguments, "-o", "started.png"]) == 0
    assert main([*arguments[:-2], "-o", "plain.png"]) == 0
    started, plain = (read_picture(Path(f"{name}.png")).pixels for name in ("started", "plain"))
    assert not np.array_equal(started, plain)


# --- trust -------------------------------------------------------------------------------------


def test_same_seed_same_bytes_and_another_seed_another_picture():
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        arguments = ["photo.png", "--style", "painting.png", *three_scales(), "--init", "noise"]
        assert main([*arguments, "--quiet", "--seed", seed, "-o", f"{name}.png"]) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    one, other = (read_picture(Path(name)).pixels for name in ("a.png", "c.png"))
    assert not np.array_equal(one, other)  # the files differ by their records anyway


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_replay_makes_the_same_bytes(extension, capsys):
    out = f"out.{extension}"
    arguments = ["photo.png", "--style", "painting.png", *three_scales(), "--quiet", "-o", out]
    assert main([*arguments, "--style-scale", "0.7"]) == 0
    assert main(["replay", out, "--quiet"]) == 0
    assert Path(out).read_bytes() == Path(f"out-replay.{extension}").read_bytes()
    assert main(["replay", out, "--quiet"]) == 2
    assert "exists already" in complaint(capsys)


def test_replay_refuses_other_inputs_and_pictures_without_a_recipe(work, capsys):
    arguments = ["photo.png", "--style", "painting.png", *QUICK]
    assert main([*arguments, "-o", "out.png"]) == 0
    assert main(["replay", "out.png", "--photo", "painting.png", "--quiet", "-o", "x.png"]) == 2
    assert "not the picture" in complaint(capsys)
    (work / "photo.png").rename(work / "moved.png")
    assert main(["replay", "out.png", "--quiet"]) == 2
    assert "--photo" in complaint(capsys)
    assert main(["replay", "out.png", "--photo", "moved.png", "--quiet", "-o", "y.png"]) == 0
    assert main(["replay", "moved.png"]) == 2
    assert "contains no impasto recipe" in complaint(capsys)


def test_the_recipe_is_embedded_without_folders_unless_asked_not_to(work):
    arguments = [str(work / "photo.png"), "--style", str(work / "painting.png"), *QUICK]
    assert main([*arguments, "-o", "with.png"]) == 0
    record = json.loads(read_record(work / "with.png"))
    assert record["photo"]["name"] == "photo.png"
    assert record["recipe"]["name"] == "sketch"
    assert record["impasto"] == "0.1.0"
    assert str(work) not in json.dumps(record)
    assert main([*arguments, "-o", "without.png", "--no-embed"]) == 0
    assert read_record(work / "without.png") is None


def test_an_existing_output_is_kept_without_force(work, capsys):
    (work / "photo-painting.png").write_bytes(b"precious")
    assert main(["photo.png", "--style", "painting.png", *QUICK]) == 2
    assert "--force" in complaint(capsys)
    assert (work / "photo-painting.png").read_bytes() == b"precious"
    assert main(["photo.png", "--style", "painting.png", *QUICK, "--force"]) == 0


def test_an_input_is_never_replaced_even_with_force(work, capsys):
    for output in ("photo.png", "painting.png"):
        before = (work / output).read_bytes()
        assert main(["photo.png", "--style", "painting.png", "-o", output, "--force"]) == 2
        assert "inputs are never replaced" in complaint(capsys)
        assert (work / output).read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("real_encoder")
def test_a_painting_comes_back_as_itself_even_from_noise(capsys):
    Image.fromarray(synthetic_painting(96, 96)).save("p.png")
    run = ["p.png", "--style", "p.png", "--init", "noise", *three_scales(), "--size", "96"]
    for name, iterations in (("start.png", "1"), ("same.png", "90")):
        assert main([*run, "--iterations", iterations, "-o", name, "--quiet"]) == 0
    assert main(["compare", "p.png", "p.png", "start.png", "same.png", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    start, same = report["start.png"], report["same.png"]
    assert same["style_w2"] < 0.1 * start["style_w2"]
    assert same["style_gram"] < 0.2 * start["style_gram"]
    assert same["content_ssim"] > start["content_ssim"] + 0.2


# --- bad input ---------------------------------------------------------------------------------


def write(name: str, data: bytes) -> str:
    Path(name).write_bytes(data)
    return name


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda: write("empty.jpg", b""), 2, "is empty"),
        (lambda: write("page.jpg", b"<html></html>"), 2, "web page"),
        (lambda: write("eps.png", b"%!PS-Adobe"), 2, "PostScript"),
        (lambda: write("a.svg", b"<svg/>"), 2, "SVG"),
        (lambda: write("a.pdf", b"%PDF-1.4"), 2, "PDF"),
        (lambda: "none.png", 2, "no such file"),
        (lambda: ".", 2, "folder"),
        (lambda: "a\nb.png", 2, "a\\nb.png: no such file"),
        (lambda: "x" * 300 + ".png", 2, "cannot be read"),
        (lambda: "recipies", 2, "did you mean the command 'recipes'"),
    ],
)
def test_bad_photos_and_paintings_are_one_line(make, code, says, capsys):
    bad = make()
    assert main([bad, "--style", "painting.png", "-o", "o.png"]) == code
    assert says in complaint(capsys)
    if not bad.startswith("recip"):
        assert main(["photo.png", "--style", bad, "-o", "o.png"]) == code
        assert says in complaint(capsys)
    assert not Path("o.png").exists()


def test_pictures_over_a_limit_exit_3(capsys):
    from images import png_file

    for width, height in ((14_000, 14_000), (2**31 - 1, 1), (1, 1), (8, 5000)):
        write("big.png", png_file((width, height, 8, 2, 0), b""))
        assert main(["big.png", "--style", "painting.png", "-o", "o.png"]) == 3
        assert "big.png" in complaint(capsys)
    Image.new("RGB", (640, 12)).save("thin.png")
    assert main(["thin.png", "--style", "painting.png", "-o", "o.png", "--size", "64"]) == 3
    assert "16 px on the shorter side" in complaint(capsys)


def test_endless_standard_input_is_counted(monkeypatch, capsys):
    from impasto.image.files import decode
    from impasto.image.files.limits import Limits

    monkeypatch.setattr(decode, "Limits", lambda: Limits(max_bytes=1000))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes(5000))))
    assert main(["-", "--style", "painting.png", "-o", "o.png"]) == 3
    assert "over the limit" in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--size", "0"], "whole number from 16"),
        (["--size", "1e9"], "whole number"),
        (["--iterations", "-1"], "whole number"),
        (["--style-scale", "nan"], "not a number"),
        (["--style-scale", "inf"], "not a number"),
        (["--style-weight", "1", "--style-weight", "2"], "1 painting but 2 style weights"),
        (["--style-weight", "0"], "weight above 0"),
        (["--style-weight", "1e309"], "not a number"),
        (["--seed", "x"], "whole number"),
        (["--quality", "superb"], "invalid choice"),
        (["--quality", "sketch"], "see `impasto recipes` for what --recipe accepts"),
        (["--recipe", "unknown"], "no recipe 'unknown'"),
        (["--recipe", "none.toml"], "the recipe cannot be read"),
        (["--recipe", "draft", "--quality", "best"], "give one of them"),
        (["--iteration", "4"], "did you mean --iterations?"),
        (["--device", "tpu"], "no device 'tpu'"),
        (["--weights", "none.h5"], "no such weights file"),
        (["--weights", "photo.png"], "weights are read from"),
        (["-o", "out.gif"], "pictures are written as"),
        (["-o", "nowhere/out.png"], "no such folder"),
        (["-o", "out.jpg", "--depth", "16"], "16 bits"),
        (["-o", "-", "--json"], "standard output"),
        (["--timelapse", "run.avi"], ".gif or .mp4"),
        (["--timelapse", "no/run.gif"], "no such folder"),
        (["--loss-plot", "loss.jpg"], ".png or .svg"),
        (["--init", "none.png"], "no such file"),
        (["--nonsense"], "unknown argument"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments, says, capsys):
    try:
        code = main(["photo.png", "--style", "painting.png", *arguments])
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    assert says in complaint(capsys)
    assert not Path("photo-painting.png").exists()


def test_a_device_that_is_not_there_is_exit_4(capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert main(["photo.png", "--style", "painting.png", "--device", "cuda"]) == 4
    assert "this machine has 0" in complaint(capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_exit_4(work, capsys):
    (work / "locked").mkdir(mode=0o500)
    assert main(["photo.png", "--style", "painting.png", "-o", "locked/o.png"]) == 4
    assert "cannot be written" in complaint(capsys)


def test_a_full_disk_is_exit_4_and_leaves_nothing(work, monkeypatch, capsys):
    import errno

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["photo.png", "--style", "painting.png", *QUICK]) == 4
    assert "disk is full" in complaint(capsys)
    assert sorted(p.name for p in work.iterdir()) == ["painting.png", "photo.png"]


def test_a_faulty_disk_is_exit_4(monkeypatch, capsys):
    from impasto.optimize.optimizer_engine import OptimizerEngine

    def fail(*_, **__):
        raise OSError(5, "Input/output error", "disk/scratch")

    monkeypatch.setattr(OptimizerEngine, "run", fail)
    assert main(["photo.png", "--style", "painting.png", "--quiet"]) == 4
    assert "disk/scratch: cannot be used (Input/output error)" in complaint(capsys)


def test_a_checkpoint_that_fails_after_another_error_says_nothing(capfd):
    from impasto.cli.jobs.paint import close_quietly

    def run():
        try:
            yield 1
        finally:  # writes the checkpoint
            raise ResourceError("the disk is full")

    def consume():
        steps = run()
        with close_quietly(steps):
            next(steps)
            raise InputError("the first error")

    with pytest.raises(InputError, match="the first error"):
        consume()
    assert capfd.readouterr().err == ""


def test_running_out_of_memory_is_exit_4(monkeypatch, capsys):
    from impasto.optimize.optimizer_engine import OptimizerEngine

    def hungry(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GB")

    monkeypatch.setattr(OptimizerEngine, "run", hungry)
    assert main(["photo.png", "--style", "painting.png", "--quiet"]) == 4
    assert "smaller --size" in complaint(capsys)


@pytest.mark.parametrize(
    "name", ["with space.png", "-dash.png", "ünï🎨.png", "CON.png", "n" * 240 + ".png", "a\nb.png"]
)
def test_odd_names_work(work, name, capsys):
    odd = f"./{name}" if name.startswith("-") else name
    Path(odd).write_bytes((work / "photo.png").read_bytes())
    assert main([odd, "--style", "painting.png", *QUICK, "-o", "o.png"]) == 0
    assert main(["photo.png", "--style", odd, *QUICK, "-o", odd[:-4] + ".tif"]) == 0
    assert main(["replay", odd[:-4] + ".tif", "--quiet", "-o", "again.tif"]) == 0
    assert Path("again.tif").read_bytes() == Path(odd[:-4] + ".tif").read_bytes()


def test_a_non_utf8_name_works(work):
    name = os.fsencode(str(work)) + b"/caf\xe9.png"
    with open(name, "wb") as file:  # noqa: PTH123 -- a path of bytes
        file.write((work / "photo.png").read_bytes())
    job = [os.fsdecode(name), "--style", "painting.png", "-o", "o.png", "--iterations", "1"]
    process = forks.run([sys.executable, "-m", "impasto", *job], capture_output=True)
    assert process.returncode == 0, process.stderr


def test_more_than_fits_into_memory_is_exit_4_before_the_work(monkeypatch, capsys):
    from impasto.optimize.run import Run

    monkeypatch.setattr(Run, "steps", lambda *_: pytest.fail("the work has begun"))
    assert main(["photo.png", "--style", "painting.png", "--size", "65535"]) == 4
    assert re.search(
        r"65535x49151 px needs about \d+\.\d+ GiB .* a --size of \d+", complaint(capsys)
    )
    assert not Path("photo-painting.png").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("real_encoder")
def test_what_it_will_take_is_told_and_the_picture_is_there(capsys, monkeypatch):
    monkeypatch.setattr(fitting, "measure_taken_memory", lambda _: 0)
    arguments = ["photo.png", "--style", "painting.png", "--size", "640", "--iterations", "2"]
    limits = ["--max-memory", "1", "--set", "precision=float32"]  # bfloat16 needs less
    assert main([*arguments, *limits, "-o", "o.png"]) == 0
    expected = (
        r"640x480 px in 2 iterations: about \d+:\d\d and \d\.\d GiB of memory, in tiles of 384 px"
    )
    assert re.search(expected, capsys.readouterr().err)
    with Image.open("o.png") as result:
        assert result.size == (640, 480)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["."], r"\.: is a folder; expected a picture"),
        (["photo.png", "-o", "."], r"\.: is a folder; expected the name of a file"),
        (["photo.png", "--style", "-"], "only the photo can come from standard input"),
        (["photo.png", "--snapshot-every", "2"], "--snapshot-every requires --snapshots DIR"),
        (["photo.png", "--checkpoint", "state"], "state: already contains a run; --resume state"),
        (["photo.png", "-o", "link.png"], "link.png: exists already"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(arguments, expected, capsys):
    with zipfile.ZipFile("state", "w") as state:
        state.writestr("data", b"kept")
    before = Path("state").read_bytes()
    Path("link.png").symlink_to("nowhere.png")
    assert main([*arguments, "--style", "painting.png"]) == 2
    assert re.search(expected, complaint(capsys))
    assert Path("state").read_bytes() == before


def test_going_on_in_tiles_is_said_once(capsys, monkeypatch):
    from impasto.objective.whole import WholeObjective

    whole = WholeObjective.evaluate

    def failing(self, image):
        if image.shape[-1] >= 300:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, image)

    monkeypatch.setattr(WholeObjective, "evaluate", failing)
    arguments = ["photo.png", "--style", "painting.png", "--size", "320", "--iterations", "3"]
    assert main([*arguments, "--set", "schedule.coarsest=320", "-o", "o.png"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("impasto: out of memory: continuing in tiles of 256 px") == 1
    assert lines.index("impasto: out of memory: continuing in tiles of 256 px") > 0


def test_a_run_that_may_end_early_is_told_as_a_bound_and_says_where_it_ended(capsys):
    arguments = ["photo.png", "--style", "painting.png", "--size", "48", "-o", "o.png"]
    arguments += ["--until", "converged", "--set", "schedule.tolerance=0.9", "--json"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    most, time_most = re.search(
        r"in at most (\d+) iterations: (at most )?about", output.err
    ).groups()
    assert time_most
    took = json.loads(output.out.splitlines()[-1])["iterations"]
    assert took < int(most)
    assert f"o.png (48x36, converged after {took} iterations)" in output.err


def test_a_photo_that_is_reduced_is_said_to_be(capsys, monkeypatch):
    monkeypatch.setattr("impasto.engine.sizes.choose_longer_side", lambda *_: 40)
    arguments = ["photo.png", "--style", "painting.png", "--iterations", "1", "-o", "o.png"]
    assert main(arguments) == 0
    with Image.open("photo.png") as photo:
        width, height = photo.size
    assert f"reduced from {width}x{height} to 40x" in capsys.readouterr().err


def test_a_recipe_file_is_shown_resolved(capsys):
    Path("mine.toml").write_text('base = "sketch"\n[style]\nscale = 2.0\n')
    assert main(["recipes", "mine.toml"]) == 0
    assert json.loads(capsys.readouterr().out)["style"]["scale"] == 2


# --- the other commands ------------------------------------------------------------------------


def test_help_is_there_for_every_command(capsys):
    from impasto.cli import COMMANDS

    for command in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert "usage: impasto" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_plan_tells_and_writes_nothing(work, capsys, monkeypatch):
    monkeypatch.setattr(fitting, "measure_taken_memory", lambda _: 0)
    before = sorted(work.iterdir())
    arguments = ["plan", "photo.png", "--style", "painting.png", "--size", "640"]
    arguments += ["--set", "precision=float32"]
    assert main([*arguments, "--max-memory", "1"]) == 0
    report = capsys.readouterr().out
    assert re.search(r"result  640x480 px\n", report)
    assert re.search(
        r"memory  about \d\.\d GiB of memory, 1\.0 GiB available, in tiles of 384 px", report
    )
    assert re.search(r"time    about \d+:\d\d on ", report)
    assert main([*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["tile"] == 0
    assert plan["seconds"] > 0
    assert [scale["width"] for scale in plan["scales"]] == [128, 286, 640]
    assert main([*arguments, "--scratch", "missing"]) == 2
    assert main(["plan", "photo.png", "--style", "missing.png"]) == 2
    assert sorted(work.iterdir()) == before


def test_a_painting_that_cannot_be_read_within_the_limit_is_named(work, capsys, monkeypatch):
    residents = iter([0, 2**30])
    monkeypatch.setattr(reading_cost, "measure_resident", lambda: next(residents))
    monkeypatch.setattr(reading_cost, "NOTICEABLE", 0)
    before = sorted(work.iterdir())
    assert main(["photo.png", "--style", "painting.png", "--max-memory", "1"]) == 4
    line = capsys.readouterr().err
    assert re.fullmatch(
        r"impasto: error: painting\.png: reading 0 megapixels takes 1\.\d\d GiB of memory, and "
        r"--max-memory is 1\.00 GiB; expected a limit of \d\.\dGiB, or a smaller picture\n",
        line,
    )
    assert sorted(work.iterdir()) == before


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"impasto \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_recipes_are_listed_and_shown(capsys):
    from impasto.network.network_files import network_file
    from impasto.recipe.recipe import list_recipes

    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in list_recipes())
    assert main(["recipes", "tf-vgg19"]) == 0
    assert "learning_rate = 5.0" in capsys.readouterr().out
    assert main(["recipes", str(network_file(None))]) == 0
    assert '"kind": "network"' in capsys.readouterr().out
    for name in ("nope", "nope.safetensors"):
        assert main(["recipes", name]) == 2
    assert main(["recipes", "--json"]) == 0


def test_a_recipe_of_ones_own(work, capsys):
    (work / "mine.toml").write_text('base = "sketch"\nsize = 40\n[style]\nscale = 0.5\n')
    arguments = ["photo.png", "--style", "painting.png", "--recipe", "mine.toml", "--json"]
    assert main([*arguments, "--iterations", "1", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"]["name"] == "mine"
    assert report["recipe"]["style"]["scale"] == 0.5
    assert report["width"] == 40
    (work / "mine.toml").write_text("[style]\nlayer = 1\n")
    assert main(arguments) == 2
    assert "style.layer: no such field" in complaint(capsys)
    (work / "mine.toml").write_text("version = 9\n")
    assert main(arguments) == 2
    assert "newer impasto" in complaint(capsys)


def test_doctor_says_that_all_is_well(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ready"]
    assert report["weights"]["sha256"].startswith("c34748d2")
    extras = set(metadata.metadata("impasto").get_all("Provides-Extra")) - {"test"}
    assert set(report["extras"]) == extras
    assert main(["doctor"]) == 0
    assert "bfloat16" in capsys.readouterr().out


def test_inspect_writes_a_page_with_every_picture(work):
    arguments = ["inspect", "photo.png", "--style", "painting.png", "-o", "in", "--quiet"]
    assert main([*arguments, "--size", "64", "--iterations", "3"]) == 0
    page = (work / "in" / "index.html").read_text()
    names = re.findall(r'src="([^"]+)"', page)
    assert len(names) == 15
    for name in names:
        assert size_of(work / "in" / name)[0] > 30
    first = read_picture(work / "in" / "content-relu1_1.png").pixels
    photo = read_picture(work / "photo.png").pixels
    deepest = read_picture(work / "in" / "content-relu5_1.png").pixels
    assert np.abs(first - photo).mean() < np.abs(deepest - photo).mean()


def test_compare_prints_a_table(capsys):
    assert main(["compare", "photo.png", "painting.png", "photo.png", "painting.png"]) == 0
    header, one, two = capsys.readouterr().out.splitlines()
    assert header.split()[1] == "content_ssim"
    assert float(one.split()[1]) == 1
    assert float(two.split()[3]) == pytest.approx(0, abs=0.35)
    assert main(["compare", "photo.png", "painting.png", "none.png"]) == 2
