"""Measure peak memory of reading large pictures, each in a process of its own.

Run: ``python benchmarks/reading_memory.py --run NAME --csv benchmarks/reading-memory.csv``. Python,
NumPy and Pillow take about 60 MiB of each figure. ``--source`` measures another checkout's ``src``.
"""

from __future__ import annotations

import argparse
import csv
import os
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


def write_picture(path: Path, size: tuple[int, int]) -> None:
    """Write a smooth picture with some noise."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    options = {"compression": "tiff_lzw"} if path.suffix == ".tif" else {"quality": 90}
    Image.fromarray(noise).resize(size, Image.Resampling.BILINEAR).save(path, **options)


def main() -> None:
    """Print and store a row for each picture and format."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", default="now", help="name of the run in the table")
    parser.add_argument("--source", help="folder with the package (default: as installed)")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    environment = dict(os.environ)
    if options.source:
        environment["PYTHONPATH"] = options.source
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, size in PICTURES.items():
            for kind in KINDS:
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
            writer.writerows([COLUMNS, *rows] if is_new else rows)


if __name__ == "__main__":
    main()
