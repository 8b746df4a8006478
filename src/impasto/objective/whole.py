"""Define the objective of a picture that fits into memory.

Each evaluation goes through the encoder once, forward and back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.encoders.encoder_registry import get_cell_size
from impasto.objective.evaluation import FeatureExtractor, PixelTerms, compare_contents
from impasto.objective.losses.content import content_divisor, sum_squares
from impasto.objective.statistics.gauge import Features, Gauge, Statistics, add_by_name
from impasto.objective.statistics.region_masks import RegionMasks
from impasto.objective.terms import PassPictures, build_terms
from impasto.objective.tiles import Tile
from impasto.objective.views import DirectObjective


class WholeObjective(DirectObjective):
    """A weighted sum of losses of images of the photo's size.

    Targets are measured once, when the objective is made.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        pictures: PassPictures,
    ) -> None:
        """Measure the targets.

        Args:
            extractor: the encoder and the recipe.
            pictures: photo, paintings and masks, at the size of the result.

        Raises:
            InputError: a style mask leaves too little of its painting.
        """
        self.extractor = extractor
        self.recipe = recipe = extractor.recipe
        photo = pictures.photo
        self.whole = self
        self._pixel_terms = PixelTerms.choose(recipe, photo, pictures.past, pictures.weight)
        with torch.no_grad():
            self.terms = build_terms(recipe, pictures, self._measure_targets, extractor.cache)
            self._content: dict[str, Tensor] = {}
            if recipe.content.kind == "features":
                features = self.extract(photo)
                self._content = {layer: features[layer] for layer in recipe.content.layers}
                del features  # the style layers, which may be the largest
        weights = RegionMasks((), self._content, pictures.storage, weight=pictures.weight)
        self._content_weights = {
            layer: weights.get_layer_masks(layer)[0] for layer in self._content
        }
        self._content_factors = {
            layer: recipe.content.layers[layer]
            / self._find_divisor(target, self._content_weights[layer])
            for layer, target in self._content.items()
        }

    def measure_losses(self, image: Tensor) -> tuple[dict[str, Tensor], list[Statistics]]:
        """See :meth:`impasto.objective.views.Objective.measure_losses`."""
        content, statistics = self.measure_features(self.extract(image))
        return self.compute_local_losses(image, content), statistics

    def extract(self, image: Tensor) -> Features:
        """Extract the features of an image, or of a part of one."""
        return self.extractor.extract(image)

    def measure_features(
        self, features: Features, tile: Tile | None = None
    ) -> tuple[Tensor, list[Statistics]]:
        """Compute the content loss, without its weight, and the statistics of all terms.

        Args:
            features: the features of an image, or those that a tile owns.
            tile: the tile. None: the features are those of the whole image.
        """
        targets, weights = self._content, self._content_weights
        if tile is not None:
            cells = {layer: get_cell_size(layer) for layer in targets}
            targets = {
                layer: tile.cut_from_picture(each, cells[layer]) for layer, each in targets.items()
            }
            weights = {
                layer: None if each is None else tile.cut_from_picture(each, cells[layer])
                for layer, each in weights.items()
            }
        device = self.extractor.device
        content = compare_contents(features, targets, weights, self._content_factors, device)
        return content, [term.gauge.measure(features, tile) for term in self.terms]

    def compute_local_losses(self, image: Tensor, content: Tensor) -> dict[str, Tensor]:
        """Compute the losses of the pixels of [1, 3, H, W], and add a content loss to them."""
        pixels = self._pixel_terms.compute(image, self.extractor.device)
        return add_by_name({"content": content}, pixels)

    def _measure_targets(self, image: Tensor, gauges: Sequence[Gauge]) -> list[Statistics]:
        features = self.extract(image)
        return [gauge.measure(features) for gauge in gauges]

    def _find_divisor(self, target: Tensor, weight: Tensor | None) -> float:
        count: float = target.numel()
        if weight is not None:
            count = target.shape[1] * float(weight.cpu().double().sum())
        energy = sum_squares(target, weight)
        return content_divisor(energy, count, self.recipe.content.normalization)
