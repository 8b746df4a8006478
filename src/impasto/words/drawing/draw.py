"""Draw the painting of a description."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from impasto.image.color.gamut import Excess
from impasto.image.picture import Picture
from impasto.words.description import StyleDescription
from impasto.words.drawing.easel import Easel
from impasto.words.drawing.surface import Floats
from impasto.words.drawing.techniques import paints

Technique = Callable[[Easel], Floats]
TECHNIQUES: dict[str, tuple[Technique, float]] = {
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
