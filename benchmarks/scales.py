"""Compare one photo painted at several sizes: does the large picture look like the small one?

Run: ``OMP_NUM_THREADS=1 python benchmarks/scales.py [--quality sketch] [--sizes 512 1024 2048]``.
Each way of working paints the photo at every size. The results are reduced to the first size
(Lanczos) and compared with the way's own result there: mean difference of color in OKLab, and one
minus the structural similarity of luma. The style distance to the painting (``style_w2``, see
docs/metrics.md) is measured after the reduction too, so it is of the picture seen as a whole.

The ways: coarse to fine, as impasto works; the same objective at one scale, for as many iterations
as cost the same or as ``--iterations`` says, with the painting growing with the result (what
pastiche and neural-style do by default) or at its pixels of the first size (a fixed style size);
and, with ``--pastiche PATH``, pastiche itself for ``--steps`` steps.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sizes import find_pictures

import impasto
from impasto import stylize
from impasto.api.stylizer import Stylizer
from impasto.engine.machine.hardware import resolve_device
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import picture_to_tensor
from impasto.engine.sizes import plan_scales
from impasto.evaluate.compare import compare, load_reference_encoder
from impasto.evaluate.metrics import content_ssim
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture
from impasto.recipe.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / ".cache" / "scales"


def main() -> None:
    """Print a row for each way and size; the pictures stay in ``.cache/scales``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--ways", nargs="+", help="which (default: all)")
    parser.add_argument("--iterations", type=int, help="at one scale")
    parser.add_argument("--pastiche", metavar="PATH")
    parser.add_argument("--steps", type=int, default=50, help="of pastiche")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe(options.quality)
    # Pictures of another recipe or version are not reused.
    made_by = hashlib.sha256((impasto.__version__ + recipe.to_json()).encode()).hexdigest()[:8]
    ways = list_ways(recipe, options.sizes[0], options.iterations)
    if options.pastiche:
        ways["pastiche"] = lambda size, out: run_pastiche(
            options.pastiche, size, options.steps, out
        )
    encoder = load_reference_encoder()
    photo, painting = (read_picture(path) for path in find_pictures())
    print("| way | size | OKLab difference | 1 - SSIM | style_w2 |")
    print("| --- | --- | --- | --- | --- |")
    for way, make in ways.items():
        if options.ways and way not in options.ways:
            continue
        first: Picture | None = None
        for size in options.sizes:
            words = [*way.replace(",", "").split(), options.quality, str(size), made_by]
            words += [str(options.iterations)] * (options.iterations is not None)
            out = RESULTS / f"{'-'.join(words)}.png"
            if not out.exists():
                make(size, out)
            picture = read_picture(out)
            first = first or picture
            small = picture.resize(first.width, first.height)
            distance = compare(photo, painting, small, encoder)["style_w2"]
            print(
                f"| {way} | {size} | {render_differences(first, small)} | {distance:.4f} |",
                flush=True,
            )


def list_ways(
    recipe: Recipe, first: int, iterations: int | None
) -> dict[str, Callable[[int, Path], None]]:
    """List the ways of impasto; each writes a picture."""

    def coarse_to_fine(size: int, out: Path) -> None:
        run_impasto(recipe.with_changes({"size": size}), out)

    def one_scale(size: int, out: Path) -> None:
        run_impasto(flatten_scales(recipe, size, iterations), out)

    def fixed_painting(size: int, out: Path) -> None:
        ratio = recipe.style.scale * first / size
        run_impasto(
            flatten_scales(recipe, size, iterations).with_changes({"style.scale": ratio}), out
        )

    return {
        "ours": coarse_to_fine,
        "one scale": one_scale,
        "one scale, painting fixed": fixed_painting,
    }


def flatten_scales(recipe: Recipe, size: int, iterations: int | None) -> Recipe:
    """Remove the coarser scales of a recipe.

    Args:
        recipe: with any scales.
        size: longer side in pixels.
        iterations: at the one scale. None: as many as cost the same.
    """
    recipe = recipe.with_changes({"size": size})
    width, height = Stylizer(recipe, device="cpu").choose_size(find_pictures()[0])
    scales = plan_scales(recipe.schedule, width, height)
    work = sum(scale.width * scale.height * scale.iterations for scale in scales)
    iterations = iterations or round(work / (width * height))
    return recipe.with_changes(
        {
            "schedule.coarsest": None,
            "schedule.at": None,
            "schedule.fewest": 1,
            "schedule.iterations": iterations,
        }
    )


def run_impasto(recipe: Recipe, out: Path) -> None:
    """Run a recipe in full and save its picture."""
    print(f"{out.stem}: {recipe.schedule.iterations} at the finest", file=sys.stderr, flush=True)
    stylize(*find_pictures(), recipe=recipe, device="cpu").save(out)


def run_pastiche(binary: str, size: int, steps: int, out: Path) -> None:
    """Run pastiche with its defaults except for the steps."""
    photo, painting = find_pictures()
    command = [binary, "--content", str(photo), "--styles", str(painting), "--seed", "0"]
    command += ["--size", str(size), "--num-steps", str(steps), "--output", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def render_differences(first: Picture, small: Picture) -> str:
    """Render two cells: mean OKLab distance, and one minus structural similarity."""
    a, b = (srgb_to_oklab(picture.pixels) for picture in (first, small))
    color = float(np.sqrt(np.square(a - b).sum(axis=-1)).mean())
    size, memory = (first.width, first.height), Storage(resolve_device("cpu"))
    ssim = content_ssim(*(picture_to_tensor(picture, *size, memory) for picture in (first, small)))
    return f"{color:.4f} | {1 - ssim:.4f}"


if __name__ == "__main__":
    main()
