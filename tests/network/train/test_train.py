"""`impasto train arbitrary`: it goes on as if it had never been stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli import main
from impasto.cli.commands.train_command import OWN_SIZES
from impasto.encoders.weights import load_vgg
from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import lock_file
from impasto.image.files.result_file import ResultFile
from impasto.network.network_files import KIND, network_file, read_own_paintings, read_painter
from impasto.network.painter.color_map import COLOR_NUMBERS, compute_color_map
from impasto.network.painter.grade import OCTAVES, measure_grade
from impasto.network.painter.grain import DEVIATION
from impasto.network.painter.style_code import LAYERS
from impasto.network.train import run_state
from impasto.network.train import session as session_module
from impasto.network.train import training_paintings as paintings_module
from impasto.network.train import training_photos as photos_module
from impasto.network.train.batches import (
    TrainingPlan,
    compute_learning_rate,
    count_introduced,
    draw_ahead,
    draw_batch,
)
from impasto.network.train.session import Session, make_trainer
from impasto.network.train.trainer import Trainer
from impasto.network.train.training_paintings import VARIANTS, Paintings, make_variant
from impasto.network.train.training_photos import Photos, split_pictures


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for kind in ("photos", "paintings"):
        (root / kind).mkdir()
        for index in range(24):
            coarse = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((88, 72), Image.Resampling.BICUBIC)
            picture.save(root / kind / f"{index:02d}.png")
    return root


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(photos_module, "SQUARE", 72)
    monkeypatch.setattr(session_module, "BOOK_PAINTINGS", 4)
    for module in (session_module, paintings_module):
        monkeypatch.setattr(module, "SIDES", (72, 64, 48))
    monkeypatch.setattr(Trainer, "evaluate", partialmethod(Trainer.evaluate, pairs=2))


def arguments(root, work, *more):
    folders = ["--photos", str(root / "photos"), "--paintings", str(root / "paintings")]
    sizes = ["--side", "64", "--batch", "2", "--device", "cpu", "--quiet"]
    return ["train", "arbitrary", *folders, "--work", str(work), *sizes, *map(str, more)]


def logged(work):
    return [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]


def test_a_stopped_run_goes_on_as_if_it_had_not_been(folders, tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(arguments(folders, whole, "--steps", 6, "--sample-every", 6)) == 0
    # The horizon of the learning rate is what --steps says, so it stays the same; a signal comes
    # while the third step is worked on.
    original = run_state.json.dumps
    records = []

    def interrupt(record):
        records.append(record)
        if len(records) == 3:
            signal.raise_signal(signal.SIGTERM)
        return original(record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_state.json, "dumps", interrupt)
        assert main(arguments(folders, parts, "--steps", 6)) == 130
    assert len(records) <= 4
    loud = [each for each in arguments(folders, parts, "--steps", 6) if each != "--quiet"]
    assert main(loud) == 0
    assert "step 6 of 6" in capsys.readouterr().err
    a, b = (torch.load(w / "state.pt", weights_only=True) for w in (whole, parts))
    assert a["step"] == b["step"] == 6
    for name, value in a["painter"].items():
        assert torch.equal(value, b["painter"][name]), name
    assert [r["step"] for r in logged(parts)] == [1, 2, 3, 4, 5, 6]
    assert "held_out_total" in logged(whole)[-1]
    assert len(list((whole / "samples").glob("*.jpg"))) == 1
    painter, about = read_painter(parts / "painter.safetensors")
    assert about["steps"] == 6
    assert torch.isfinite(painter.to_pixels.weight).all()


SMALL = """
import os, signal, sys
from impasto.network.train import training_paintings as paintings
from impasto.network.train import training_photos as photos
from impasto.network.train import session
from impasto.network.train import trainer as train
photos.SQUARE, session.BOOK_PAINTINGS = 72, 4
paintings.SIDES = session.SIDES = (72, 64, 48)
draw = train.draw_batch
def interrupted(plan, photos, paintings, step, rank=0):
    if (step, rank) == (1, 1) and plan.steps > 1:
        signal.raise_signal(signal.SIGTERM)
    return draw(plan, photos, paintings, step, rank)
