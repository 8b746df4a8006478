"""Storage whose file operations fail one by one: nothing that was acknowledged is lost."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)
def test_a_sample_of_faults_and_power_failures_loses_nothing():
    command = [sys.executable, str(BENCHMARKS / "faults.py"), "--scenarios", "storage"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.run(
        [*command, "--every", "61"], capture_output=True, text=True, check=False, env=environment
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "0 with problems" in process.stdout


@pytest.mark.parametrize(
    ("problem", "is_loss", "is_doubled"),
    [
        ("out.png was finished and is lost or changed", True, False),
        ("film.mp4.frames/00000001.png was painted and is lost", True, False),
        ("no film.mp4 at the end", True, False),
        ("2 of 3 pictures in the record", True, False),
        ("0 jobs for one request", True, False),
        ("2 jobs for one request", False, True),
        ("3 jobs for one request", False, True),
        ("2 times done", False, True),
        ("2 folders of jobs", False, True),
        ("1 results, or another one than the clean run's", True, False),
        ("2 results, or another one than the clean run's", False, True),
        ("a picture was made and recorded twice", False, True),
        ("exit code 4: impasto: error: data: another `impasto serve` uses it", False, False),
    ],
)
def test_problems_of_kills_are_counted_as_what_they_are(problem, is_loss, is_doubled, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    kills = importlib.import_module("kills")
    assert (kills.is_loss(problem), kills.is_doubled(problem)) == (is_loss, is_doubled)
