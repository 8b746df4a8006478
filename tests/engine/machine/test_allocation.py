"""Memory that is freed and asked for again should not be fetched from the system anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import resource, sys
import numpy as np
from impasto.engine.machine.allocation import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
size = 64 * 2**20
np.ones(size, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(size, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", CHILD, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc")
def test_blocks_are_used_again():
    assert page_faults("kept") < page_faults("given back") / 10
