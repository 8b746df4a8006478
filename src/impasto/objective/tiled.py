"""The objective of a picture too large to back-propagate at once: tile by tile, and exact.

Every style loss is a function of statistics, which are sums over positions, and every other loss is
a sum over positions, or else a function of statistics too. So a first pass merges the statistics of
all tiles; the gradients of the losses with respect to them are taken on these small matrices; and a
second pass back-propagates, tile by tile, the linear function that has these gradients. Each
feature belongs to one tile and the pixel gradients, halos included, are added up where they
overlap: the sum is the gradient of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from impasto.encoders.layers import get_cell_size
from impasto.encoders.vgg import Encoder
from impasto.engine.storage import Storage
from impasto.objective.losses.layer_losses import (
    content_divisor,
    squared_error,
    squared_norm,
    variation_of,
)
from impasto.objective.losses.matting import WINDOW, matting_energy
from impasto.objective.losses.temporal import Past, temporal_energy
from impasto.objective.statistics.gauge import (
    Gauge,
    Statistics,
    added,
    along,
    losses_of,
    merged,
    slopes,
    variables,
)
from impasto.objective.terms import terms_of
from impasto.objective.tiles import Tile, plan_tiles
from impasto.objective.whole import Losses, features_of
from impasto.recipe.recipe import Recipe


class TiledObjective:
    """As :class:`impasto.objective.whole.Objective`, in the memory of a tile."""

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
        style_masks: Sequence[Tensor | None] = (),
        past: Past | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        """Measure the targets.

        Args:
            recipe, encoder, content, styles, masks, style_masks, past, autocast: as for the
                whole objective; the pictures may lie in any storage.
            side: of a tile, in pixels, without its halo.
            storage: of the photo's features, of gradients and of masks at the layers' sizes; none:
                the memory of the device.
        """
        self.recipe = recipe
        self._encoder = encoder
        self._autocast = autocast
        self._side = side
        self._storage = storage or Storage(encoder.device)
        self._shape = content.shape
        self._photo = content if recipe.photorealism.weight else None
        self._past = past if recipe.temporal.weight else None
        self._tiles = self._plan(content)
        self._content: list[dict[str, Tensor]] = [{} for _ in self._tiles]
        self._content_divisors: dict[str, float] = {}
        with torch.no_grad():
            self._terms = terms_of(
                recipe, content, styles, masks, style_masks, self._storage, self._measured
            )
            if recipe.content.kind == "features":
                self._content, self._content_divisors = self._photo_features(content)
        self._gauges = [term.gauge for term in self._terms]

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses of a picture as numbers, and the gradient of their total, [1, 3, H, W]."""
        with torch.no_grad():
            found = self._measured(image, self._gauges)
        within = variables(found)
        others = losses_of(self._terms, found)
        bends = slopes(Losses.of(self.recipe, others).total, found, within)
        gradient, sums = self._storage.zeros(image), dict[str, Tensor]()
        for tile, targets in zip(self._tiles, self._content, strict=True):
            pixels = self._pixels(tile, image).requires_grad_()
            features = dict(self._owned(tile, pixels))
            here = self._here(tile, pixels, features, targets)
            parts = [gauge.measure(features, tile) for gauge in self._gauges]
            pull = [Losses.of(self.recipe, here).total, *along(bends, parts)]
            (slope,) = torch.autograd.grad(torch.stack(pull).sum(), pixels)
            tile.seen(gradient).add_(slope.to(gradient.device))
            sums = added(sums, {name: loss.detach() for name, loss in here.items()})
            self._storage.settle()
        return Losses.of(self.recipe, sums, others).as_numbers(), gradient

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture as numbers."""
        found, sums = list[Statistics](), dict[str, Tensor]()
        with torch.no_grad():
            for tile, targets in zip(self._tiles, self._content, strict=True):
                pixels = self._pixels(tile, image)
                features = dict(self._owned(tile, pixels))
                sums = added(sums, self._here(tile, pixels, features, targets))
                found = merged(found, [each.measure(features, tile) for each in self._gauges])
                self._storage.settle()
            others = losses_of(self._terms, found)
        return Losses.of(self.recipe, sums, others).as_numbers()

    def _here(
        self, tile: Tile, pixels: Tensor, features: dict[str, Tensor], targets: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """A tile's part of the losses that are sums over positions, without their weights."""
        content = [
            self.recipe.content.layers[layer]
            / self._content_divisors[layer]
            * squared_error(features[layer], target.to(features[layer].device))
            for layer, target in targets.items()
        ]
        zero = torch.zeros((), device=self._encoder.device)
        found = {"content": sum(content, zero), "smoothness": zero}
        smoothness = self.recipe.smoothness
        if smoothness.weight:
            size = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
            begun = tile.begun(pixels, 1)
            found["smoothness"] = variation_of(begun, *size, smoothness.kind, self._shape)
        if self._photo is not None:
            photo = tile.begun(self._pixels(tile, self._photo), WINDOW - 1)
            energy = matting_energy(tile.begun(pixels, WINDOW - 1), photo)
            found["photorealism"] = energy / math.prod(self._shape[2:])
        if self._past is not None:
            past = self._past.seen_by(tile, pixels.device)
            energy = temporal_energy(tile.begun(pixels, 0), past)
            found["temporal"] = energy / math.prod(self._shape[2:])
        return found

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
                    cells = math.prod(side // get_cell_size(layer) for side in self._shape[2:])
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

    def _measured(self, image: Tensor, gauges: Sequence[Gauge]) -> list[Statistics]:
        """What gauges find in a whole picture, tile by tile."""
        found: list[Statistics] = []
        for tile in self._plan(image):
            features = dict(self._owned(tile, self._pixels(tile, image)))
            found = merged(found, [gauge.measure(features, tile) for gauge in gauges])
            self._storage.settle()
        return found

    def _owned(self, tile: Tile, pixels: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = features_of(self._encoder, pixels, self.recipe, self._autocast)
        for layer, each in features.items():
            yield layer, tile.owned(each, get_cell_size(layer))

    def _pixels(self, tile: Tile, image: Tensor) -> Tensor:
        return tile.seen(image).detach().to(self._encoder.device)

    def _plan(self, image: Tensor) -> tuple[Tile, ...]:
        height, width = image.shape[2:]
        halo = max(self._encoder.halo, WINDOW - 1)
        return plan_tiles(height, width, self._side, halo, self._encoder.cell)
