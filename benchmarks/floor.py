"""Compare one evaluation of an objective with the floor that matrix products set.

Run: ``OMP_NUM_THREADS=1 python benchmarks/floor.py [--size 512] [--profile RECIPE]``. In one
process it measures the rate of a large matrix product by dtype, counts the products that the layers
of each objective need as direct convolutions, forward and back to the input, computes the time they
would take at that rate, and measures the time that ``evaluate`` (losses and gradient) takes.

The floor holds convolutions alone. Those that impasto does by Winograd's algorithm take a quarter
of the multiplications, so a ratio below 1 is possible. The lower floor counts them so, and nothing
for the algorithm's transforms.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from impasto.encoders.layers import select_layers
from impasto.encoders.winograd import MINIMUM_CHANNELS
from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware import Hardware, has_native_bfloat16
from impasto.engine.sizes import Scale
from impasto.image.files.decode import read_picture
from impasto.objective.evaluation import list_taps
from impasto.optimize.budget.probe import make_objective
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.recipe.recipe import Recipe, load_recipe

ROOT = Path(__file__).parents[1]
RECIPES = ("standard", "gatys-2015", "tf-vgg19")
PRODUCT_SIDE = 2048
"""Side of the square matrices: 50 MB in float32, far beyond the caches, as features are."""
ROWS = 12
"""Rows of the profile."""


def main() -> None:
    """Print a Markdown table and, on request, where the time of one recipe goes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", metavar="RECIPE", action="append", default=[])
    options = parser.parse_args()
    dtypes = {"float32": torch.float32}
    if has_native_bfloat16(torch.device("cpu")):
        dtypes["bfloat16"] = torch.bfloat16
    rates = {name: measure_product_rate(dtype) for name, dtype in dtypes.items()}
    for name, rate in rates.items():
        print(f"{torch.get_num_threads()} thread(s), {name} product: {rate / 1e9:.0f} GFLOP/s")
    columns = ["recipe", "dtype", "size", "GFLOP", "floor s", "lower floor s", "best s", "median s"]
    columns += ["best / floor", "best / lower floor"]
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for name in options.recipes:
        for precision, rate in rates.items():
            print(render_row(name, precision, rate, options.size, options.repeats), flush=True)
    for name in options.profile:
        print(f"\n{profile_evaluation(name, options.size)}")


def measure_product_rate(dtype: torch.dtype, repeats: int = 8) -> float:
    """Measure FLOP a second of a product of square matrices, the best of several."""
    a, b = (torch.rand(PRODUCT_SIDE, PRODUCT_SIDE).to(dtype) for _ in range(2))
    return 2 * PRODUCT_SIDE**3 / min(time_calls(lambda: a @ b, repeats))


def time_calls(work: Callable[[], Any], repeats: int) -> list[float]:
    """Time repeated calls, in seconds, after a first one that fills caches."""
    work()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds


def count_convolution_flop(recipe: Recipe, width: int, height: int) -> tuple[float, float]:
    """Count FLOP of the recipe's layers, forward and to the gradient of the input.

    A multiply-add counts as two.

    Returns:
        As direct convolutions, and with a quarter where Winograd's algorithm is used in float32.
    """
    direct = fewer = 0.0
    for layer in select_layers("vgg19", list_taps(recipe)):
        cell = layer.cell
        products = 9 * layer.inputs * layer.outputs * (width // cell) * (height // cell)
        direct += 2 * 2 * products
        fewer += 2 * 2 * products / (4 if layer.inputs >= MINIMUM_CHANNELS else 1)
    return direct, fewer if recipe.precision == "float32" else direct


def prepare_evaluation(recipe: Recipe, size: int) -> tuple[Callable[[], Any], Scale]:
    """Prepare an evaluation of the recipe's objective at one scale, on the shipped example."""
    photo = read_picture(ROOT / "examples" / "photo.jpg")
    painting = read_picture(ROOT / "examples" / "painting.jpg")
    sized = recipe.with_changes({"size": size})
    engine = OptimizerEngine(sized, Hardware.resolve("cpu"))
    scale = Scale(*engine.choose_size(photo), 1)
    objective, image = make_objective(engine.extractor, Inputs(photo, (painting,)), scale)
    return lambda: objective.evaluate(image), scale


def render_row(name: str, precision: str, rate: float, size: int, repeats: int) -> str:
    """Render one line of the table."""
    recipe = load_recipe(name).with_changes({"precision": precision})
    evaluate, scale = prepare_evaluation(recipe, size)
    direct, fewer = count_convolution_flop(recipe, scale.width, scale.height)
    seconds = time_calls(evaluate, repeats)
    best = min(seconds)
    cells = [name, precision, f"{scale.width} x {scale.height}", f"{direct / 1e9:.0f}"]
    figures = [direct / rate, fewer / rate, best, statistics.median(seconds)]
    figures += [best / (direct / rate), best / (fewer / rate)]
    return f"| {' | '.join(cells + [f'{figure:.2f}' for figure in figures])} |"


def profile_evaluation(name: str, size: int) -> str:
    """Render a table of the operators that take most time in one evaluation."""
    evaluate, _ = prepare_evaluation(load_recipe(name), size)
    evaluate()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        evaluate()
    events = sorted(profile.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    lines = [f"`{name}`, {total / 1e6:.2f} s under the profiler:", ""]
    lines += ["| operator | calls | own time, ms | share |", "| --- | --- | --- | --- |"]
    for event in events[:ROWS]:
        own = event.self_cpu_time_total
        lines.append(f"| {event.key} | {event.count} | {own / 1e3:.0f} | {own / total:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
