"""Define what the one-pass engine needs of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from impasto.engine.inputs import Inputs
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.colors import Colors
from impasto.engine.regions import Regions
from impasto.recipe.recipe import Recipe

TINY = 1e-6


@dataclass(frozen=True)
class PaintRequest:
    """One picture to paint.

    Attributes:
        inputs: the photo and the paintings at any sizes, in the colors that the network sees.
        recipe: the recipe of the run.
    """

    inputs: Inputs
    recipe: Recipe


class PaintingNetwork(Protocol):
    """A loaded network that repaints photos in one pass."""

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The precision of its convolutions."""

    def paint(self, images: Tensor, requests: Sequence[PaintRequest]) -> Tensor:
        """Repaint photos of one size.

        Args:
            images: [N, 3, H, W] in [0, 1], the photos at their results' size, on the CPU.
            requests: one for each photo. Where there are several, none has masks.

        Returns:
            [N, 3, H, W] in [0, 1], on the CPU.
        """

    def begin_shot(
        self, size: tuple[int, int], request: PaintRequest, *, freeze_statistics: bool
    ) -> Callable[[Tensor], Tensor]:
        """Return a function that repaints the frames [1, 3, H, W] of a shot.

        Args:
            size: (width, height) of the frames in pixels.
            request: the first frame and the paintings.
            freeze_statistics: whether all frames are normalized by the first one's statistics.
        """

    def estimate_seconds(self, pixels: int, paintings: int) -> float:
        """Estimate how long a result takes, in seconds.

        Args:
            pixels: number of pixels of the result.
            paintings: number of paintings.
        """


def choose_network_colors(recipe: Recipe) -> Colors:
    """Return the colors in which a network sees its inputs.

    A network that was trained on paintings has hardly a stroke after gray ones. Where only
    lightness is wanted it therefore sees the painting in the photo's colors.
    """
    return "match" if recipe.colors == "luminance" else recipe.colors


def make_style_shares(regions: Regions, size: tuple[int, int]) -> Tensor:
    """Return each painting's share of every pixel, [K, H, W]; they sum to 1 everywhere.

    Args:
        regions: regions with masks.
        size: (width, height) in pixels.

    Raises:
        InputError: a painting is for the rest of the photo, and there is no rest.
    """
    shares = torch.stack(regions.make_masks(*size, Storage(torch.device("cpu"))))
    total = shares.sum(0)
    shares = shares / total.clamp(min=TINY)
    shares[0] += total == 0  # the photo is kept there, so that any style will do
    return shares
