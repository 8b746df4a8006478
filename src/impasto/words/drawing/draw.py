"""Draw the painting of a description."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from impasto.image.color.gamut import Excess
from impasto.image.picture import Picture
from impasto.words.description import StyleDescription
from impasto.words.drawing.composition import VIEWS
from impasto.words.drawing.easel import Easel
from impasto.words.drawing.surface import Floats
from impasto.words.drawing.techniques import crafts, lines, paints, prints, washes


class Technique(NamedTuple):
    """How a technique is drawn.

    Attributes:
        draw: draws OKLab pixels [n, n, 3].
        enlargement: how much larger it is drawn than it is shown.
        fold: how much coarser its view is composed than it is drawn.
        view: what it shows with seed 0; other seeds go through the others, see :data:`VIEWS`.
    """

    draw: Callable[[Easel], Floats]
    enlargement: float
    fold: int
    view: str


TECHNIQUES = {
    "hatching": Technique(lines.draw_hatching, 1.5, 2, "hills"),
    "engraving": Technique(lines.draw_engraving, 1.75, 2, "currents"),
    "stipple": Technique(lines.draw_stipple, 1.5, 2, "flowers"),
    "charcoal": Technique(lines.draw_charcoal, 1.25, 2, "hills"),
    "colored-pencil": Technique(lines.draw_colored_pencil, 1.5, 2, "hills"),
    "blueprint": Technique(lines.draw_blueprint, 1.25, 1, "flowers"),
    "woodcut": Technique(prints.draw_woodcut, 1.25, 1, "waves"),
    "linocut": Technique(prints.draw_linocut, 1.25, 1, "hills"),
    "halftone": Technique(prints.draw_halftone, 1.25, 1, "waves"),
    "screen-print": Technique(prints.draw_screen_print, 1.25, 1, "flowers"),
    "ink-wash": Technique(washes.draw_ink_wash, 1.25, 2, "waves"),
    "watercolor": Technique(washes.draw_watercolor, 1.125, 2, "flowers"),
    "marbling": Technique(washes.draw_marbling, 1.0, 1, "currents"),
    "batik": Technique(washes.draw_batik, 1.125, 1, "waves"),
    "mosaic": Technique(crafts.draw_mosaic, 1.5, 2, "hills"),
    "stained-glass": Technique(crafts.draw_stained_glass, 1.5, 1, "hills"),
    "weave": Technique(crafts.draw_weave, 1.5, 2, "currents"),
    "embroidery": Technique(crafts.draw_embroidery, 1.375, 2, "flowers"),
    "pixel": Technique(crafts.draw_pixel, 1.0, 1, "hills"),
    "paper-cut": Technique(crafts.draw_paper_cut, 1.25, 1, "hills"),
    "cubism": Technique(crafts.draw_cubism, 1.25, 2, "flowers"),
    "brush-strokes": Technique(paints.draw_brush_strokes, 1.25, 2, "hills"),
    "oil": Technique(paints.draw_oil, 1.375, 2, "flowers"),
    "palette-knife": Technique(paints.draw_palette_knife, 1.375, 2, "flowers"),
    "pointillism": Technique(paints.draw_pointillism, 1.5, 2, "currents"),
    "splatter": Technique(paints.draw_splatter, 1.375, 2, "currents"),
    "pastel": Technique(paints.draw_pastel, 1.25, 2, "hills"),
    "spray": Technique(paints.draw_spray, 1.0, 1, "currents"),
}
DEFAULT_SIZE = 512
SMALLEST, LARGEST = 64, 2048


def draw_painting(description: StyleDescription, size: int = DEFAULT_SIZE) -> Picture:
    """Draw a square painting. The same description and size give the same pixels.

    Args:
        description: what to draw.
        size: width and height in pixels, from :data:`SMALLEST` to :data:`LARGEST`.
    """
    technique = TECHNIQUES[description.technique]
    n = round(size * technique.enlargement / 4) * 4
    view = (VIEWS.index(technique.view) + description.seed) % len(VIEWS)
    lab = technique.draw(Easel(description, n, technique.fold, VIEWS[view]))
    pixels = Excess().to_srgb(np.ascontiguousarray(lab, np.float32)).astype(np.float32)
    picture = Picture(pixels.clip(0, 1)).resize(size, size)
    return Picture(np.rint(picture.pixels * 255).astype(np.float32) / np.float32(255))
