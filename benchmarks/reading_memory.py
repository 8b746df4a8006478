"""Measure peak memory of reading large pictures, and of whole runs within a limit.

Each is measured in a process of its own.

Reading: ``python benchmarks/reading_memory.py --run NAME --csv benchmarks/reading-memory.csv``.
Python, NumPy and Pillow take about 60 MiB of each figure.

Runs: ``python benchmarks/reading_memory.py --limits --csv benchmarks/memory-limits.csv`` repaints
photos in the style of paintings at 128 px with ``standard``, two iterations.

``--source`` measures another checkout's ``src``.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = {
    "photo 48 MP": (8000, 6000),
    "photo 100 MP": (11_500, 8690),
    "painting 72 MP": (9800, 7350),
}
KINDS = ("jpg", "tif")
READ = (
    "import resource, sys; from pathlib import Path\n"
    "from impasto.image.files.decode import read_picture\n"
    "picture = read_picture(Path(sys.argv[1]))\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
)
COLUMNS = ("run", "picture", "format", "peak MiB")
LIMITS = ("1", "1.5", "2")
"""Of memory in GiB."""
PAIRS = (
    ("photo 48 MP", "painting 72 MP"),
    ("photo 100 MP", "painting 72 MP"),
    ("photo 100 MP", "painting 100 MP"),
)
OPTIONS = ("--size", "128", "--quality", "standard", "--set", "schedule.total=2", "--json")
LIMIT_COLUMNS = ("photo", "painting", "format", "limit GiB", "exit code", "plan GiB", "peak MiB")
MEASURE = (
    "import resource, subprocess, sys\n"
    "code = subprocess.run([sys.executable, '-m', 'impasto', *sys.argv[1:]]).returncode\n"
    "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)\n"
)


def write_picture(path: Path, size: tuple[int, int]) -> None:
    """Write a smooth picture with some noise."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    options = {"compression": "tiff_lzw"} if path.suffix == ".tif" else {"quality": 90}
    Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR).save(path, **options)


def measure_runs(
    folder: Path, environment: dict[str, str], kinds: tuple[str, ...]
) -> list[tuple[str, ...]]:
    """Return a row for each pair of pictures, format and limit."""
    rows: list[tuple[str, ...]] = []
    sizes = PICTURES | {"painting 100 MP": (11_600, 8620)}
    for photo, painting in PAIRS:
        for kind in kinds:
            files = [folder / f"{name.replace(' ', '-')}.{kind}" for name in (photo, painting)]
            for file, name in zip(files, (photo, painting), strict=True):
                if not file.exists():
                    write_picture(file, sizes[name])
            for limit in LIMITS:
                output = ["--max-memory", limit, "--force", "-o", str(folder / "result.png")]
                answer = subprocess.run(
                    [
                        *(sys.executable, "-c", MEASURE, str(files[0]), "--style", str(files[1])),
                        *(*OPTIONS, *output),
                    ],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                code, peak = answer.stdout.splitlines()[-1].split()
                plan = re.search(r"([\d.]+) GiB of memory", answer.stderr)
                needed = "" if plan is None else plan[1]
                rows.append((photo, painting, kind, limit, code, needed, peak))
                print(*rows[-1], flush=True)
                if code != "0":
                    print(answer.stderr.strip(), flush=True)
    return rows


def main() -> None:
    """Print and store a row for each picture and format."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", default="now", help="name of the run in the table")
    parser.add_argument("--source", help="folder with the package (default: as installed)")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--limits", action="store_true", help="measure whole runs")
    parser.add_argument("--formats", nargs="+", default=list(KINDS))
    options = parser.parse_args()
    environment = dict(os.environ)
    if options.source:
        environment["PYTHONPATH"] = options.source
    rows: list[tuple[object, ...]] = []
    columns = LIMIT_COLUMNS if options.limits else COLUMNS
    with tempfile.TemporaryDirectory() as folder:
        if options.limits:
            rows += measure_runs(Path(folder), environment, tuple(options.formats))
        for name, size in ({} if options.limits else PICTURES).items():
            for kind in options.formats:
                path = Path(folder) / f"picture.{kind}"
                write_picture(path, size)
                answer = subprocess.run(
                    [sys.executable, "-c", READ, str(path)],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                rows.append((options.run, name, kind, int(answer.stdout)))
                print(*rows[-1], flush=True)
    if options.csv is not None:
        is_new = not options.csv.exists()
        with options.csv.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([columns, *rows] if is_new else rows)


if __name__ == "__main__":
    main()