train.draw_batch = interrupted
from impasto.cli import main
sys.exit(main(sys.argv[1:]))
"""


def in_two_processes(tmp_path, command):
    """Exit status of a training by torchrun, one of whose processes is stopped in its 2nd step."""
    script = tmp_path / "small.py"
    script.write_text(SMALL)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc-per-node", "2", str(script), *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(torchrun, env=environment, capture_output=True, check=False).returncode


@pytest.mark.slow
def test_processes_that_train_together_stop_after_the_same_step(folders, tmp_path):
    assert in_two_processes(tmp_path, arguments(folders, tmp_path / "both", "--steps", 9)) != 0
    assert torch.load(tmp_path / "both" / "state.pt", weights_only=True)["step"] == 2
    assert [line["step"] for line in logged(tmp_path / "both")] == [1, 2]


def test_processes_that_train_together_do_not_share_a_gpu(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(arguments(folders, tmp_path, "--device", "cuda:1")) == 2
    assert "--device cuda:1: torchrun gives each process its own device" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_train_as_one_on_both_their_batches(folders, tmp_path):
    alone, both = tmp_path / "alone", tmp_path / "both"
    assert in_two_processes(tmp_path, arguments(folders, both, "--steps", 1)) == 0
    assert main(arguments(folders, alone, "--steps", 1)) == 0
    states = [torch.load(w / "state.pt", weights_only=True) for w in (alone, both)]
    assert [state["step"] for state in states] == [1, 1]
    # The gradient of one step is the mean over the processes' batches, found here one by one.
    trainer = session_module.make_trainer(
        session_module.Session(
            folders / "photos", folders / "paintings", both, both / "painter.safetensors"
        ),
        TrainingPlan(steps=1, batch=2, side=64),
        torch.device("cpu"),
    )[0]
    for rank in (0, 1):
        batch = draw_batch(trainer.plan, trainer.photos, len(trainer.paintings), 0, rank)
        (trainer.compute_losses(batch)["total"] / 2).backward()
    expected = torch.nn.utils.get_total_norm(p.grad for p in trainer.painter.parameters())
    logged_norm = logged(both)[0]["gradient"]
    assert logged_norm == pytest.approx(float(expected), rel=1e-3)
    assert logged(alone)[0]["gradient"] != pytest.approx(float(expected), rel=1e-3)


def test_batches_are_functions_of_seed_and_step(folders, tmp_path):
    photos = Photos.pack(split_pictures(folders / "photos")[0], tmp_path)
    plan = TrainingPlan(batch=4, side=64)
    first, again, later, other = (
        draw_batch(plan, photos, 9, step, rank) for step, rank in ((3, 0), (3, 0), (4, 0), (3, 1))
    )
    assert torch.equal(first.photos, again.photos)
    assert first.styles == again.styles
    assert not torch.equal(first.photos, later.photos)
    assert not torch.equal(first.photos, other.photos)
    assert first.photos.shape == (4, 3, 64, 64)
    assert 0 <= first.photos.min() < first.photos.max() <= 1
    assert torch.equal(first.add_grain(), again.add_grain())
    assert not torch.equal(first.grain, later.grain)
    grains = (first.add_grain() - first.photos).std(dim=(1, 2, 3))
    assert 0 < grains.min() < grains.max() < 2.5 * DEVIATION
    identities = draw_batch(plan, photos, 9, 7)
    assert identities.styles == []
    assert torch.equal(identities.add_grain(), identities.photos)


def test_a_painting_is_imitated_as_it_is_mirrored_and_in_grays():
    painting = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    pictures = [
        make_variant(painting, variant, index) for index in (0, 1) for variant in range(VARIANTS)
    ]
    (first, *_, gray), others = pictures[:VARIANTS], pictures[VARIANTS:]
    assert torch.equal(first, painting)
    assert torch.equal(gray, painting.mean(1, keepdim=True).expand(1, 3, 6, 8))
    for one, other in zip(pictures[3:6], others[3:6], strict=True):
        assert not torch.equal(one, other)  # which colors are exchanged depends on the painting
        assert torch.equal(one.sort(1).values, painting.flip(3).sort(1).values)


def test_nearly_gray_paintings_are_kept_as_pictures_can_be(tmp_path):
    generator = np.random.default_rng(3)
    for name in range(6):
        gray = generator.normal(200, 20, (80, 96, 1)) + generator.normal(0, 0.7, (80, 96, 3))
        Image.fromarray(gray.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    moments = paintings_of(tmp_path, tmp_path / "cache").load_moments(
        [(index, 0) for index in range(6)]
    )
    own = measure_grade(torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    for level in range(OCTAVES + 1):
        numbers = slice(level * COLOR_NUMBERS, (level + 1) * COLOR_NUMBERS)
        matrix, _ = compute_color_map(own[:, numbers], moments.grade[:, numbers])
        assert bool(matrix.isfinite().all()), level


def paintings_of(folder, cache):
    """Of all pictures in a folder, as our own network's book measures them."""
    book = read_painter(network_file(None))[0].book
    return Paintings(sorted(folder.glob("*.png")), cache, load_vgg("vgg19", LAYERS), book)


