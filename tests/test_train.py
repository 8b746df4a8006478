"""`impasto train arbitrary`: it goes on as if it had never been stopped."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli import main
from impasto.fast import paintings as paintings_module
from impasto.fast import photos as photos_module
from impasto.fast import session as session_module
from impasto.fast.files import network_file, read_painter
from impasto.fast.photos import Photos, pictures_in
from impasto.fast.train import Plan, draw_batch, drawn_ahead, introduced, learning_rate


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
    monkeypatch.setattr(session_module, "BOOK_OF", 4)
    for module in (session_module, paintings_module):
        monkeypatch.setattr(module, "SIDES", (72, 64, 48))


def arguments(root, work, *more):
    folders = ["--photos", str(root / "photos"), "--paintings", str(root / "paintings")]
    sizes = ["--side", "64", "--batch", "2", "--device", "cpu", "--quiet"]
    return ["train", "arbitrary", *folders, "--work", str(work), *sizes, *map(str, more)]


def logged(work):
    return [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]


def test_a_stopped_run_goes_on_as_if_it_had_not_been(folders, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(arguments(folders, whole, "--steps", 6, "--sample-every", 6)) == 0
    # The horizon of the learning rate is what --steps says, so it stays the same; a signal comes
    # while the third step is worked on.
    original = session_module.json.dumps
    seen = []

    def interrupted(record):
        seen.append(record)
        if len(seen) == 3:
            signal.raise_signal(signal.SIGTERM)
        return original(record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_module.json, "dumps", interrupted)
        assert main(arguments(folders, parts, "--steps", 6)) == 130
    assert len(seen) <= 4
    assert main(arguments(folders, parts, "--steps", 6)) == 0
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


def test_two_processes_train_as_one_on_both_their_batches(folders, tmp_path):
    import os
    import subprocess
    import sys

    alone, both = tmp_path / "alone", tmp_path / "both"
    script = tmp_path / "small.py"
    script.write_text(
        "import sys\n"
        "from impasto.fast import paintings, photos, session\n"
        "photos.SQUARE, session.BOOK_OF = 72, 4\n"
        "paintings.SIDES = session.SIDES = (72, 64, 48)\n"
        "from impasto.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*torchrun, "--master-port", "29541", str(script)]
    command += arguments(folders, both, "--steps", 1)
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert main(arguments(folders, alone, "--steps", 1)) == 0
    states = [torch.load(w / "state.pt", weights_only=True) for w in (alone, both)]
    assert [state["step"] for state in states] == [1, 1]
    # The gradient of one step is the mean over the processes' batches, found here one by one.
    trainer = session_module.trainer_of(
        session_module.Session(
            folders / "photos", folders / "paintings", both, both / "painter.safetensors"
        ),
        Plan(steps=1, batch=2, side=64),
        torch.device("cpu"),
    )[0]
    for rank in (0, 1):
        batch = draw_batch(trainer.plan, trainer.photos, len(trainer.paintings), 0, rank)
        (trainer.losses(batch)["total"] / 2).backward()
    expected = torch.nn.utils.get_total_norm(p.grad for p in trainer.painter.parameters())
    logged_norm = logged(both)[0]["gradient"]
    assert logged_norm == pytest.approx(float(expected), rel=1e-3)
    assert logged(alone)[0]["gradient"] != pytest.approx(float(expected), rel=1e-3)


def test_batches_are_functions_of_seed_and_step(folders, tmp_path):
    photos = Photos.of(pictures_in(folders / "photos")[0], tmp_path)
    plan = Plan(batch=4, side=64)
    first, again, later, other = (
        draw_batch(plan, photos, 9, step, rank) for step, rank in ((3, 0), (3, 0), (4, 0), (3, 1))
    )
    assert torch.equal(first.photos, again.photos)
    assert first.styles == again.styles
    assert not torch.equal(first.photos, later.photos)
    assert not torch.equal(first.photos, other.photos)
    assert first.photos.shape == (4, 3, 64, 64)
    assert 0 <= first.photos.min() < first.photos.max() <= 1
    assert draw_batch(plan, photos, 9, 7).styles == []


def test_paintings_are_introduced_one_after_the_other(folders, tmp_path):
    plan = Plan(doubling=10, batch=4, side=64)
    assert [introduced(plan, 9, step) for step in (0, 9, 10, 39, 40, 10**6)] == [1, 1, 2, 8, 9, 9]
    assert introduced(Plan(doubling=0), 9, 0) == 9
    assert introduced(Plan(doubling=0), 2000, 0) == 2000
    photos = Photos.of(pictures_in(folders / "photos")[0], tmp_path)
    drawn = [draw_batch(plan, photos, 9, step).styles for step in (0, 1, 2, 12, 13, 14)]
    seen = [{painting for painting, _ in styles} for styles in drawn]
    assert seen[0] == seen[1] == seen[2] == {0}
    assert {0} < seen[3] | seen[4] | seen[5] <= {0, 10_007 % 9}


@pytest.mark.parametrize("ahead", [0, 2, 9])
def test_batches_drawn_ahead_come_in_order(ahead):
    assert list(drawn_ahead(lambda step: step * step, range(2, 7), ahead)) == [4, 9, 16, 25, 36]
    with pytest.raises(ZeroDivisionError):
        list(drawn_ahead(lambda step: 1 // (step - 3), range(5), ahead))


def test_the_learning_rate_rises_and_falls_to_the_horizon():
    plan = Plan(steps=1000, rate=1.0)
    rates = [learning_rate(plan, step) for step in (0, 50, 100, 500, 999)]
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] > rates[3] > rates[4] > 0
    longer = Plan(steps=2000, rate=1.0)
    assert learning_rate(longer, 999) > rates[4]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [(["--photos", "nowhere"], "no such folder"), (["--seed", "4"], "seed 0, not 4")],
)
def test_bad_runs_are_told_in_a_line(folders, tmp_path, capsys, flags, complaint):
    if "--seed" in flags:
        assert main(arguments(folders, tmp_path, "--steps", 1)) == 0
    assert main(arguments(folders, tmp_path, "--steps", 1, *flags)) == 2
    assert complaint in capsys.readouterr().err


def test_a_step_that_is_not_finite_is_skipped(folders, tmp_path, monkeypatch):
    from impasto.fast import train as train_module

    monkeypatch.setattr(train_module.losses, "roughness", lambda image: image.mean((1, 2, 3)) / 0)
    assert main(arguments(folders, tmp_path, "--steps", 1)) == 0
    painter, _ = read_painter(tmp_path / "painter.safetensors")
    assert not painter.to_pixels.weight.any()


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


def test_a_painting_of_ones_own_is_come_closer_to(folders, tmp_path):
    base, mine = tmp_path / "base", tmp_path / "mine.safetensors"
    assert main(arguments(folders, base, "--steps", 1)) == 0
    painting = folders / "paintings" / "03.png"
    command = ["train", "style", str(painting), "--photos", str(folders / "photos")]
    command += ["--from", str(base / "painter.safetensors"), "--work", str(tmp_path / "own")]
    command += ["--side", "64", "--batch", "1", "--steps", "2", "--quiet", "--device", "cpu"]
    assert main([*command, "-o", str(mine)]) == 0
    before, after = (
        read_painter(path)[0].state_dict() for path in (base / "painter.safetensors", mine)
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"reader.4.bias"}
    full = tmp_path / "full.safetensors"
    command[command.index("--work") + 1] = str(tmp_path / "fully")
    assert main([*command, "-o", str(full), "--full", "--steps", "1"]) == 0
    fully = read_painter(full)[0].state_dict()
    assert not torch.equal(before["strokes.0.weight"], fully["strokes.0.weight"])
    assert main([*command[:2], "gone.png", *command[3:]]) == 2
