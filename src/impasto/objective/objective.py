"""The objective: content + style + smoothness of one picture at one size.

Targets are measured once, when the objective is made; evaluating it costs one pass through the
network.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.objective.losses import (
    content_divisor,
    squared_error,
    squared_norm,
    total_variation,
)
from impasto.objective.moments import Moments, measure
from impasto.objective.style import Regions, StyleLoss
from impasto.recipe import Recipe


@dataclass(frozen=True)
class Losses:
    """The objective's terms, each already multiplied by its weight. Scalars, float32."""

    total: Tensor
    content: Tensor
    style: Tensor
    smoothness: Tensor

    @classmethod
    def weighted(cls, recipe: Recipe, content: Tensor, style: Tensor, smoothness: Tensor) -> Losses:
        """Of the terms without their weights."""
        content = recipe.content.weight * content
        style = recipe.style.weight * style
        smoothness = recipe.smoothness.weight * smoothness
        return cls(content + style + smoothness, content, style, smoothness)

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
        masks: Sequence[Tensor] = (),
        autocast: torch.dtype | None = None,
    ) -> None:
        """Measure the targets.

        Args:
            recipe: weights, layers and normalisations.
            encoder: with taps for every layer of the recipe's content and style terms.
            content: [1, 3, H, W] RGB in [0, 1], the photo at the size of the result.
            styles: [1, 3, h, w] each, the paintings at their style size.
            masks: [H, W] in [0, 1] each: where each painting is the style; none: their blend is,
                everywhere.
            autocast: dtype of the convolutions; none: that of the pictures.
        """
        self.recipe = recipe
        self._encoder = encoder
        self._autocast = autocast
        self._regions = Regions(masks, recipe.style.layers)
        with torch.no_grad():
            features = self._features(content)
            self._content = {layer: features[layer] for layer in recipe.content.layers}
            del features  # the layers of the style term, which may be the largest
            paintings = [self._moments(style) for style in styles]
        self._style = StyleLoss(recipe.style, paintings, self._regions.shares)
        self._content_divisors = {
            layer: content_divisor(
                squared_norm(target), target.numel(), recipe.content.normalization
            )
            for layer, target in self._content.items()
        }

    def __call__(self, image: Tensor) -> Losses:
        """The losses of a picture, differentiable in it.

        Args:
            image: [1, 3, H, W] RGB in [0, 1], of the photo's size.
        """
        recipe, zero = self.recipe, torch.zeros((), dtype=image.dtype, device=self._encoder.device)
        features = self._features(image)
        content = zero + sum(
            weight
            / self._content_divisors[layer]
            * squared_error(features[layer], self._content[layer])
            for layer, weight in recipe.content.layers.items()
        )
        style = self._style(
            {layer: self._regions.measured(layer, features[layer]) for layer in recipe.style.layers}
        )
        smoothness = zero
        if recipe.smoothness.weight:
            smoothness = total_variation(image, recipe.smoothness.kind).to(zero.device)
        return Losses.weighted(recipe, content, style, smoothness)

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses of a picture as numbers, and the gradient of their total, [1, 3, H, W]."""
        variable = image.detach().requires_grad_()
        losses = self(variable)
        (gradient,) = torch.autograd.grad(losses.total, variable)
        return losses.as_numbers(), gradient.contiguous()

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture as numbers."""
        with torch.no_grad():
            return self(image).as_numbers()

    def _features(self, image: Tensor) -> dict[str, Tensor]:
        return features_of(self._encoder, image, self.recipe, self._autocast)

    def _moments(self, style: Tensor) -> dict[str, Moments]:
        features = self._features(style)
        return {layer: measure(features[layer]) for layer in self.recipe.style.layers}


def features_of(
    encoder: Encoder, image: Tensor, recipe: Recipe, autocast: torch.dtype | None
) -> dict[str, Tensor]:
    """The recipe's activations of a picture, at its precision and activation scale.

    The picture may lie on another device, to which its gradient will go back.
    """
    context: AbstractContextManager[object] = nullcontext()
    if autocast is not None:
        context = torch.autocast(encoder.device.type, autocast)
    with context:
        features = encoder(image.to(encoder.device))
    scale = recipe.encoder.activation_scale
    return features if scale == 1 else {k: v * scale for k, v in features.items()}


def taps(recipe: Recipe) -> tuple[str, ...]:
    """The layers the encoder has to deliver for this recipe, without repeats."""
    return tuple(dict.fromkeys([*recipe.content.layers, *recipe.style.layers]))