def test_moments_are_kept_of_so_many_variants(folders, tmp_path, monkeypatch):
    def measure():
        return paintings_of(folders / "paintings", tmp_path).load_moments([(3, 1)]).grade

    expected = measure()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3])  # of a run that was killed as it wrote
    assert torch.equal(measure(), expected)
    monkeypatch.setattr(paintings_module, "VARIANTS", VARIANTS - 1)
    assert torch.equal(measure(), expected)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to be out of space on")
def test_a_full_disk_is_told_in_a_line(folders, tmp_path):
    paintings = paintings_of(folders / "paintings", tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    file.symlink_to("/dev/full")
    with pytest.raises(ResourceError, match="the disk is full"):
        paintings.load_moments([(0, 0)])


def test_paintings_are_introduced_one_after_the_other(folders, tmp_path):
    plan = TrainingPlan(doubling=10, batch=4, side=64)
    assert [count_introduced(plan.doubling, 9, step) for step in (0, 9, 10, 39, 40, 10**6)] == [
        1,
        1,
        2,
        8,
        9,
        9,
    ]
    assert count_introduced(0, 9, 0) == 9
    assert count_introduced(0, 2000, 0) == 2000
    photos = Photos.pack(split_pictures(folders / "photos")[0], tmp_path)
    batches = [draw_batch(plan, photos, 9, step).styles for step in (0, 1, 2, 12, 13, 14)]
    introduced = [{painting for painting, _ in styles} for styles in batches]
    assert introduced[0] == introduced[1] == introduced[2] == {0}
    assert {0} < introduced[3] | introduced[4] | introduced[5] <= {0, 10_007 % 9}


@pytest.mark.parametrize("ahead", [0, 2, 9])
def test_batches_drawn_ahead_come_in_order(ahead):
    assert list(draw_ahead(lambda step: step * step, range(2, 7), ahead)) == [4, 9, 16, 25, 36]
    with pytest.raises(ZeroDivisionError):
        list(draw_ahead(lambda step: 1 // (step - 3), range(5), ahead))


def test_the_learning_rate_rises_and_falls_to_the_horizon():
    plan = TrainingPlan(steps=1000, rate=1.0)
    rates = [compute_learning_rate(plan, step) for step in (0, 50, 100, 500, 999)]
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] > rates[3] > rates[4] > 0
    longer = TrainingPlan(steps=2000, rate=1.0)
    assert compute_learning_rate(longer, 999) > rates[4]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--photos", "nowhere"], "no such folder"),
        (["--photos", "."], "--work"),
        (["--seed", "4"], "seed 0, not 4"),
        (["--doubling", "7"], "doubling 60, not 7"),
        (["--work", "file"], "file: is a file"),
    ],
)
def test_bad_runs_are_told_in_a_line(folders, tmp_path, capsys, monkeypatch, flags, complaint):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    if {"--seed", "--doubling"} & {*flags}:
        assert main(arguments(folders, tmp_path, "--steps", 1)) == 0
    assert main(arguments(folders, tmp_path, "--steps", 1, *flags)) in {2, 4}
    assert complaint in capsys.readouterr().err


def test_a_step_that_is_not_finite_is_skipped(folders, tmp_path, monkeypatch):
    from impasto.network.train import trainer as train_module

    monkeypatch.setattr(
        train_module.losses, "compute_roughness_loss", lambda image: image.mean((1, 2, 3)) / 0
    )
    assert main(arguments(folders, tmp_path, "--steps", 1)) == 0
    painter, _ = read_painter(tmp_path / "painter.safetensors")
    assert not painter.to_pixels.weight.any()
    assert logged(tmp_path)[0]["gradient"] is None


def test_convolutions_in_bfloat16_train_much_the_same(folders, tmp_path):
    took = {}
    for precision in ("float32", "bfloat16"):
        work = tmp_path / precision
        flags = "--steps", 2, "--from", "draft", "--precision", precision
        assert main(arguments(folders, work, *flags)) == 0
        took[precision] = logged(work)
    for step, exact in zip(took["bfloat16"], took["float32"], strict=True):
        assert step["total"] == pytest.approx(exact["total"], rel=0.02)
        assert step["total"] != exact["total"]
    state = torch.load(tmp_path / "bfloat16" / "state.pt", weights_only=True)
    assert {each.dtype for each in state["averaged"].values()} == {torch.float32}


