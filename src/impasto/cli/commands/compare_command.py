"""``impasto compare PHOTO PAINTING RESULT...``: the metrics, as a table or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from impasto.cli.options.arguments import Parser, say


def run(argv: list[str]) -> int:
    """Measure every result against the same photo and painting."""
    parser = Parser(
        prog="impasto compare",
        description="Measure results against their photo and painting. Lower is better, but for "
        "content_ssim. Measured at the result's own size with VGG-19.",
    )
    parser.add_argument("photo", metavar="PHOTO", help="with --video, the clip")
    parser.add_argument("painting", metavar="PAINTING")
    parser.add_argument("results", metavar="RESULT", nargs="+")
    parser.add_argument("--json", action="store_true", help="one JSON object, results by name")
    parser.add_argument(
        "--video", action="store_true", help="PHOTO is a clip and the RESULTs are films of it"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="with --video, stability against style as a .png or .svg"
    )
    options = parser.parse_args(argv)
    if options.video:
        from impasto.cli.jobs.compare_video import run_video

        return run_video(options)
    if options.plot:
        parser.error("--plot goes with --video")
    from impasto.image.files.decode import read_picture

    photo, painting = (read_picture(Path(p), notice=say) for p in (options.photo, options.painting))
    results = {path: read_picture(Path(path), notice=say) for path in options.results}
    from impasto.evaluate.compare import compare, load_reference_encoder

    encoder = load_reference_encoder()
    found = {path: compare(photo, painting, each, encoder) for path, each in results.items()}
    if options.json:
        print(json.dumps(found))
        return 0
    print_table(found)
    return 0


def print_table(found: Mapping[str, Mapping[str, float]]) -> None:
    """A row a result, a column a metric; what the first has none of is left out."""
    names = list(next(iter(found.values())))
    width = max(len("result"), *(len(path) for path in found))
    print("  ".join(["result".ljust(width), *names]))
    for path, values in found.items():
        print("  ".join([path.ljust(width), *(f"{values[n]:{len(n)}.4f}" for n in names)]))
