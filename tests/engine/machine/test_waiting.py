"""How threads wait is chosen before PyTorch is imported, and only where nobody else has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from impasto.engine.machine import waiting

PRINT = "import impasto, os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"0", str(waiting.SPINS)}),
        ({"OMP_WAIT_POLICY": "active"}, {"None"}),
        ({"GOMP_SPINCOUNT": "7"}, {"7"}),
    ],
)
def test_importing_impasto_limits_spinning_unless_the_user_chose(variables, expected):
    free = {k: v for k, v in os.environ.items() if k not in waiting.CHOSEN_BY_USERS}
    process = subprocess.run(
        [sys.executable, "-c", PRINT],
        env=free | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    spins, torch_is_loaded = process.stdout.split()
    assert spins in expected
    assert torch_is_loaded == "False"


@pytest.mark.parametrize(
    ("load", "spins"),
    [
        ("0.00 0.01 0.05 1/93 4242", waiting.SPINS),
        ("0.00 0.01 0.05 3/93 4242", 0),  # two others, for four cores of which three are ours
        ("0.00 0.01 0.05 2/93 4242", waiting.SPINS),  # the other one has a core of its own
        ("nothing", waiting.SPINS),
    ],
)
def test_threads_sleep_at_once_beside_others_that_want_their_cores(
    load, spins, monkeypatch, tmp_path
):
    (tmp_path / "loadavg").write_text(load)
    monkeypatch.setattr(waiting, "LOAD", tmp_path / "loadavg")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    for name in waiting.CHOSEN_BY_USERS:
        monkeypatch.delenv(name, raising=False)
    waiting.limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == str(spins)
    monkeypatch.delenv("GOMP_SPINCOUNT")


def test_a_system_that_does_not_count_is_not_busy(monkeypatch, tmp_path):
    monkeypatch.setattr(waiting, "LOAD", tmp_path / "none")
    assert not waiting.is_machine_busy()
