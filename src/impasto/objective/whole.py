"""The objective: content, style and what else a recipe weighs, of one picture at one size.

Targets are measured once, when the objective is made; evaluating it costs one pass through the
network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.layers import PIXELS, get_cell_size
from impasto.encoders.vgg import Encoder
from impasto.engine.storage import Storage
from impasto.objective.losses.layer_losses import (
    content_divisor,
    squared_error,
    squared_norm,
    total_variation,
)
from impasto.objective.losses.matting import matting_loss
from impasto.objective.losses.temporal import Past, temporal_energy
from impasto.objective.statistics.gauge import Features, Gauge, Statistics, added, losses_of
from impasto.objective.terms import TargetCache, terms_of
from impasto.objective.tiles import Tile
from impasto.recipe.recipe import Recipe

TERMS = ("content", "style", "palette", "smoothness", "photorealism", "temporal")
"""Of a recipe that are losses; the first, second and fourth are always told, the others if used."""


@dataclass(frozen=True)
class Losses:
    """The objective's terms by name, each already multiplied by its weight. Scalars, float32."""

    terms: dict[str, Tensor]

    @classmethod
    def of(cls, recipe: Recipe, *parts: Mapping[str, Tensor]) -> Losses:
        """Of the terms without their weights; one that is in several parts counts as their sum."""
        found = added(*parts)
        return cls({name: weight_of(recipe, name) * found[name] for name in TERMS if name in found})

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return torch.stack(list(self.terms.values())).sum()

    def as_numbers(self) -> dict[str, float]:
        """``{"total": ..., "content": ..., "style": ..., "smoothness": ...}``, and others used."""
        values = torch.stack([self.total, *self.terms.values()]).detach().tolist()
        return dict(zip(("total", *self.terms), values, strict=True))


def weight_of(recipe: Recipe, term: str) -> float:
    """Of a term of the objective. A photo of strength 0 is not smoothed either."""
    weight: float = getattr(recipe, term).weight
    return recipe.strength * weight if term == "smoothness" else weight


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
        style_masks: Sequence[Tensor | None] = (),
        past: Past | None = None,
        storage: Storage | None = None,
        autocast: torch.dtype | None = None,
        known: TargetCache | None = None,
    ) -> None:
        """Measure the targets.

        Args:
            recipe: weights, layers and normalizations.
            encoder: with taps for every layer of the recipe's content and style terms.
            content: [1, 3, H, W] RGB in [0, 1], the photo at the size of the result.
            styles: [1, 3, h, w] each, the paintings at their style size.
            masks: [H, W] in [0, 1] each: where each painting is the style; none: their blend is,
                everywhere.
            style_masks: [h, w] in [0, 1] each: which part of each painting counts; none: all.
            past: of the photo's size, what a frame of a film is kept near.
            storage: of the masks at the layers' sizes; none: where the masks are.
            autocast: dtype of the convolutions; none: that of the pictures.
            known: paintings that this recipe, encoder and dtype have measured before.
        """
        self.recipe = recipe
        self._encoder = encoder
        self._autocast = autocast
        self._photo = content if recipe.photorealism.weight else None
        self._past = past if recipe.temporal.weight else None
        with torch.no_grad():
            self._terms = terms_of(
                recipe, content, styles, masks, style_masks, storage, self._targets, known
            )
            self._content: dict[str, Tensor] = {}
            if recipe.content.kind == "features":
                features = self.features(content)
                self._content = {layer: features[layer] for layer in recipe.content.layers}
                del features  # the layers of the style term, which may be the largest
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
        content, found = self.measure(self.features(image))
        return self.losses_of(image, content, found)

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses of a picture as numbers, and the gradient of their total, [1, 3, H, W]."""
        return evaluated(self, image)

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture as numbers."""
        with torch.no_grad():
            return self(image).as_numbers()

    def features(self, image: Tensor) -> Features:
        """What the losses look at of a picture [1, 3, H, W] in [0, 1], or of a part of one."""
        return features_of(self._encoder, image, self.recipe, self._autocast)

    def measure(
        self, features: Features, tile: Tile | None = None
    ) -> tuple[Tensor, list[Statistics]]:
        """The content loss, without its weight, and what the terms of statistics look at.

        Args:
            features: of a picture, or those that a tile owns.
            tile: whose; none: the picture's.
        """
        content = torch.zeros((), device=self._encoder.device)
        for layer, target in self._content.items():
            here = target if tile is None else tile.part(target, get_cell_size(layer))
            share = self.recipe.content.layers[layer] / self._content_divisors[layer]
            content = content + share * squared_error(features[layer], here)
        return content, [term.gauge.measure(features, tile) for term in self._terms]

    def losses_of(self, image: Tensor, content: Tensor, found: Sequence[Statistics]) -> Losses:
        """Of a picture [1, 3, H, W], all of which is :meth:`measured`."""
        zero = torch.zeros((), dtype=image.dtype, device=self._encoder.device)
        smooth = smoothness_of(self.recipe, image, self._photo, self._past, zero)
        others = losses_of(self._terms, found)
        return Losses.of(self.recipe, {"content": content}, smooth, others)

    def _targets(self, image: Tensor, gauges: Sequence[Gauge]) -> list[Statistics]:
        features = self.features(image)
        return [gauge.measure(features) for gauge in gauges]


def smoothness_of(
    recipe: Recipe, image: Tensor, photo: Tensor | None, past: Past | None, zero: Tensor
) -> dict[str, Tensor]:
    """The terms of the pixels themselves, without their weights.

    Args:
        recipe: which of them count.
        image: [1, 3, H, W].
        photo: likewise, if photorealism counts.
        past: of the same size, if the picture is a frame of a film.
        zero: a scalar of the device and the dtype of the losses.
    """
    found = {"smoothness": zero}
    if recipe.smoothness.weight:
        found["smoothness"] = total_variation(image, recipe.smoothness.kind).to(zero.device)
    if photo is not None:
        found["photorealism"] = matting_loss(image, photo).to(zero.device)
    if past is not None:
        energy = temporal_energy(image, past) / past.reliability.numel()
        found["temporal"] = energy.to(zero.device)
    return found


def evaluated(
    objective: Callable[[Tensor], Losses], image: Tensor
) -> tuple[dict[str, float], Tensor]:
    """The losses of a picture as numbers, and the gradient of their total, of its shape."""
    variable = image.detach().requires_grad_()
    losses = objective(variable)
    (gradient,) = torch.autograd.grad(losses.total, variable)
    return losses.as_numbers(), gradient.contiguous()


def features_of(
    encoder: Encoder, image: Tensor, recipe: Recipe, autocast: torch.dtype | None
) -> dict[str, Tensor]:
    """The recipe's activations of a picture, at its precision and activation scale, and the
    picture itself.

    The picture may lie on another device, to which its gradient will go back.
    """
    context: AbstractContextManager[object] = nullcontext()
    if autocast is not None:
        context = torch.autocast(encoder.device.type, autocast)
    image = image.to(encoder.device)
    with context:
        features = encoder(image)
    scale = recipe.encoder.activation_scale
    if scale != 1:
        features = {layer: each * scale for layer, each in features.items()}
    return {PIXELS: image, **features}


def taps(recipe: Recipe) -> tuple[str, ...]:
    """The layers the encoder has to deliver for this recipe, without repeats."""
    return tuple(dict.fromkeys([*recipe.content.layers, *recipe.style.layers]))
