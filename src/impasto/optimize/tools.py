"""What the runs of one engine share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from impasto.engine.sizes import Scale, fit_painting
from impasto.engine.storage import Storage
from impasto.engine.tensors import picture_to_tensor
from impasto.image.picture import Picture
from impasto.objective.evaluation import FeatureExtractor
from impasto.objective.terms import TargetCache
from impasto.optimize.draft import Draft


@dataclass(frozen=True)
class Tools:
    """What the runs of one engine share.

    Attributes:
        extractor: the encoder and the recipe.
        cache: paintings that were measured before.
        draft: makes the picture that a run starts from, if the recipe starts from a draft.
    """

    extractor: FeatureExtractor
    cache: TargetCache
    draft: Draft | None = None

    @property
    def halo(self) -> int:
        """Halo of a tile in pixels: whole cells."""
        cell = self.extractor.encoder.cell
        return -(-self.extractor.encoder.halo // cell) * cell

    def make_paintings(
        self, paintings: Sequence[Picture], scale: Scale, storage: Storage
    ) -> list[Tensor]:
        """Resize paintings to their sizes beside a scale of the result; [1, 3, h, w] each."""
        result = (scale.width, scale.height)
        ratio = self.extractor.recipe.style.scale
        sizes = [fit_painting((each.width, each.height), result, ratio) for each in paintings]
        return [
            picture_to_tensor(picture, *size, storage)
            for picture, size in zip(paintings, sizes, strict=True)
        ]
