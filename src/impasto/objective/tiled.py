"""Define the objective of a picture that is too large to back-propagate at once.

The two sweeps of :mod:`impasto.objective.views` see one tile at a time. Each feature belongs to one
tile, and pixel gradients, halos included, are added where tiles overlap: their sum is the gradient
of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from impasto.encoders.encoder_registry import get_cell_size
from impasto.engine.machine.storage import Storage
from impasto.objective.evaluation import FeatureExtractor, Losses, PixelTerms, compare_contents
from impasto.objective.losses.content import content_divisor, sum_squares
from impasto.objective.losses.matting import WINDOW
from impasto.objective.statistics.gauge import (
    Gauge,
    Slopes,
    Statistics,
    add_by_name,
    merge_statistics,
    project_on_slopes,
)
from impasto.objective.statistics.region_masks import RegionMasks
from impasto.objective.terms import PassPictures, build_terms
from impasto.objective.tiles import Tile, plan_tiles
from impasto.objective.views import Objective, evaluate_together, scale_losses


class TiledObjective(Objective):
    """A :class:`impasto.objective.whole.WholeObjective` that needs the memory of one tile only."""

    def __init__(
        self,
        extractor: FeatureExtractor,
        pictures: PassPictures,
        *,
        side: int,
    ) -> None:
        """Measure the targets.

        Args:
            extractor, pictures: see :class:`impasto.objective.whole.WholeObjective`. The storage of
                the pictures also holds the photo's features and the gradient.
            side: side of a tile without its halo, in pixels.

        Raises:
            InputError: a style mask leaves too little of its painting.
        """
        self._extractor = extractor
        self.recipe = recipe = extractor.recipe
        photo = pictures.photo
        self._side = side
        self._storage = pictures.storage or Storage(extractor.device)
        self._shape = photo.shape
        self._content_weights = RegionMasks(
            (), recipe.content.layers, self._storage, weight=pictures.weight
        )
        self._pixel_terms = PixelTerms.choose(recipe, photo, pictures.past, pictures.weight)
        self._tiles = self._plan_tiles(photo)
        self._content: list[dict[str, Tensor]] = [{} for _ in self._tiles]
        self._content_factors: dict[str, float] = {}
        with torch.no_grad():
            self.terms = build_terms(recipe, pictures, self._measure)
            if recipe.content.kind == "features":
                self._content, self._content_factors = self._store_content(photo)
        self._gauges = [term.gauge for term in self.terms]

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """See :meth:`impasto.objective.views.Objective.evaluate`."""
        losses, (gradient,) = evaluate_together([self], [1.0], [image])
        return losses, gradient

    def measure(self, image: Tensor) -> list[Statistics]:
        """See :meth:`impasto.objective.views.Objective.measure`."""
        return self._measure(image, self._gauges)

    def measure_losses(self, image: Tensor) -> tuple[dict[str, Tensor], list[Statistics]]:
        """See :meth:`impasto.objective.views.Objective.measure_losses`; without gradients."""
        statistics, sums = list[Statistics](), dict[str, Tensor]()
        for tile, targets in zip(self._tiles, self._content, strict=True):
            pixels = self._cut_pixels(tile, image)
            features = dict(self._extract_owned(tile, pixels))
            sums = add_by_name(sums, self._compute_local_losses(tile, pixels, features, targets))
            here = [gauge.measure(features, tile) for gauge in self._gauges]
            statistics = merge_statistics(statistics, here)
            self._storage.settle()
        return sums, statistics

    def back_propagate(
        self, image: Tensor, slopes: Slopes, share: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See :meth:`impasto.objective.views.Objective.back_propagate`."""
        gradient, sums = self._storage.zeros(image), dict[str, Tensor]()
        for tile, targets in zip(self._tiles, self._content, strict=True):
            pixels = self._cut_pixels(tile, image).requires_grad_()
            features = dict(self._extract_owned(tile, pixels))
            local = self._compute_local_losses(tile, pixels, features, targets)
            local = scale_losses(local, share)
            parts = [gauge.measure(features, tile) for gauge in self._gauges]
            pull = [Losses.weigh(self.recipe, local).total, *project_on_slopes(slopes, parts)]
            (slope,) = torch.autograd.grad(torch.stack(pull).sum(), pixels)
            tile.cut(gradient).add_(slope.to(gradient.device))
            sums = add_by_name(sums, {name: loss.detach() for name, loss in local.items()})
            self._storage.settle()
        return sums, gradient

    def _compute_local_losses(
        self, tile: Tile, pixels: Tensor, features: dict[str, Tensor], targets: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Compute a tile's part of the losses that are sums over positions, without weights."""
        device = self._extractor.device
        weights = {layer: self._cut_content_weight(tile, layer) for layer in targets}
        content = compare_contents(features, targets, weights, self._content_factors, device)
        return {"content": content, **self._pixel_terms.compute(pixels, device, tile)}

    def _store_content(self, photo: Tensor) -> tuple[list[dict[str, Tensor]], dict[str, float]]:
        """Store the photo's features by tile and layer, and compute the content loss's factors.

        The features of a layer are parts of one long tensor. The factors are computed here because
        the features are expensive to read again.
        """
        layers = self.recipe.content.layers
        energy, count = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0.0)
        rest: dict[str, Tensor] = {}
        by_tile: list[dict[str, Tensor]] = []
        for tile in self._tiles:
            by_tile.append({})
            for layer, owned in self._extract_owned(tile, self._cut_pixels(tile, photo)):
                if layer not in layers:
                    continue
                if layer not in rest:
                    cells = math.prod(side // get_cell_size(layer) for side in self._shape[2:])
                    rest[layer] = self._storage.empty(cells * owned.shape[1], dtype=owned.dtype)
                _, channels, height, width = owned.shape
                place, rest[layer] = rest[layer][: owned.numel()], rest[layer][owned.numel() :]
                place = place.view(1, height, width, channels).permute(0, 3, 1, 2)
                by_tile[-1][layer] = place.copy_(owned)
                weight = self._cut_content_weight(tile, layer)
                energy[layer] += sum_squares(owned, weight)
                count[layer] += owned.numel() if weight is None else channels * _sum_mask(weight)
            self._storage.settle()
        kind = self.recipe.content.normalization
        return by_tile, {
            layer: factor / content_divisor(energy[layer], count[layer], kind)
            for layer, factor in layers.items()
        }

    def _cut_content_weight(self, tile: Tile, layer: str) -> Tensor | None:
        """Return the weights [h, w] of the positions of a layer that a tile owns."""
        (weight,) = self._content_weights.get_layer_masks(layer)
        return None if weight is None else tile.cut_from_picture(weight, get_cell_size(layer))

    def _measure(self, image: Tensor, gauges: Sequence[Gauge]) -> list[Statistics]:
        """Measure a whole picture, tile by tile."""
        statistics: list[Statistics] = []
        for tile in self._plan_tiles(image):
            features = dict(self._extract_owned(tile, self._cut_pixels(tile, image)))
            here = [gauge.measure(features, tile) for gauge in gauges]
            statistics = merge_statistics(statistics, here)
            self._storage.settle()
        return statistics

    def _extract_owned(self, tile: Tile, pixels: Tensor) -> Iterator[tuple[str, Tensor]]:
        for layer, each in self._extractor.extract(pixels).items():
            yield layer, tile.cut_from_tile(each, get_cell_size(layer))

    def _cut_pixels(self, tile: Tile, image: Tensor) -> Tensor:
        return tile.cut(image).detach().to(self._extractor.device)

    def _plan_tiles(self, image: Tensor) -> tuple[Tile, ...]:
        height, width = image.shape[2:]
        encoder = self._extractor.encoder
        halo = max(encoder.halo, WINDOW - 1)
        return plan_tiles(height, width, self._side, halo, encoder.cell)


def _sum_mask(mask: Tensor) -> float:
    return float(mask.cpu().double().sum())
