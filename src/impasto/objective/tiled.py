"""The objective of a picture too large to back-propagate at once: tile by tile, and exact.

Every style loss is a function of moments, which are sums over positions, and every content loss is
a sum over positions. So a first pass accumulates the moments of all tiles; the gradients of the
losses with respect to them are taken on C x C matrices; and a second pass back-propagates, tile by
tile, the linear function that has these gradients. Each feature belongs to one tile and the pixel
gradients, halos included, are added up where they overlap: the sum is the gradient of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.layers import cell_of
from impasto.encoders.vgg import Encoder
from impasto.objective.losses import (
    content_divisor,
    squared_error,
    squared_norm,
    variation_of,
)
from impasto.objective.moments import Moments
from impasto.objective.objective import Losses, features_of
from impasto.objective.storage import Storage
from impasto.objective.style import Regions, Statistics, StyleLoss, merged
from impasto.objective.tiles import Tile, plan_tiles
from impasto.recipe import Recipe


@dataclass(frozen=True)
class Slope:
    """The gradient of the style loss in the moments of one layer and region.

    Attributes:
        mean: [C].
        second: [C, C].
        weight: of all the positions that the moments are of.
    """

    mean: Tensor
    second: Tensor
    weight: float

    def along(self, part: Moments) -> Tensor:
        """What some of the positions contribute to the linear function with this gradient."""
        linear = (self.mean * part.mean).sum() + (self.second * part.second).sum()
        return part.weight / self.weight * linear


class TiledObjective:
    """As :class:`impasto.objective.objective.Objective`, in the memory of a tile."""

    def __init__(
        self,
        recipe: Recipe,
        encoder: Encoder,
        content: Tensor,
        styles: Sequence[Tensor],
        *,
        side: int,
        storage: Storage | None = None,
        masks: Sequence[Tensor] = (),
        autocast: torch.dtype | None = None,
    ) -> None:
        """Measure the targets.

        Args:
            recipe, encoder, content, styles, masks, autocast: as for the whole objective; the
                pictures may lie in any storage.
            side: of a tile, in pixels, without its halo.
            storage: of the photo's features and of gradients; none: the memory of the device.
        """
        self.recipe = recipe
        self._encoder = encoder
        self._autocast = autocast
        self._side = side
        self._storage = storage or Storage(encoder.device)
        self._shape = content.shape
        self._tiles = self._plan(content)
        self._regions = Regions(masks, recipe.style.layers)
        with torch.no_grad():
            whole = Regions((), recipe.style.layers)
            paintings = [_complete(self._statistics(style, whole)) for style in styles]
            self._style = StyleLoss(recipe.style, paintings, self._regions.shares)
            self._content, self._content_divisors = self._photo_features(content)

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses of a picture as numbers, and the gradient of their total, [1, 3, H, W]."""
        style, slopes = self._style_and_slopes(image)
        gradient = self._storage.zeros(image)
        content, smoothness = torch.zeros_like(style), torch.zeros_like(style)
        for tile, targets in zip(self._tiles, self._content, strict=True):
            pixels = self._pixels(tile, image).requires_grad_()
            features = dict(self._owned(tile, pixels))
            here = self._content_of(features, targets), self._smoothness_of(tile, pixels)
            bent = [
                slope.along(part)
                for layer, each in slopes.items()
                for slope, part in zip(
                    each, self._regions.measured(layer, features[layer], tile), strict=True
                )
                if part is not None and slope is not None
            ]
            pull = torch.stack([torch.zeros_like(style), *bent]).sum()
            total = Losses.weighted(self.recipe, here[0], pull, here[1]).total
            (slope,) = torch.autograd.grad(total, pixels)
            tile.seen(gradient).add_(slope.to(gradient.device))
            content, smoothness = content + here[0].detach(), smoothness + here[1].detach()
            self._storage.settle()
        return Losses.weighted(self.recipe, content, style, smoothness).as_numbers(), gradient

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture as numbers."""
        found: Statistics = {}
        with torch.no_grad():
            content = smoothness = torch.zeros((), device=self._encoder.device)
            for tile, targets in zip(self._tiles, self._content, strict=True):
                pixels = self._pixels(tile, image)
                features = dict(self._owned(tile, pixels))
                content = content + self._content_of(features, targets)
                smoothness = smoothness + self._smoothness_of(tile, pixels)
                self._add(found, features, tile, self._regions)
                self._storage.settle()
            style = self._style(found)
        return Losses.weighted(self.recipe, content, style, smoothness).as_numbers()

    def _style_and_slopes(self, image: Tensor) -> tuple[Tensor, dict[str, list[Slope | None]]]:
        """The style loss, and by layer and region its gradients in mean and second moment."""
        with torch.no_grad():
            found = self._statistics(image, self._regions)
        leaves = [m for each in found.values() for m in each if m is not None]
        flat = [part.requires_grad_() for m in leaves for part in (m.mean, m.second)]
        loss = self._style(found)
        # A Gram loss does not look at the mean.
        grads = iter(torch.autograd.grad(loss, flat, allow_unused=True, materialize_grads=True))
        slopes = {
            layer: [None if m is None else Slope(next(grads), next(grads), m.weight) for m in each]
            for layer, each in found.items()
        }
        return loss.detach(), slopes

    def _content_of(self, features: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """A tile's part of the content loss."""
        losses = [
            weight
            / self._content_divisors[layer]
            * squared_error(features[layer], targets[layer].to(features[layer].device))
            for layer, weight in self.recipe.content.layers.items()
        ]
        return torch.stack(losses).sum()

    def _smoothness_of(self, tile: Tile, pixels: Tensor) -> Tensor:
        """A tile's part of the total variation: of the differences that begin in its own pixels."""
        if not self.recipe.smoothness.weight:
            return pixels.new_zeros(())
        begin = tile.rows.start - tile.rows.first, tile.columns.start - tile.columns.first
        size = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
        part = pixels[..., begin[0] : begin[0] + size[0] + 1, begin[1] : begin[1] + size[1] + 1]
        return variation_of(part, *size, self.recipe.smoothness.kind, self._shape)

    def _photo_features(self, photo: Tensor) -> tuple[list[dict[str, Tensor]], dict[str, float]]:
        """By tile and layer, those it owns: one long tensor a layer, cut up. And by layer, what the
        content loss is divided by, measured on the way: they are no small thing to read again.
        """
        layers = self.recipe.content.layers
        energy, count = dict.fromkeys(layers, 0.0), dict.fromkeys(layers, 0)
        left: dict[str, Tensor] = {}
        cut: list[dict[str, Tensor]] = []
        for tile in self._tiles:
            cut.append({})
            for layer, owned in self._owned(tile, self._pixels(tile, photo)):
                if layer not in layers:
                    continue
                if layer not in left:
                    cells = math.prod(side // cell_of(layer) for side in self._shape[2:])
                    left[layer] = self._storage.empty(cells * owned.shape[1], dtype=owned.dtype)
                _, channels, height, width = owned.shape
                place, left[layer] = left[layer][: owned.numel()], left[layer][owned.numel() :]
                place = place.view(1, height, width, channels).permute(0, 3, 1, 2)
                cut[-1][layer] = place.copy_(owned)
                energy[layer] += squared_norm(owned)
                count[layer] += owned.numel()
            self._storage.settle()
        kind = self.recipe.content.normalization
        return cut, {layer: content_divisor(energy[layer], count[layer], kind) for layer in layers}

    def _statistics(self, image: Tensor, regions: Regions) -> Statistics:
        """Of a whole picture, tile by tile."""
        total: Statistics = {}
        for tile in self._plan(image):
            self._add(total, dict(self._owned(tile, self._pixels(tile, image))), tile, regions)
            self._storage.settle()
        return total

    def _add(
        self, total: Statistics, features: dict[str, Tensor], tile: Tile, regions: Regions
    ) -> None:
        """Count in what a tile owns."""
        for layer in self.recipe.style.layers:
            part = regions.measured(layer, features[layer], tile)
            total[layer] = merged(total[layer], part) if layer in total else part

    def _owned(self, tile: Tile, pixels: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = features_of(self._encoder, pixels, self.recipe, self._autocast)
        for layer, each in features.items():
            yield layer, tile.owned(each, cell_of(layer))

    def _pixels(self, tile: Tile, image: Tensor) -> Tensor:
        return tile.seen(image).detach().to(self._encoder.device)

    def _plan(self, image: Tensor) -> tuple[Tile, ...]:
        height, width = image.shape[2:]
        return plan_tiles(height, width, self._side, self._encoder.halo, self._encoder.cell)


def _complete(found: Statistics) -> dict[str, Moments]:
    """The statistics of the only region."""
    return {layer: each for layer, (each,) in found.items() if each is not None}
