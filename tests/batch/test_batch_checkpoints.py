"""A long picture resumes from its checkpoint after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from impasto.batch.processes import job_painting
from impasto.cli import main
from impasto.optimize.checkpoint import Keeper, is_checkpoint

pytestmark = pytest.mark.usefixtures("narrow_encoder")

TOTAL = 12
JOB = ["--style", "painting.png", "--size", "48", "--iterations", str(TOTAL)]
JOB += ["--set", "style.distance=gram", "--set", "style.layers={ relu2_1 = 1 }"]
JOB += ["--set", "content.layers={ relu2_1 = 1 }", "--executor", "serial", "--json"]
CHECKPOINT = Path("out/.photo.png.checkpoint")


class Killed(BaseException):
    """Not caught by anything, like SIGKILL."""


@pytest.fixture(autouse=True)
def always_kept(in_work, monkeypatch):
    monkeypatch.setattr(job_painting, "CHECKPOINT_S", 0.0)


@pytest.fixture
def offered(monkeypatch):
    """Collect the iterations with a state for a checkpoint; a kill follows ``offered[0]``."""
    iterations, offer = [0], Keeper.offer

    def record_offer(self, state):
        offer(self, state)
        iterations.append(state.iteration)
        if state.iteration == iterations[0]:
            monkeypatch.setattr(Keeper, "keep", lambda *_: None)  # the dead write nothing
            raise Killed

    monkeypatch.setattr(Keeper, "offer", record_offer)
    return iterations


def run_batch(output: str, *more: str) -> int:
    return main(["batch", "photo.png", "-o", output, *JOB, *more])


def kill_at(offered, iteration):
    keep, offered[:] = Keeper.keep, [iteration]
    with pytest.raises(Killed):
        run_batch("out")
    Keeper.keep, offered[:] = keep, [0]


def test_a_killed_picture_resumes_to_the_same_result(offered):
    assert run_batch("whole") == 0
    kill_at(offered, 7)
    assert CHECKPOINT.exists()
    assert not Path("out/photo.png").exists()
    assert run_batch("out") == 0
    assert min(offered[1:]) == 8
    assert Path("out/photo.png").read_bytes() == Path("whole/photo.png").read_bytes()
    assert not CHECKPOINT.exists()


@pytest.mark.parametrize("why", ["recipe", "photo", "damage"])
def test_a_checkpoint_of_something_else_is_not_resumed(why, offered):
    kill_at(offered, 7)
    more = []
    if why == "recipe":
        more = ["--strength", "0.5"]
    elif why == "photo":
        Path("photo.png").write_bytes(Path("painting.png").read_bytes())
    else:
        CHECKPOINT.write_bytes(CHECKPOINT.read_bytes()[:-99])
    assert run_batch("out", *more) == 0
    assert min(offered[1:]) == 1
    assert not CHECKPOINT.exists()
    assert run_batch("whole", *more) == 0
    assert Path("out/photo.png").read_bytes() == Path("whole/photo.png").read_bytes()


def test_what_is_no_checkpoint_of_impasto_stays():
    CHECKPOINT.parent.mkdir()
    CHECKPOINT.write_text("notes of somebody else")
    before = CHECKPOINT.stat()
    assert run_batch("out") == 0
    assert Path("out/photo.png").exists()
    after = CHECKPOINT.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_checkpoints_are_recognized(offered, tmp_path):
    kill_at(offered, 2)
    assert is_checkpoint(CHECKPOINT)
    damaged, archive, link = tmp_path / "damaged", tmp_path / "archive", tmp_path / "link"
    damaged.write_bytes(CHECKPOINT.read_bytes()[:900])
    assert is_checkpoint(damaged)
    archive.write_bytes(b"PK\x03\x04 of another program")
    link.symlink_to(CHECKPOINT.absolute())
    for other in (archive, link, tmp_path, tmp_path / "nothing"):
        assert not is_checkpoint(other)


def test_a_very_long_name_works_without_a_checkpoint():
    long = "x" * 250
    Path("photo.png").rename(f"{long}.png")
    assert main(["batch", f"{long}.png", "-o", "out", *JOB]) == 0
    assert Path(f"out/{long}.png").exists()


def test_short_pictures_have_no_checkpoint(monkeypatch, capsys):
    monkeypatch.setattr(job_painting, "CHECKPOINT_S", 120.0)
    monkeypatch.setattr(Keeper, "keep", lambda *_: pytest.fail("a checkpoint of a short picture"))
    assert run_batch("out") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["made"] == 1
