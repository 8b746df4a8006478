"""Storage whose file operations fail one by one: nothing that was acknowledged is lost."""

from __future__ import annotations

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
    given = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, "--every", "61"], capture_output=True, text=True, check=False, env=given
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 with problems" in done.stdout
