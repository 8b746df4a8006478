"""Measure CPU seconds to an objective, starting from the photo or from the network's draft.

Run: ``python benchmarks/draft_start.py --size 512 --pairs 2``. The objective is that of the last
scale, for the picture clamped to what can be saved. The aims are multiples of what `standard` ends
with. It uses the 800 benchmark pairs and prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import fmean

from fast import list_pairs

from impasto.api.stylizer import Stylizer
from impasto.image.files.decode import read_picture
from impasto.recipe.recipe import Recipe, load_recipe

AIMS = (2.0, 1.5, 1.2, 1.0)
"""Multiples of the objective that ``standard`` ends with."""


def list_ways(size: int) -> dict[str, Recipe]:
    """List what is compared: one objective, started in different ways and at different scales."""
    standard = load_recipe("standard").with_changes({"size": size})
    last = {"schedule.coarsest": size}
    draft = {"start.base": "draft"}
    return {
        "photo, all scales (`standard`)": standard,
        "draft, all scales": standard.with_changes(draft),
        "photo, last scale": standard.with_changes(last),
        "draft, last scale": standard.with_changes({**draft, **last}),
    }


def trace_run(recipe: Recipe, photo: Path, painting: Path) -> list[tuple[float, float]]:
    """Run a recipe; return (CPU seconds, objective) for each iteration of the last scale."""
    engine = Stylizer(recipe, device="cpu")
    content, style = read_picture(photo), read_picture(painting)
    began = time.process_time()
    return [
        (time.process_time() - began, step.losses["total"])
        for step in engine.run(content, [style])
        if step.scale == step.scales - 1
    ]


def find_first(course: list[tuple[float, float]], aim: float) -> float | None:
    """Return the time at which an objective is reached. None: it is not reached."""
    return next((seconds for seconds, objective in course if objective <= aim), None)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=2)
    options = parser.parse_args()
    courses = {
        name: [trace_run(recipe, *pair) for pair in list_pairs(options.pairs)]
        for name, recipe in list_ways(options.size).items()
    }
    ends = [each[-1][1] for each in next(iter(courses.values()))]
    print("| begun with | " + " | ".join(f"to {aim:g} x" for aim in AIMS) + " | end, s | end |")
    print("|---" * (len(AIMS) + 3) + "|")
    for name, runs in courses.items():
        cells = []
        for aim in AIMS:
            at = [find_first(each, aim * end) for each, end in zip(runs, ends, strict=True)]
            reached = [seconds for seconds in at if seconds is not None]
            cells.append(f"{fmean(reached):.0f} s" if len(reached) == len(at) else "never")
        ratio = fmean(each[-1][1] / end for each, end in zip(runs, ends, strict=True))
        cells += [f"{fmean(each[-1][0] for each in runs):.0f}", f"{ratio:.2f} x"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
