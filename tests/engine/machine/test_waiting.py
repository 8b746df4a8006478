"""How threads wait is chosen before PyTorch is imported, and only where nobody else has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from impasto.engine.machine.waiting import SPINS

PRINT = "import impasto, os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, str(SPINS)),
        ({"OMP_WAIT_POLICY": "active"}, "None"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
    ],
)
def test_importing_impasto_limits_spinning_unless_the_user_chose(given, expected):
    free = {k: v for k, v in os.environ.items() if k not in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}}
    done = subprocess.run(
        [sys.executable, "-c", PRINT], env=free | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [expected, "False"]
