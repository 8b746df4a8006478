"""`impasto train arbitrary`: it goes on as if it had never been stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli import main
from impasto.fast import photos as photos_module
from impasto.fast import session as session_module
from impasto.fast.files import read_painter


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


def arguments(root, work, *more):
    folders = ["--photos", str(root / "photos"), "--paintings", str(root / "paintings")]
    sizes = ["--side", "64", "--batch", "2", "--device", "cpu", "--quiet"]
    return ["train", "arbitrary", *folders, "--work", str(work), *sizes, *map(str, more)]


def logged(work):
    return [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]


def test_a_stopped_run_goes_on_as_if_it_had_not_been(folders, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(arguments(folders, whole, "--steps", 6, "--sample-every", 6)) == 0
    # The horizon of the learning rate is what --steps says, so it stays; the interruption is a kill
    # after the third step.
    stop = KeyboardInterrupt
    original = session_module.save
    seen = []

    def killed(session, trainer):
        original(session, trainer)
        seen.append(trainer.step)
        if trainer.step == 3:
            raise stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session_module, "save", killed)
        assert main(arguments(folders, parts, "--steps", 6, "--checkpoint-every", 3)) == 130
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
