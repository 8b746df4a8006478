"""Draw every technique of `impasto words` on one sheet: `docs/gallery/words.jpg`.

Prints the seconds of each drawing. ``--size`` is that of the drawings, ``--cell`` of the cells.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from impasto.words.description import parse_description
from impasto.words.drawing.draw import TECHNIQUES, draw_painting
from impasto.words.vocabulary import load_vocabulary

COLUMNS = 7
GAP = 4
LABEL = 15


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    sheet_file = Path(__file__).parents[1] / "docs" / "gallery" / "words.jpg"
    parser.add_argument("-o", "--output", type=Path, default=sheet_file)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--cell", type=int, default=166)
    parser.add_argument("--quality", type=int, default=62)
    options = parser.parse_args()
    names = [name for name in load_vocabulary().techniques if name in TECHNIQUES]
    rows = -(-len(names) // COLUMNS)
    wide, tall = options.cell + GAP, options.cell + LABEL + GAP
    sheet = Image.new("RGB", (COLUMNS * wide - GAP, rows * tall - GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, name in enumerate(names):
        description = parse_description(name)
        began = time.process_time()
        painting = draw_painting(description, options.size)
        print(f"{name:16} {time.process_time() - began:.2f} s")
        left, top = place % COLUMNS * wide, place // COLUMNS * tall
        sheet.paste(painting.resize(options.cell, options.cell).to_pil(), (left, top))
        draw.text((left + 2, top + options.cell + 1), name, "black", font)
    sheet.save(options.output, quality=options.quality)


if __name__ == "__main__":
    main()
