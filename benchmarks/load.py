"""Measure what waiting threads cost on an idle machine and beside busy processes.

Run: ``python benchmarks/load.py --machine NAME [--sizes 256 512] [--neighbors 0 1 2]``. Every way
of waiting paints the example with ``standard`` in turn, with the given number of iterations, beside
as many endless loops as given. A row of ``load.csv`` is one command: its wall and CPU seconds. The
fair share is the wall time of the best way on the idle machine, times the cores that all processes
ask for over the cores there are.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "load.csv"
COLUMNS = ("waiting", "size", "busy neighbors", "wall s", "CPU s", "machine", "date", "command")
COMMAND = "python benchmarks/load.py"
WAYS: dict[str, dict[str, str]] = {
    "PyTorch's default": {"GOMP_SPINCOUNT": "300000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "impasto": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
"""Environments. 300000 spins are what libgomp does where nothing is set."""


def main() -> None:
    """Append a row for each command, and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--neighbors", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--machine", required=True, help="what the table calls this machine")
    parser.add_argument("--spins", type=int, nargs="+", default=[], help="more ways to wait")
    options = parser.parse_args()
    ways = WAYS | {f"{count} spins": {"GOMP_SPINCOUNT": str(count)} for count in options.spins}
    new = not TABLE.exists()
    with TABLE.open("a", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            table.writeheader()
        for size in options.sizes:
            for neighbors in options.neighbors:
                for _ in range(options.rounds):
                    for name, environment in ways.items():
                        with keep_busy(neighbors):
                            wall, cpu = paint(size, options.iterations, environment)
                        about = (options.machine, date.today(), COMMAND)
                        cells = (name, size, neighbors, wall, cpu, *about)
                        table.writerow(dict(zip(COLUMNS, cells, strict=True)))
                        file.flush()
                        print(*cells, sep="  ")


@contextmanager
def keep_busy(count: int) -> Iterator[None]:
    """Run endless loops beside the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def paint(size: int, iterations: int, environment: dict[str, str]) -> tuple[float, float]:
    """Paint the example, and return the wall and CPU seconds of the command."""
    free = {
        name: value
        for name, value in os.environ.items()
        if name not in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS"}
    }
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [
            *(sys.executable, "-m", "impasto", ROOT / "examples" / "photo.jpg"),
            *("--style", ROOT / "examples" / "painting.jpg", "-o", Path(folder) / "out.png"),
            *("--size", str(size), "--iterations", str(iterations), "--quiet"),
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run(command, env=free | environment, check=True, stderr=subprocess.DEVNULL)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(wall, 2), round(cpu, 2)


if __name__ == "__main__":
    main()
