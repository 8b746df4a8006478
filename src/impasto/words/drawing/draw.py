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
TECHNIQUES: dict[str, tuple[Technique, float]] = {
    "hatching": (lines.draw_hatching, 2.0),
    "engraving": (lines.draw_engraving, 2.0),
    "stipple": (lines.draw_stipple, 2.0),
    "charcoal": (lines.draw_charcoal, 1.25),
    "colored-pencil": (lines.draw_colored_pencil, 1.5),
    "blueprint": (lines.draw_blueprint, 1.5),
    "woodcut": (prints.draw_woodcut, 1.5),
    "linocut": (prints.draw_linocut, 1.5),
    "halftone": (prints.draw_halftone, 1.5),
    "screen-print": (prints.draw_screen_print, 1.5),
    "ink-wash": (washes.draw_ink_wash, 1.25),
    "watercolor": (washes.draw_watercolor, 1.25),
    "marbling": (washes.draw_marbling, 1.25),
    "batik": (washes.draw_batik, 1.25),
    "mosaic": (crafts.draw_mosaic, 1.5),
    "stained-glass": (crafts.draw_stained_glass, 1.5),
    "weave": (crafts.draw_weave, 1.5),
    "embroidery": (crafts.draw_embroidery, 1.5),
    "pixel": (crafts.draw_pixel, 1.0),
    "paper-cut": (crafts.draw_paper_cut, 1.5),
    "cubism": (crafts.draw_cubism, 1.5),
    "brush-strokes": (paints.draw_brush_strokes, 1.5),
    "oil": (paints.draw_oil, 1.5),
    "palette-knife": (paints.draw_palette_knife, 1.5),
    "pointillism": (paints.draw_pointillism, 1.5),
    "splatter": (paints.draw_splatter, 1.5),
    "pastel": (paints.draw_pastel, 1.25),
    "spray": (paints.draw_spray, 1.25),
}
"""Each technique, and how much larger it is drawn than it is shown."""
DEFAULT_SIZE = 512
SMALLEST, LARGEST = 64, 2048


def draw_painting(description: StyleDescription, size: int = DEFAULT_SIZE) -> Picture:
    """Draw a square painting. The same description and size give the same pixels.

    Args:
        description: what to draw.
        size: width and height in pixels, from :data:`SMALLEST` to :data:`LARGEST`.
    """
    technique, enlargement = TECHNIQUES[description.technique]
    n = round(size * enlargement)
    lab = technique(Easel(description, n))
    pixels = Excess().to_srgb(np.ascontiguousarray(lab, np.float32)).astype(np.float32)
    picture = Picture(pixels.clip(0, 1)).resize(size, size)
    return Picture(np.rint(picture.pixels * 255).astype(np.float32) / np.float32(255))