def test_impastos_own_network_is_trained_on(folders, tmp_path):
    assert main(arguments(folders, tmp_path, "--steps", 2, "--from", "draft")) == 0
    own, trained = (
        read_painter(path)[0].state_dict()
        for path in (network_file(None), tmp_path / "painter.safetensors")
    )
    assert torch.equal(own["book.center"], trained["book.center"])
    moved = (own["strokes.0.weight"] - trained["strokes.0.weight"]).abs().max()
    assert 0 < float(moved) < 0.1 * float(own["strokes.0.weight"].abs().max())
    about = read_painter(tmp_path / "painter.safetensors")[1]
    assert about["doubling"] == 0


def own_style(root, work, *more, painting="03.png"):
    """The command for one painting, beginning with impasto's own network."""
    command = ["train", "style", str(root / "paintings" / painting), "--work", str(work)]
    command += ["--photos", str(root / "photos"), "--side", "64", "--batch", "1", "--quiet"]
    return [*command, "--device", "cpu", *map(str, more)]


def measure_distance(root, network, painting="03.png"):
    """How far a network is from one painting, on photos that it was not trained on."""
    paintings, work = (root / "paintings" / painting,), root / "held-out"
    session = Session(root / "photos", paintings, work, work / "never.safetensors", network)
    plan = TrainingPlan(side=64, batch=1, variants=OWN_SIZES)
    trainer, *pictures = make_trainer(session, plan, torch.device("cpu"))
    return trainer.evaluate(*pictures)["total"]


@pytest.mark.slow
def test_the_normalization_alone_is_fitted_if_asked(folders, tmp_path):
    mine, network = tmp_path / "mine.safetensors", network_file(None)
    steps = ["--normalization", "--steps", 20, "--rate", 0.02]
    assert main(own_style(folders, tmp_path, "-o", mine, *steps)) == 0
    before, after = (read_painter(path)[0].state_dict() for path in (network, mine))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"reader.4.bias"}
    assert measure_distance(folders, mine) < measure_distance(folders, network)
    assert main(own_style(folders, tmp_path / "gone", painting="gone.png")) == 2


def test_a_painting_of_ones_own_is_come_closer_to(folders, tmp_path):
    mine = tmp_path / "mine.safetensors"
    assert main(own_style(folders, tmp_path, "--steps", 8, "-o", mine)) == 0
    assert measure_distance(folders, mine) < measure_distance(folders, network_file(None))
    assert read_painter(mine)[1]["doubling"] == 0
    before, after = (read_painter(path)[0].state_dict() for path in (network_file(None), mine))
    assert not torch.equal(before["strokes.0.weight"], after["strokes.0.weight"])
    assert all(value.isfinite().all() for value in after.values())


@pytest.mark.slow
def test_a_network_of_some_paintings_alone_is_trained_from_random_weights(folders, tmp_path):
    mine, more = tmp_path / "mine.safetensors", str(folders / "paintings" / "04.png")
    steps = ["--seed", 5, "--steps", 30, "--doubling", 1]  # 0 is the seed of impasto's own
    command = own_style(folders, tmp_path, "--scratch", *steps, "-o", mine)
    assert main([*command[:2], more, *command[2:]]) == 0
    losses = [line["total"] for line in logged(tmp_path) if "deviation" in line]
    assert np.mean(losses[-8:]) < np.mean(losses[:8])
    (own, _), (trained, _) = read_painter(network_file(None)), read_painter(mine)
    apart = (own.state_dict()["strokes.0.weight"] - trained.state_dict()["strokes.0.weight"]).abs()
    assert apart.mean() > 0.5 * own.state_dict()["strokes.0.weight"].abs().mean()
    assert torch.equal(own.book.center, trained.book.center)
    assert {*read_own_paintings(mine)} == {"03", "04"}
    assert main(own_style(folders, tmp_path / "n", "--scratch", "--normalization")) == 2
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--from", "draft"])
    assert stopped.value.code == 2


