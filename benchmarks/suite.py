"""Measure the CPU seconds of pytest in ``make test``, and of its most expensive tests.

Usage: python benchmarks/suite.py [PATH ...] [--csv FILE]

The processes that a test starts count when they have ended. Those of a module, such as a server or
a browser, therefore count for its last test.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

COSTS = "IMPASTO_TEST_COSTS"
"""Environment variable: the file that the costs of tests are appended to."""
PYTEST = ("-q", "--numprocesses", "logical", "--dist", "loadfile", "--no-loadscope-reorder")


def read_cpu_seconds(who: int) -> float:
    """Return the CPU seconds of this process or of its children that have ended."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def read_all_cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return read_cpu_seconds(resource.RUSAGE_SELF) + read_cpu_seconds(resource.RUSAGE_CHILDREN)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: Any) -> Generator[None, Any, Any]:
    """Append the cost of a test to the file; pytest calls this as a plugin."""
    before = read_all_cpu_seconds()
    result = yield
    if COSTS in os.environ:
        with Path(os.environ[COSTS]).open("a", newline="") as file:
            csv.writer(file).writerow([f"{read_all_cpu_seconds() - before:.2f}", item.nodeid])
    return result


def main() -> None:
    """Run the tests and print the ten that cost most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--csv", type=Path, help="write the ten most expensive tests to this file")
    options = parser.parse_args()
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        costs = Path(folder) / "costs.csv"
        path = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, COSTS: str(costs), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", *PYTEST, "-p", "suite", *options.paths]
        subprocess.run(command, cwd=here.parent, env=environment, check=False)
        with costs.open(newline="") as file:
            rows = sorted(csv.reader(file), key=lambda row: -float(row[0]))
    seconds = read_cpu_seconds(resource.RUSAGE_CHILDREN)
    print(f"{len(rows)} tests, {seconds:.0f} CPU s of pytest")
    for cost, name in rows[:10]:
        print(f"{cost:>7}  {name}")
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["CPU s", "test"])
            writer.writerows(rows[:10])


if __name__ == "__main__":
    main()
