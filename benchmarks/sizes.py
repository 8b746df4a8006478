"""Measure time of an iteration and peak memory against size, for impasto and pastiche.

Run: ``OMP_NUM_THREADS=1 python benchmarks/sizes.py [--pastiche PATH] [--large 1448 2048 ...]``.
Each tool works at one scale, the size given, for a few iterations in a process of its own.

- Time is the median of whole iterations inside the run, without loading: for impasto all steps but
  the first, in a run that is left before the last, which also measures the saved picture; for
  pastiche what its log says of all steps but the first.
- Peak memory is the process's largest resident set (wait4), or with ``--device cuda`` the largest
  allocated there. The plan's figure stands beside it.
- The floor is the time of the direct convolutions of an iteration at the rate of a large matrix
  product, measured in the same process.

A few iterations do not fill L-BFGS's history. ``--iterations 12`` fills impasto's; pastiche's takes
100, see ``peers.py``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from floor import count_convolution_flop, measure_product_rate
from peers import DATA, ROOT, find_pair, measure_command

from impasto.api.stylizer import Stylizer
from impasto.engine.machine.allocation import keep_freed_memory
from impasto.engine.machine.hardware import measure_peak_memory_mb
from impasto.image.files.decode import read_picture
from impasto.recipe.recipe import load_recipe

BOTH = (512, 724, 1024)


def find_pictures() -> tuple[Path, Path]:
    """Find photo and painting: of the evaluation set if it exists, else the shipped example."""
    if DATA.is_dir():
        return find_pair("canyon", "munch_scream")
    return ROOT / "examples" / "photo.jpg", ROOT / "examples" / "painting.jpg"


def main() -> None:
    """Print a Markdown table, a row for each run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pastiche", default=str(Path(sys.executable).with_name("pastiche")))
    parser.add_argument("--sizes", type=int, nargs="*", default=list(BOTH), help="of both tools")
    parser.add_argument("--large", type=int, nargs="*", default=[], help="of impasto alone")
    parser.add_argument("--iterations", type=int, default=4, help="of impasto, at least 2")
    parser.add_argument("--steps", type=int, default=4, help="of pastiche, at least 2")
    parser.add_argument("--max-memory", type=float, help="GB, the limit of impasto's --max-memory")
    parser.add_argument("--device", default="cpu", help="of impasto")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options.child, options.iterations, options.max_memory, options.device)
        return
    columns = ["tool", "size", "megapixels", "iterations", "s an iteration", "us a pixel"]
    columns += ["over the floor", "peak MB", "planned MB"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for size in options.sizes:
        if Path(options.pastiche).exists():
            print(
                render_row("pastiche", **run_pastiche(options.pastiche, size, options.steps)),
                flush=True,
            )
    for size in [*options.sizes, *options.large]:
        print(render_row("impasto", **run_impasto(size, options)), flush=True)


def run_child(size: int, iterations: int, gigabytes: float | None, device: str) -> None:
    """Run impasto at one scale in the child; print the figures of its steps as JSON."""
    recipe = load_recipe("standard").with_changes(
        {
            "size": size,
            "schedule.coarsest": None,
            "schedule.at": None,
            "schedule.fewest": 1,
            "schedule.iterations": iterations + 1,
        }
    )
    limit = None if gigabytes is None else round(gigabytes * 2**30)
    photo, painting = (read_picture(path) for path in find_pictures())
    engine = Stylizer(recipe, device=device, max_memory=limit)
    plan = engine.plan(photo, painting)
    if plan.is_roomy:
        keep_freed_memory()  # as the command does
    steps = list(itertools.islice(engine.run(photo, painting, plan=plan), iterations))
    ends = [step.elapsed_s for step in steps]
    seconds = [after - before for before, after in itertools.pairwise(ends)]
    shape = {"width": plan.width, "height": plan.height, "tile": steps[-1].tile}
    figures = {"planned": plan.bytes_needed / 2**20}
    if engine.device.type == "cpu":
        rate = measure_product_rate(torch.float32)
        figures["floor"] = count_convolution_flop(recipe, plan.width, plan.height)[0] / rate
    else:
        figures["peak"] = measure_peak_memory_mb(engine.device)
    print(json.dumps({**shape, **figures, "iterations": iterations, "seconds": seconds}))


def run_impasto(size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure impasto at a size."""
    command = [sys.executable, __file__, "--child", str(size)]
    command += ["--iterations", str(options.iterations), "--device", options.device]
    if options.max_memory is not None:
        command += ["--max-memory", str(options.max_memory)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        figures = measure_command(command, log)
        return {"peak": figures["peak_rss_mb"], **json.loads(log.read_text().splitlines()[-1])}


def run_pastiche(binary: str, size: int, steps: int) -> dict[str, Any]:
    """Measure pastiche at a size, with its defaults."""
    photo, painting = find_pictures()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [binary, "--content", str(photo), "--styles", str(painting), "--seed", "0"]
        command += ["--size", str(size), "--num-steps", str(steps), "--info-step", "1"]
        command += ["--output", str(Path(folder) / "out.png")]
        figures = measure_command(command, log)
        text = log.read_text()
    width, height = re.findall(r"^size: (\d+)x(\d+)$", text, re.MULTILINE)[0]
    ends = [float(end) for end in re.findall(r"^\d+ +([\d.]+) +\S+$", text, re.MULTILINE)]
    seconds = [after - before for before, after in itertools.pairwise(ends[1:])]
    shape = {"width": int(width), "height": int(height), "tile": 0}
    return {**shape, "iterations": steps, "seconds": seconds, "peak": figures["peak_rss_mb"]}


def render_row(
    tool: str,
    *,
    width: int,
    height: int,
    tile: int,
    iterations: int,
    seconds: list[float],
    peak: float,
    planned: float | None = None,
    floor: float | None = None,
) -> str:
    """Render one line of the table."""
    pixels, pace = width * height, statistics.median(seconds)
    size = f"{width} x {height}" + (f", tiles of {tile}" if tile else "")
    cells = [tool, size, f"{pixels / 1e6:.2f}", str(iterations), f"{pace:.2f}"]
    cells += [f"{pace / pixels * 1e6:.1f}", "" if floor is None else f"{pace / floor:.2f}"]
    cells += [f"{peak:.0f}", "" if planned is None else f"{planned:.0f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