def test_a_run_is_not_gone_on_with_for_another_painting(folders, tmp_path, capsys):
    work, mine, again = (tmp_path / n for n in ("work", "mine.safetensors", "again.safetensors"))
    assert main(own_style(folders, work, "--steps", 1, "-o", mine)) == 0
    other = own_style(folders, work, "--steps", 1, "-o", tmp_path / "o.safetensors")
    other[2] = str(folders / "paintings" / "04.png")
    assert main(other) == 2
    assert "other paintings" in capsys.readouterr().err
    assert main(own_style(folders, work, "--steps", 1, "--normalization", "-o", again)) == 2
    assert "fitted" in capsys.readouterr().err
    # All steps are done, and the file is wanted by another name.
    assert main(own_style(folders, work, "--steps", 1, "-o", again)) == 0
    (one, about), (other_one, about_too) = read_painter(mine), read_painter(again)
    assert about == about_too
    pairs = zip(one.state_dict().values(), other_one.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert len(list((work / "samples").glob("*.jpg"))) == 1


def test_the_network_of_another_run_is_not_written_over(folders, tmp_path, capsys):
    mine, others = tmp_path / "mine.safetensors", tmp_path / "others.safetensors"
    assert main(own_style(folders, tmp_path / "a", "--steps", 1, "-o", mine)) == 0
    assert main(own_style(folders, tmp_path / "b", "--steps", 1, "--seed", 1, "-o", others)) == 0
    before = others.read_bytes()
    assert main(own_style(folders, tmp_path / "a", "--steps", 1, "-o", others)) == 2
    assert "--force" in capsys.readouterr().err
    assert others.read_bytes() == before
    assert main(own_style(folders, tmp_path / "a", "--steps", 2, "-o", mine)) == 0


@pytest.mark.parametrize(
    ("flags", "steps"), [([], 300), (["--scratch"], 4000), (["--scratch", "--steps", "7"], 7)]
)
def test_from_random_weights_it_takes_more_steps(folders, tmp_path, monkeypatch, flags, steps):
    plans = []
    monkeypatch.setattr(session_module, "train", lambda _, plan, *__: plans.append(plan) or ())
    assert main(own_style(folders, tmp_path, *flags)) == 0
    assert [plan.steps for plan in plans] == [steps]


def test_the_folder_of_a_run_has_the_name_of_its_network(folders, tmp_path):
    mine = tmp_path / "mine.safetensors"
    command = own_style(folders, "x", "--steps", 1, "-o", mine)
    del command[3:5]
    assert main(command) == 0
    assert (tmp_path / "mine-training" / "state.pt").exists()


def test_a_network_file_is_not_written_over_other_files(folders, tmp_path, capsys):
    there = tmp_path / "there.safetensors"
    there.write_bytes(b"mine")
    for flags, complaint in (
        (["-o", there], "--force"),
        (["-o", tmp_path / "style.png"], ".safetensors"),
        (["-o", there, "--from", there, "--force"], "inputs are never replaced"),
        (["-o", tmp_path / "no" / "x.safetensors"], "no such folder"),
        (["--from", tmp_path / "gone.safetensors"], "gone.safetensors"),
    ):
        assert main(own_style(folders, tmp_path / "work", "--steps", 1, *flags)) == 2
        assert complaint in capsys.readouterr().err
    assert there.read_bytes() == b"mine"
    assert not (tmp_path / "work").exists()


def test_what_a_killed_run_logged_after_its_checkpoint_is_forgotten(folders, tmp_path):
    assert main(arguments(folders, tmp_path, "--steps", 2)) == 0
    before = logged(tmp_path)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 3, "total": 99.0}) + '\n{"step": 4, "to')
    assert main(arguments(folders, tmp_path, "--steps", 4)) == 0
    after = logged(tmp_path)
    assert [line["step"] for line in after] == [1, 2, 3, 4]
    assert after[:2] == before
    assert after[2]["total"] < 99
    assert after[3]["seconds"] >= after[2]["seconds"] >= before[1]["seconds"]


def test_two_runs_do_not_share_a_folder(folders, tmp_path, capsys):
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / "lock").open("wb") as file:
        assert lock_file(file)
        assert main(arguments(folders, tmp_path / "work", "--steps", 1)) == 2
    assert "another training run is using this folder" in capsys.readouterr().err
    assert main(arguments(folders, tmp_path / "work", "--steps", 1)) == 0


def test_another_painting_of_the_same_name_and_size_is_another(tmp_path):
    first, second = tmp_path / "a" / "own.bmp", tmp_path / "b" / "own.bmp"
    for path, color in ((first, "red"), (second, "blue")):
        path.parent.mkdir()
        Image.new("RGB", (64, 64), color).save(path)
    assert first.stat().st_size == second.stat().st_size
    assert photos_module.compute_fingerprint([first]) != photos_module.compute_fingerprint([second])


