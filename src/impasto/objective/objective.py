"""The objective: content + style + smoothness of one picture at one size.

Targets are measured once, when the objective is made; evaluating it costs one pass through the
network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.objective.bures import bures_loss, bures_target
from impasto.objective.losses import content_loss, gram_loss, total_variation
from impasto.objective.moments import Moments, blend, measure
from impasto.recipe import Recipe, StyleTerm


@dataclass(frozen=True)
class Losses:
    """The objective's terms, each already multiplied by its weight. Scalars, float32."""

    total: Tensor
    content: Tensor
    style: Tensor
    smoothness: Tensor

    def as_numbers(self) -> dict[str, float]:
        """``{"total": ..., "content": ..., "style": ..., "smoothness": ...}``."""
        names = ("total", "content", "style", "smoothness")
        values = torch.stack([getattr(self, name).detach() for name in names]).tolist()
        return dict(zip(names, values, strict=True))


class Objective:
    """A weighted sum of losses, ready to be evaluated on pictures of the photo's size."""

    def __init__(
        self,
        recipe: Recipe,
        encoder: Encoder,
        content: Tensor,
        styles: Sequence[Tensor],
        *,
        autocast: torch.dtype | None = None,
    ) -> None:
        """Measure the targets.

        Args:
            recipe: weights, layers and normalisations.
            encoder: with taps for every layer of the recipe's content and style terms.
            content: [1, 3, H, W] RGB in [0, 1], the photo at the size of the result.
            styles: [1, 3, h, w] each, the paintings at their style size.
            autocast: dtype of the convolutions; none: that of the pictures.
        """
        self.recipe = recipe
        self._encoder = encoder
        self._autocast = autocast
        with torch.no_grad():
            features = self._features(content)
            self._content = {layer: features[layer] for layer in recipe.content.layers}
            del features  # the layers of the style term, which may be the largest
            self._style = {
                layer: _distance_to(moments, recipe.style)
                for layer, moments in self._blended(styles).items()
            }

    def __call__(self, image: Tensor) -> Losses:
        """The losses of a picture, differentiable in it.

        Args:
            image: [1, 3, H, W] RGB in [0, 1], of the photo's size.
        """
        recipe = self.recipe
        features = self._features(image)
        zero = image.new_zeros(())
        content = zero + sum(
            weight * content_loss(features[layer], target, recipe.content.normalization)
            for (layer, weight), target in zip(
                recipe.content.layers.items(), self._content.values(), strict=True
            )
        )
        style = zero + sum(
            weight * self._style[layer](measure(features[layer]))
            for layer, weight in recipe.style.layers.items()
        )
        smoothness = zero
        if recipe.smoothness.weight:
            smoothness = recipe.smoothness.weight * total_variation(image, recipe.smoothness.kind)
        content = recipe.content.weight * content
        style = recipe.style.weight * style
        return Losses(content + style + smoothness, content, style, smoothness)

    def _features(self, image: Tensor) -> dict[str, Tensor]:
        context: AbstractContextManager[object] = nullcontext()
        if self._autocast is not None:
            context = torch.autocast(image.device.type, self._autocast)
        with context:
            features = self._encoder(image)
        scale = self.recipe.encoder.activation_scale
        return features if scale == 1 else {k: v * scale for k, v in features.items()}

    def _blended(self, styles: Sequence[Tensor]) -> dict[str, Moments]:
        weights = self.recipe.style.weights or (1.0,) * len(styles)
        measured = []
        for style in styles:
            features = self._features(style)
            measured.append({layer: measure(features[layer]) for layer in self.recipe.style.layers})
        return {
            layer: blend([moments[layer] for moments in measured], weights)
            for layer in self.recipe.style.layers
        }


def _distance_to(painting: Moments, style: StyleTerm) -> Callable[[Moments], Tensor]:
    """The style loss of one layer as a function of the result's moments."""
    if style.distance == "bures":
        target = bures_target(painting)
        return lambda result: bures_loss(result, target)
    return lambda result: gram_loss(result, painting, style.normalization, style.gram)


def taps(recipe: Recipe) -> tuple[str, ...]:
    """The layers the encoder has to deliver for this recipe, without repeats."""
    return tuple(dict.fromkeys([*recipe.content.layers, *recipe.style.layers]))
