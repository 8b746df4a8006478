"""Measure the time until impasto is as low in pastiche's own objective as pastiche after 500 steps.

Run: ``OMP_NUM_THREADS=1 python benchmarks/reach.py --python PYTHON``. PYTHON is that of an
environment with pastiche 1.6.0; its pictures and times are those that ``peers.py`` keeps in
``.cache/pastiche``.

``pastiche_loss.py`` computes the objective of the saved files by pastiche's own code. The objective
tells how a painting was resized, so impasto is given photo and painting at the sizes and with the
filter (Pillow's bilinear) that pastiche uses. impasto runs two recipes in one process:
``pastiche-start.toml``, and from its picture ``pastiche-objective.toml`` until the 8-bit picture is
not above pastiche's. CPU seconds are those of wait4, loading and saving included.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from peers import CACHE, PAIRS, find_pair, measure_command
from PIL import Image

from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware import Hardware
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import picture_to_tensor
from impasto.engine.sizes import Scale
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.picture import Picture, to_levels
from impasto.optimize.budget.probe import make_objective
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.recipe.recipe import load_recipe

HERE = Path(__file__).parent
RESULTS = CACHE / "reach"
SIZE = 512


def main() -> None:
    """Print a Markdown table, a row for each pair."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--pairs", type=int, nargs="*", default=list(range(len(PAIRS))))
    parser.add_argument("--most", type=int, default=400, help="iterations before giving up")
    parser.add_argument("--also", nargs="*", default=[], help="--quality levels to measure as well")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if options.child:
        photo, painting, target, most, out = options.child
        descend(Path(photo), Path(painting), float(target), int(most), Path(out))
        return
    columns = ["pair", "pastiche's value", "CPU s", "our value", "iterations", "CPU s", "ratio"]
    columns += options.also
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for index in options.pairs:
        print(run_pair(*PAIRS[index], options), flush=True)


def run_pair(photo: str, painting: str, options: argparse.Namespace) -> str:
    """Run a pair and render its line of the table."""
    name = f"{photo}-{painting}"
    theirs = CACHE / "pastiche" / f"{name}.png"
    recorded = json.loads(theirs.with_suffix(".json").read_text())
    (target,) = compute_values(options.python, photo, painting, [theirs])
    inputs = prepare_inputs(photo, painting)
    others = [run_quality(quality, inputs, name) for quality in options.also]
    out, log = RESULTS / f"{name}.png", RESULTS / f"{name}.log"
    command = [sys.executable, __file__, "--child", *map(str, inputs)]
    figures = measure_command([*command, str(target), str(options.most), str(out)], log)
    course = json.loads(log.read_text().splitlines()[-1])
    ours, *rest = compute_values(options.python, photo, painting, [out, *others])
    (RESULTS / f"{name}.json").write_text(
        json.dumps({**figures, **course, "value": ours}, indent=1)
    )
    ratio = recorded["cpu_s"] / figures["cpu_s"]
    reached = f"{ratio:.1f}" if ours <= target else f"not reached ({ratio:.1f})"
    cells = [f"{photo} / {painting}", f"{target:.0f}", f"{recorded['cpu_s']:.0f}", f"{ours:.0f}"]
    cells += [str(course["iterations"]), f"{figures['cpu_s']:.0f}", reached]
    return f"| {' | '.join(cells + [f'{value:.0f}' for value in rest])} |"


def compute_values(python: str, photo: str, painting: str, pictures: list[Path]) -> list[float]:
    """Compute pastiche's objective of saved pictures."""
    command = [python, str(HERE / "pastiche_loss.py"), *map(str, find_pair(photo, painting))]
    command += [str(SIZE), *map(str, pictures)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    values: list[float] = json.loads(result.stdout)
    return values


def prepare_inputs(photo: str, painting: str) -> tuple[Path, Path]:
    """Write photo and painting at pastiche's sizes, resized as it does."""
    sources = find_pair(photo, painting)
    targets = RESULTS / f"{photo}-photo.png", RESULTS / f"{painting}-{photo}.png"
    with Image.open(sources[0]) as image:
        ratio = SIZE / max(image.size)
        size = round(image.width * ratio), round(image.height * ratio)
        resize_like_pastiche(image, size).save(targets[0], icc_profile=None)
    with Image.open(sources[1]) as image:
        high = round(math.sqrt(math.prod(size) * image.height / image.width))
        wide = round(image.width / image.height * high)
        resize_like_pastiche(image, (wide, high)).save(targets[1], icc_profile=None)
    return targets


def resize_like_pastiche(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize the stored levels: pastiche knows no color profiles, so none may be kept."""
    return image.convert("RGB").resize(size, Image.Resampling.BILINEAR)


def run_quality(quality: str, inputs: tuple[Path, Path], name: str) -> Path:
    """Paint with a shipped recipe, from the same files."""
    out = RESULTS / f"{name}-{quality}.png"
    if not out.exists():
        command = [sys.executable, "-m", "impasto", str(inputs[0]), "--style", str(inputs[1])]
        command += ["--size", str(SIZE), "--quality", quality, "-o", str(out), "--quiet"]
        subprocess.run(command, check=True)
    return out


def descend(photo: Path, painting: Path, target: float, most: int, out: Path) -> None:
    """Run in the child: the start, then iterations until the 8-bit picture is low enough."""
    content, style = read_picture(photo), read_picture(painting)
    # The painting stays as it is, to the pixel: resampling it once more changes the objective.
    scale = math.sqrt(style.width * style.height / (content.width * content.height))
    changes = {"size": SIZE, "style.scale": scale}
    first = load_recipe(HERE / "pastiche-start.toml").with_changes(changes)
    inputs = Inputs.read(first, content, style)
    *_, last = OptimizerEngine(first, Hardware.resolve("cpu")).run(inputs)
    begin = out.with_suffix(".start.png")
    write_picture(last.picture(), begin, overwrite=True)
    recipe = load_recipe(HERE / "pastiche-objective.toml").with_changes(
        {
            **changes,
            "start.base": "image",
            "start.image": str(begin),
            "schedule.iterations": most,
        }
    )
    engine = OptimizerEngine(recipe, Hardware.resolve("cpu"))
    finest = Scale(last.width, last.height, 1)
    objective, _ = make_objective(engine.extractor, inputs, finest)
    lowest = float("inf")
    for step in engine.run(inputs):
        print(step.iteration, f"{time.process_time():.1f} s", step.losses, flush=True)
        improved, lowest = step.losses["total"] < lowest, min(lowest, step.losses["total"])
        if improved and lowest <= target:
            picture = round_as_saved(step.picture())
            image = picture_to_tensor(
                picture, step.width, step.height, Storage(engine.hardware.device)
            )
            if objective.compute_losses(image)["total"] <= target:
                break
    write_picture(step.picture(), out, overwrite=True)
    print(json.dumps({"iterations": step.iteration, "losses": step.losses}))


def round_as_saved(picture: Picture) -> Picture:
    """Round a picture to the 8 bits of its file."""
    return Picture(to_levels(picture.pixels, 8).astype(np.float32) / np.float32(255))


if __name__ == "__main__":
    main()
