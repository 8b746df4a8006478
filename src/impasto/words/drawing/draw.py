"""Draw the painting of a description."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from impasto.image.color.gamut import Excess
from impasto.image.picture import Picture
from impasto.words.description import StyleDescription
from impasto.words.drawing.easel import Easel
from impasto.words.drawing.surface import Floats
from impasto.words.drawing.techniques import crafts, lines, paints, prints, washes

Technique = Callable[[Easel], Floats]
TECHNIQUES: dict[str, tuple[Technique, float, int]] = {
    "hatching": (lines.draw_hatching, 1.75, 2),
    "engraving": (lines.draw_engraving, 2.0, 2),
    "stipple": (lines.draw_stipple, 1.75, 2),
    "charcoal": (lines.draw_charcoal, 1.25, 2),
    "colored-pencil": (lines.draw_colored_pencil, 1.5, 2),
    "blueprint": (lines.draw_blueprint, 1.25, 1),
    "woodcut": (prints.draw_woodcut, 1.5, 1),
    "linocut": (prints.draw_linocut, 1.5, 1),
    "halftone": (prints.draw_halftone, 1.5, 1),
    "screen-print": (prints.draw_screen_print, 1.25, 1),
    "ink-wash": (washes.draw_ink_wash, 1.25, 2),
    "watercolor": (washes.draw_watercolor, 1.125, 2),
    "marbling": (washes.draw_marbling, 1.25, 1),
    "batik": (washes.draw_batik, 1.25, 1),
    "mosaic": (crafts.draw_mosaic, 1.5, 2),
    "stained-glass": (crafts.draw_stained_glass, 1.5, 1),
    "weave": (crafts.draw_weave, 1.5, 2),
    "embroidery": (crafts.draw_embroidery, 1.375, 2),
    "pixel": (crafts.draw_pixel, 1.0, 1),
    "paper-cut": (crafts.draw_paper_cut, 1.5, 1),
    "cubism": (crafts.draw_cubism, 1.375, 2),
    "brush-strokes": (paints.draw_brush_strokes, 1.375, 2),
    "oil": (paints.draw_oil, 1.375, 2),
    "palette-knife": (paints.draw_palette_knife, 1.375, 2),
    "pointillism": (paints.draw_pointillism, 1.5, 2),
    "splatter": (paints.draw_splatter, 1.375, 2),
    "pastel": (paints.draw_pastel, 1.25, 2),
    "spray": (paints.draw_spray, 1.0, 1),
}
"""Each technique, how much larger it is drawn than shown, and how coarsely it is composed."""
DEFAULT_SIZE = 512
SMALLEST, LARGEST = 64, 2048


def draw_painting(description: StyleDescription, size: int = DEFAULT_SIZE) -> Picture:
    """Draw a square painting. The same description and size give the same pixels.

    Args:
        description: what to draw.
        size: width and height in pixels, from :data:`SMALLEST` to :data:`LARGEST`.
    """
    technique, enlargement, fold = TECHNIQUES[description.technique]
    n = round(size * enlargement / 4) * 4
    lab = technique(Easel(description, n, fold))
    pixels = Excess().to_srgb(np.ascontiguousarray(lab, np.float32)).astype(np.float32)
    picture = Picture(pixels.clip(0, 1)).resize(size, size)
    return Picture(np.rint(picture.pixels * 255).astype(np.float32) / np.float32(255))
