"""The objective of a picture too large to back-propagate at once: tile by tile, and exact.

Every style loss is a function of moments, which are sums over positions, and every content loss is
a sum over positions. So a first pass accumulates the moments of all tiles; the gradients of the
losses with respect to them are taken on C x C matrices; and a second pass back-propagates, tile by
tile, the linear function that has these gradients. Each feature belongs to one tile and the pixel
gradients, halos included, are added up where they overlap: the sum is the gradient of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from impasto.encoders.layers import cell_of
from impasto.encoders.vgg import Encoder
from impasto.objective.losses import content_divisor, squared_error, squared_norm
from impasto.objective.moments import Moments, measure
from impasto.objective.objective import features_of, style_distances, weighted
from impasto.objective.tiles import Tile, plan_tiles
from impasto.recipe import Recipe


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
        autocast: torch.dtype | None = None,
    ) -> None:
        """Measure the targets.

        The photo's features are not kept, they would take fifty times its memory: a tile's are
        computed again whenever its turn comes.

        Args:
            recipe, encoder, content, styles, autocast: as for the whole objective.
            side: of a tile, in pixels, without its halo.
        """
        self.recipe = recipe
        self._encoder = encoder
        self._autocast = autocast
        self._side = side
        self._photo = content
        self._tiles = self._plan(content)
        with torch.no_grad():
            self._style = style_distances(recipe, [self._moments(style) for style in styles])
            self._content_divisors = self._divisors(content)

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses of a picture as numbers, and the gradient of their total, [1, 3, H, W]."""
        style, slopes = self._style_and_slopes(image)
        variable = image.detach().requires_grad_()
        terms = weighted(self.recipe, image.new_zeros(()), style, variable)
        gradient = torch.zeros_like(image)
        if terms.smoothness.requires_grad:
            (gradient,) = torch.autograd.grad(terms.smoothness, variable)
        content = image.new_zeros(())
        for tile in self._tiles:
            pixels = tile.seen(image).detach().requires_grad_()
            features = dict(self._owned(tile, pixels))
            part = self._content_of(tile, features)
            total = self.recipe.content.weight * part
            for layer, (mean, second, positions) in slopes.items():
                found = measure(features[layer])
                share = self.recipe.style.weight * found.weight / positions
                total = total + share * ((mean * found.mean).sum() + (second * found.second).sum())
            (slope,) = torch.autograd.grad(total, pixels)
            tile.seen(gradient).add_(slope)
            content = content + part.detach()
        return weighted(self.recipe, content, style, image).as_numbers(), gradient

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture as numbers."""
        with torch.no_grad():
            style = self._style_loss(self._moments(image))
            content = image.new_zeros(())
            for tile in self._tiles:
                content = content + self._content_of(
                    tile, dict(self._owned(tile, tile.seen(image)))
                )
            return weighted(self.recipe, content, style, image).as_numbers()

    def _style_and_slopes(
        self, image: Tensor
    ) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor, float]]]:
        """The style loss; by layer its gradients in mean and second moment, and the positions."""
        with torch.no_grad():
            found = self._moments(image)
        leaves = {
            layer: Moments(m.mean.requires_grad_(), m.second.requires_grad_(), m.weight)
            for layer, m in found.items()
        }
        loss = self._style_loss(leaves)
        flat = [part for m in leaves.values() for part in (m.mean, m.second)]
        # A Gram loss does not look at the mean.
        grads = torch.autograd.grad(loss, flat, allow_unused=True, materialize_grads=True)
        slopes = {
            layer: (grads[2 * place], grads[2 * place + 1], m.weight)
            for place, (layer, m) in enumerate(leaves.items())
        }
        return loss.detach(), slopes

    def _style_loss(self, moments: dict[str, Moments]) -> Tensor:
        layers = self.recipe.style.layers
        losses = [weight * self._style[layer](moments[layer]) for layer, weight in layers.items()]
        return torch.stack(losses).sum()

    def _content_of(self, tile: Tile, features: dict[str, Tensor]) -> Tensor:
        """A tile's part of the content loss."""
        with torch.no_grad():
            target = dict(self._owned(tile, tile.seen(self._photo)))
        losses = [
            weight / self._content_divisors[layer] * squared_error(features[layer], target[layer])
            for layer, weight in self.recipe.content.layers.items()
        ]
        return torch.stack(losses).sum()

    def _divisors(self, photo: Tensor) -> dict[str, float]:
        energy = dict.fromkeys(self.recipe.content.layers, 0.0)
        count = dict.fromkeys(self.recipe.content.layers, 0)
        for tile in self._tiles:
            for layer, target in self._owned(tile, tile.seen(photo)):
                if layer in energy:
                    energy[layer] += squared_norm(target)
                    count[layer] += target.numel()
        kind = self.recipe.content.normalization
        return {layer: content_divisor(energy[layer], count[layer], kind) for layer in energy}

    def _moments(self, image: Tensor) -> dict[str, Moments]:
        """Of a whole picture, tile by tile."""
        total: dict[str, Moments] = {}
        for tile in self._plan(image):
            for layer, features in self._owned(tile, tile.seen(image)):
                if layer in self.recipe.style.layers:
                    part = measure(features)
                    total[layer] = total[layer].merged(part) if layer in total else part
        return total

    def _owned(self, tile: Tile, pixels: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = features_of(self._encoder, pixels, self.recipe, self._autocast)
        for layer, each in features.items():
            yield layer, tile.owned(each, cell_of(layer))

    def _plan(self, image: Tensor) -> tuple[Tile, ...]:
        height, width = image.shape[2:]
        return plan_tiles(height, width, self._side, self._encoder.halo, self._encoder.cell)