def test_what_a_folder_lost_is_made_again_or_told(folders, tmp_path, capsys):
    work = tmp_path / "work"
    assert main(arguments(folders, work, "--steps", 2)) == 0
    for path in [work / "log.jsonl", *work.glob("cache/photos-*")]:
        path.write_bytes(path.read_bytes()[:-7])
    assert main(arguments(folders, work, "--steps", 3)) == 0
    assert [json.loads(line)["step"] for line in (work / "log.jsonl").read_text().splitlines()] == [
        1,
        3,
    ]
    book = work / "book.safetensors"
    book.write_bytes(book.read_bytes()[:99])
    assert main(arguments(folders, work, "--steps", 4)) == 2
    assert "book.safetensors: is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_a_damaged_state_is_told_in_a_line(folders, tmp_path, capsys, content):
    (tmp_path / "state.pt").write_bytes(content)
    assert main(arguments(folders, tmp_path, "--steps", 1)) == 2
    assert "state.pt" in capsys.readouterr().err
    torch.save({"format": "impasto painter 1"}, tmp_path / "state.pt")
    assert main(arguments(folders, tmp_path, "--steps", 1)) == 2
    assert KIND in capsys.readouterr().err


def test_pictures_that_cannot_be_read_are_passed_over(folders, tmp_path):
    for kind in ("photos", "paintings"):
        (tmp_path / kind).mkdir()
        for index, path in enumerate(sorted((folders / kind).iterdir())):
            content = path.read_bytes()
            (tmp_path / kind / path.name).write_bytes(content[: len(content) // (1 + index % 2)])
    assert main(arguments(tmp_path, tmp_path / "work", "--steps", 2, "--doubling", 0)) == 0
    (tmp_path / "photos" / "gone.jpg").symlink_to("nowhere.jpg")
    photos, _ = split_pictures(tmp_path / "photos")
    packed = Photos.pack(photos, tmp_path / "work" / "cache")
    assert 0 < len(packed) < len(photos)
    with pytest.raises(InputError, match="none of the 2 pictures"):
        photos_module.read_next_picture([tmp_path / "no.png", tmp_path / "nothing.png"], 1)
    damaged = own_style(folders, tmp_path / "own", "--steps", 1)
    damaged[2] = str(tmp_path / "paintings" / "01.png")
    assert main(damaged) == 2


def test_a_kill_right_after_the_network_is_written_costs_nothing(folders, tmp_path, monkeypatch):
    mine = tmp_path / "mine.safetensors"
    command = own_style(folders, tmp_path / "work", "--steps", 1, "-o", mine)
    write = session_module.write_painter

    def killed(*arguments, **how):
        write(*arguments, **how)
        raise SystemExit(137)

    with monkeypatch.context() as context:
        context.setattr(session_module, "write_painter", killed)
        with pytest.raises(SystemExit):
            main(command)
    assert mine.stat().st_mode & 0o444 == 0o444 & ~current_umask()
    assert main(command) == 0


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("count", [2, 3, 8])
def test_of_few_pictures_one_is_held_out_too(tmp_path, count):
    for index in range(count):
        (tmp_path / f"{index}.avif").touch()
    rest, apart = split_pictures(tmp_path)
    assert len(rest) + len(apart) == count
    assert rest
    assert apart
    for path in list(tmp_path.iterdir())[1:]:
        path.unlink()
    with pytest.raises(InputError, match="requires at least 2"):
        split_pictures(tmp_path)


def test_a_network_that_appears_during_the_training_is_kept(tmp_path, monkeypatch):
    mine, other = tmp_path / "mine.safetensors", tmp_path / "mine-2.safetensors"
    session, lines = Session(tmp_path, (), tmp_path, mine), []
    trainer = SimpleNamespace(
        kind=KIND, get_state=dict, plan=TrainingPlan(side=64, batch=1), step=2, averaged={}
    )
    record = session_module._record_outputs

    def appear(*arguments):
        record(*arguments)
        if not mine.exists():
            mine.write_bytes(b"somebody's")

    monkeypatch.setattr(session_module, "_record_outputs", appear)
    network = ResultFile(mine, notice=lines.append, what="the network")
    for _ in range(2):  # the second checkpoint replaces the first
        session_module.save(session, {}, trainer, network)
    assert mine.read_bytes() == b"somebody's"
    assert other.stat().st_size > 100
    assert session_module.is_own_output(tmp_path, other)
    assert not session_module.is_own_output(tmp_path, mine)
    assert lines == [f"{mine} was created during the run and is kept; the network is in {other}"]
