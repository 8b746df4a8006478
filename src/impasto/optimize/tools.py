"""Hold what the runs of one engine share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from impasto.engine.inputs import Inputs
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import picture_to_tensor
from impasto.engine.sizes import Scale, fit_painting
from impasto.image.picture import Picture
from impasto.objective.evaluation import FeatureExtractor
from impasto.objective.terms import TargetCache


class Draft(Protocol):
    """A network that paints what the optimizer starts from."""

    def __call__(self, image: Tensor, inputs: Inputs) -> Tensor:
        """Repaint the photo.

        Args:
            image: [1, 3, H, W] in [0, 1], the photo at the size of the first scale.
            inputs: the photo and the paintings at any sizes, in the colors that the network sees.

        Returns:
            [1, 3, H, W] in [0, 1].
        """


@dataclass(frozen=True)
class Tools:
    """What the runs of one engine share.

    Attributes:
        extractor: the encoder and the recipe.
        cache: statistics of paintings that were measured before.
        draft: paints the start of recipes that start from a draft. None: there is no such network.
    """

    extractor: FeatureExtractor
    cache: TargetCache
    draft: Draft | None = None

    @property
    def halo(self) -> int:
        """Width of a tile's halo in pixels, in whole cells."""
        cell = self.extractor.encoder.cell
        return -(-self.extractor.encoder.halo // cell) * cell

    def make_paintings(
        self, paintings: Sequence[Picture], scale: Scale, storage: Storage
    ) -> list[Tensor]:
        """Resize paintings to [1, 3, h, w] each, as they are compared with a scale."""
        result = (scale.width, scale.height)
        ratio = self.extractor.recipe.style.scale
        sizes = [fit_painting((each.width, each.height), result, ratio) for each in paintings]
        return [
            picture_to_tensor(picture, *size, storage)
            for picture, size in zip(paintings, sizes, strict=True)
        ]
