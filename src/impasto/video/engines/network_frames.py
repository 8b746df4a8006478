"""Paint the frames of a film with a network, each in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from impasto.engine.factory import make_engine
from impasto.engine.inputs import Inputs
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.colors import apply_colors, prepare_colors
from impasto.engine.pixels.tensors import picture_to_tensor, tensor_to_picture
from impasto.engine.protocol import has_shots
from impasto.errors import InputError
from impasto.image.picture import Floats, Picture
from impasto.network.painter.grade import apply_grade, measure_grade, pad_to_cells
from impasto.network.painting_network import choose_network_colors
from impasto.video.engines.frame_context import FrameContext
from impasto.video.stabilize.frame_memory import FrameMemory, blend_with_memory

DOUBT = 1 / 3
"""Of 1, 1/2 and 1/3, the last one made the steadiest films, at the cost of 2 % of the style."""


class NetworkFrameEngine:
    """Paints frames in one pass; see :class:`impasto.video.stabilize.stabilizer.FrameEngine`."""

    def __init__(self, context: FrameContext) -> None:
        """Make the engine of pictures, which has shots (:class:`ShotEngine`).

        Freezing the statistics of a shot is hardly steadier, takes half as long again, and is up
        to three quarters further from the style where something new comes into view.

        Raises:
            InputError: the engine has no shots, though its entry says so.
            ImpastoError: as :func:`impasto.engine.factory.make_engine`.
        """
        self._recipe = context.recipe
        self._paintings = list(context.paintings)
        self._freeze_statistics = context.settings.freeze_statistics
        plain = context.recipe.with_changes({"colors": "style"})
        engine = make_engine(plain, context.hardware, context.cache)
        if not has_shots(engine):
            raise InputError(
                "cannot paint films: it has no begin_shot",
                what=f"the engine {plain.engine.kind}",
            )
        self._engine = engine

    def begin_shot(self, frame: Floats) -> None:
        """Measure the paintings, and the frame's statistics if they are to be frozen."""
        photo, styles = self._prepare(frame, self._paintings)
        inputs = Inputs.read(self._engine.recipe, photo, styles)
        size = photo.width, photo.height
        self._paint_tensor = self._engine.begin_shot(
            inputs, size, freeze_statistics=self._freeze_statistics
        )

    def paint(self, frame: Floats, memory: FrameMemory | None) -> Floats:  # noqa: ARG002
        """Paint a frame; the memory is used by :meth:`steady` only."""
        photo, _ = self._prepare(frame, ())
        return tensor_to_picture(self._paint_tensor(_to_tensor(photo)), photo).pixels

    def steady(self, frame: Floats, memory: FrameMemory, stability: float) -> Floats:
        """Blend a frame with the memory, and restore every octave's color and contrast.

        A mean of strokes that differ a little has less of both, from warp to warp.
        """
        mixed = _to_tensor(Picture(blend_with_memory(frame, memory, stability, DOUBT)))
        target = measure_grade(_to_tensor(Picture(frame)))[:, None]
        height, width = mixed.shape[2:]
        restored = apply_grade(pad_to_cells(mixed), None, target)[:, :, :height, :width]
        return tensor_to_picture(restored.clamp(0, 1), Picture(frame)).pixels

    def finish(self, result: Floats, frame: Floats) -> Floats:
        """Give a result the colors that the recipe asks for."""
        return apply_colors(self._recipe.colors, Picture(result), Picture(frame)).pixels

    def _prepare(
        self, frame: Floats, paintings: Sequence[Picture]
    ) -> tuple[Picture, list[Picture]]:
        size, scale = (frame.shape[1], frame.shape[0]), self._recipe.style.scale
        colors = choose_network_colors(self._recipe)
        return prepare_colors(colors, Picture(frame), paintings, size, scale)


def _to_tensor(picture: Picture) -> torch.Tensor:
    """Return a picture as [1, 3, H, W] in [0, 1], at its own size."""
    return picture_to_tensor(picture, picture.width, picture.height, Storage(torch.device("cpu")))
