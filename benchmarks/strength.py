"""Measure how strongly the style shows at each strength: ``benchmarks/strength.csv``.

Run: ``python benchmarks/strength.py``. It paints two pairs of the evaluation set at 192 px with 36
iterations of ``sketch``, which takes a few minutes. Then ``make report`` updates docs/regions.md.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

from peers import find_pair

import impasto
from impasto.encoders.vgg import VggEncoder
from impasto.evaluate.compare import compare, load_reference_encoder
from impasto.image.files.decode import read_picture

TABLE = Path(__file__).with_name("strength.csv")
PAIRS = (("swiss_house", "vangogh_starry_night"), ("kodim04_portrait", "munch_scream"))
STRENGTHS = (0, 0.1, 0.25, 0.5, 0.75, 1)
METRICS = ("style_w2", "style_gram", "content_ssim")


def main() -> None:
    """Paint, measure, and replace the table."""
    encoder, rows = load_reference_encoder(), []
    for names in PAIRS:
        photo, painting = (read_picture(path) for path in find_pair(*names))
        results = [measure_strength(photo, painting, each, encoder) for each in STRENGTHS]
        for metric in METRICS:
            cells = [f"{each[metric]:.3f}" for each in results]
            rows.append([" / ".join(names), metric, *cells, *find_source()])
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pair", "figure", *STRENGTHS, "machine", "date", "command"])
        writer.writerows(rows)


def measure_strength(
    photo: impasto.Picture, painting: impasto.Picture, strength: float, encoder: VggEncoder
) -> dict[str, float]:
    """Measure a result at a strength, with 8 bits as a file would have."""
    result = impasto.stylize(
        photo, painting, recipe="sketch", size=192, iterations=36, strength=strength
    )
    return compare(photo, painting, read_picture(result.image), encoder)


def find_source() -> tuple[str, str, str]:
    """Return the processor, today's date and the command of this script."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    date = datetime.now(UTC).date().isoformat()
    return names[0] if names else "unknown", date, "benchmarks/strength.py"


if __name__ == "__main__":
    main()
