"""List the canvases that a recipe can choose. A new canvas is one class and one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from impasto.canvas.pixel_canvas import PixelCanvas
from impasto.canvas.pyramid import PyramidCanvas
from impasto.canvas.view import Canvas
from impasto.engine.machine.storage import Storage
from impasto.engine.sizes import Scale
from impasto.recipe.tables import CanvasChoice

CanvasFactory = Callable[[CanvasChoice, Scale, Storage], Canvas]
"""Makes the canvas of a pass, of the size of its scale. The storage holds its parameters."""


@dataclass(frozen=True)
class CanvasKind:
    """A kind of canvas.

    Attributes:
        make: makes a canvas.
        images: the memory that a solver needs in addition to that for pixels, in pictures of the
            result's size.
        uses_storage: whether the state of a run can be in any storage, and not only in the memory
            of the device.
    """

    make: CanvasFactory
    images: int
    uses_storage: bool


def _make_pixels(_: CanvasChoice, scale: Scale, storage: Storage) -> Canvas:
    return PixelCanvas(scale.width, scale.height, storage)


def _make_pyramid(choice: CanvasChoice, _: Scale, __: Storage) -> Canvas:
    return PyramidCanvas(choice.levels)


CANVASES = {
    "pixels": CanvasKind(_make_pixels, images=0, uses_storage=True),
    # A pyramid has a third more numbers than its picture.
    "laplacian": CanvasKind(_make_pyramid, images=4, uses_storage=False),
}
"""Canvases by the recipe's ``canvas.kind``."""
