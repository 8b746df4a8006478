"""The one-pass network as an engine of frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from impasto.engine.colors import apply_colors, prepare_colors
from impasto.engine.storage import Storage
from impasto.engine.tensors import picture_to_tensor, tensor_to_picture
from impasto.errors import InputError
from impasto.image.picture import Floats, Picture
from impasto.network.artist import colors_seen
from impasto.network.grade import grade, graded, padded
from impasto.network.one_pass import OnePass
from impasto.recipe.recipe import Recipe
from impasto.video.stabilize.frame_memory import FrameMemory, blend_with_memory

DOUBT = 1 / 3
"""Of 1, 1/2 and 1/3 the last made the steadiest films, at 2 % of the style."""


class Network:
    """Frames in one pass each; see :class:`impasto.video.stabilize.stabilizer.FrameEngine`."""

    def __init__(
        self,
        recipe: Recipe,
        paintings: Sequence[Picture],
        *,
        device: str = "auto",
        weights: str | Path | None = None,
        max_memory: int | None = None,
        like: OnePass | None = None,
        frozen: bool = False,
    ) -> None:
        """Load the network.

        Args:
            recipe: whose engine is a network.
            paintings: the styles.
            device, weights, max_memory, like: as of :class:`OnePass`.
            frozen: whether features are normalized by the statistics of a shot's first frame; else
                by each frame's own. Hardly steadier, half as long again, and up to three quarters
                further from the style where something else comes into view.

        Raises:
            InputError: frozen, and the network is Magenta's.
            ImpastoError: as :class:`OnePass`.
        """
        self._recipe = recipe
        self._paintings = list(paintings)
        self._frozen = frozen
        if frozen and recipe.engine.kind != "network":
            raise InputError("statistics of a shot are for networks of impasto's kind")
        plain = recipe.with_changes({"colors": "style"})
        self._engine = OnePass(
            plain, device=device, weights=weights, max_memory=max_memory, like=like
        )

    def begin_shot(self, frame: Floats) -> None:
        """Codes of the paintings, for the whole shot, and if so wanted this frame's statistics."""
        photo, styles = self._seen(frame, self._paintings)
        size = photo.width, photo.height
        self._paint = self._engine.told(photo, styles, size, frozen=self._frozen)

    def paint(self, frame: Floats, memory: FrameMemory | None) -> Floats:  # noqa: ARG002
        """Paint a frame; the memory is used by :meth:`steady` only."""
        photo, _ = self._seen(frame, ())
        return tensor_to_picture(self._paint(_tensor(photo)), photo).pixels

    def steady(self, painted: Floats, memory: FrameMemory, stability: float) -> Floats:
        """Mixed, and given back the color and contrast of every octave that was painted: a mean of
        strokes that are not quite alike has less of them, warp by warp."""
        mixed = _tensor(Picture(blend_with_memory(painted, memory, stability, DOUBT)))
        wanted = grade(_tensor(Picture(painted)))[:, None]
        height, width = mixed.shape[2:]
        restored = graded(padded(mixed), None, wanted)[:, :, :height, :width]
        return tensor_to_picture(restored.clamp(0, 1), Picture(painted)).pixels

    def finish(self, result: Floats, frame: Floats) -> Floats:
        """In the colors that the user asked for."""
        return apply_colors(self._recipe.colors, Picture(result), Picture(frame)).pixels

    def _seen(self, frame: Floats, paintings: Sequence[Picture]) -> tuple[Picture, list[Picture]]:
        size, scale = (frame.shape[1], frame.shape[0]), self._recipe.style.scale
        return prepare_colors(colors_seen(self._recipe), Picture(frame), paintings, size, scale)


def _tensor(picture: Picture) -> torch.Tensor:
    """[1, 3, H, W] in [0, 1], at its own size."""
    return picture_to_tensor(picture, picture.width, picture.height, Storage(torch.device("cpu")))
