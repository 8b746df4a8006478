"""Memory that really runs out: a process whose address space the system limits."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# The first layer: the memory of a large picture, and little work.
CHILD = """
import json, resource, sys
import numpy as np
from impasto import Stylizer, load_recipe

def mapped():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmSize")) * 1024

def limit(megabytes):
    left = mapped() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (left, left))

when, megabytes = sys.argv[1], int(sys.argv[2])
recipe = load_recipe("standard").with_changes({
    "size": 1024,
    "schedule.coarsest": None, "schedule.at": None, "schedule.fewest": 1, "schedule.iterations": 2,
    "content.layers": {"relu1_1": 1.0}, "style.layers": {"relu1_1": 1.0},
})
pictures = np.random.default_rng(0).random((2, 768, 1024, 3)).astype(np.float32)
engine = Stylizer(recipe, device="cpu")
if when == "before":
    limit(megabytes)
steps = engine.run(*pictures)
seen = [next(steps)]
if when == "later":
    limit(megabytes)
seen += steps
print(json.dumps([[s.tile, s.fell_back, s.losses["total"]] for s in seen]))
"""


def steps_of(when: str, megabytes: int) -> list[tuple[int, bool, float]]:
    """Tile, whether it fell back, and total loss of each step of a run under a limit."""
    command = [sys.executable, "-c", CHILD, when, str(megabytes)]
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return [tuple(step) for step in json.loads(process.stdout)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and limits the address space")
@pytest.mark.slow
def test_a_run_survives_allocations_that_fail_and_is_the_same():
    whole, limited = steps_of("never", 0), steps_of("later", 520)
    assert [step[:2] for step in whole] == [(0, False)] * 2
    assert [step[:2] for step in limited] == [(0, False), (512, True)]
    assert [step[2] for step in limited] == pytest.approx([step[2] for step in whole], rel=1e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and limits the address space")
@pytest.mark.slow
def test_a_limit_that_is_there_before_the_start_is_planned_for():
    steps = steps_of("before", 800)
    assert all(0 < tile <= 768 and not fell_back for tile, fell_back, _ in steps), steps
