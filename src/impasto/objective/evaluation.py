"""Define what all objectives share: feature extraction, losses by name, and losses of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.encoders.encoder import PIXELS, Encoder
from impasto.objective.losses.content import sum_squared_error
from impasto.objective.losses.matting import WINDOW, matting_energy
from impasto.objective.losses.smoothness import count_differences, total_variation
from impasto.objective.losses.temporal import PastResult, temporal_energy
from impasto.objective.statistics.gauge import Features, add_by_name
from impasto.objective.target_cache import TargetCache
from impasto.objective.tiles import Tile
from impasto.recipe.recipe import Recipe

TERMS = ("content", "style", "palette", "smoothness", "photorealism", "temporal")
"""The losses that a recipe weighs. Content, style and smoothness are always reported, the others
only if the recipe uses them."""


@dataclass(frozen=True)
class Losses:
    """The losses of a picture by name, each multiplied by its weight. Scalars, float32."""

    terms: dict[str, Tensor]

    @classmethod
    def weigh(cls, recipe: Recipe, *parts: Mapping[str, Tensor]) -> Losses:
        """Multiply losses by the recipe's weights. A loss that has several parts is their sum."""
        losses = add_by_name(*parts)
        return cls(
            {name: get_weight(recipe, name) * losses[name] for name in TERMS if name in losses}
        )

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return torch.stack(list(self.terms.values())).sum()

    def as_numbers(self) -> dict[str, float]:
        """Return ``{"total": ..., "content": ..., "style": ..., "smoothness": ...}`` as floats."""
        values = torch.stack([self.total, *self.terms.values()]).detach().tolist()
        return dict(zip(("total", *self.terms), values, strict=True))


def get_weight(recipe: Recipe, term: str) -> float:
    """Return the weight of a loss. Strength scales smoothness too: at 0 the photo is unchanged."""
    weight: float = getattr(recipe, term).weight
    return recipe.strength * weight if term == "smoothness" else weight


@dataclass(frozen=True)
class FeatureExtractor:
    """An encoder with the settings of a recipe.

    Attributes:
        recipe: the recipe with the layers, the activation scale and the terms.
        encoder: the encoder, with taps for every layer of the recipe; see :func:`list_taps`.
        autocast: dtype of the convolutions. None: the dtype of the pictures.
        cache: statistics of paintings that were measured through this encoder before.
    """

    recipe: Recipe
    encoder: Encoder
    autocast: torch.dtype | None = None
    cache: TargetCache = field(default_factory=TargetCache)

    @property
    def halo(self) -> int:
        """Width of a tile's halo in pixels, in whole cells."""
        cell = self.encoder.cell
        return -(-self.encoder.halo // cell) * cell

    @property
    def device(self) -> torch.device:
        """Where the encoder computes."""
        return self.encoder.device

    def extract(self, image: Tensor) -> Features:
        """Return the activations of a picture, and the picture itself under :data:`PIXELS`.

        Args:
            image: [1, 3, H, W] in [0, 1], a picture or a part of one, on any device.
        """
        context: AbstractContextManager[object] = nullcontext()
        if self.autocast is not None:
            context = torch.autocast(self.device.type, self.autocast)
        image = image.to(self.device)
        with context:
            features = self.encoder(image)
        scale = self.recipe.encoder.activation_scale
        if scale != 1:
            features = {layer: each * scale for layer, each in features.items()}
        return {PIXELS: image, **features}


def list_taps(recipe: Recipe) -> tuple[str, ...]:
    """List the layers that a recipe needs from the encoder, each once."""
    return tuple(dict.fromkeys([*recipe.content.layers, *recipe.style.layers]))


def compare_contents(
    features: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    weights: Mapping[str, Tensor | None],
    factors: Mapping[str, float],
    device: torch.device,
) -> Tensor:
    """Compute a picture's content loss, or the part of it that a tile adds.

    Args:
        features: [1, C, h, w] by layer.
        targets: the photo's, by layer, of the same shapes.
        weights: [h, w] by layer, how much each position counts. None: all count alike.
        factors: factor of each layer's sum of squared differences.
        device: where the result is.
    """
    losses = [
        factors[layer] * sum_squared_error(features[layer], target.to(device), weights[layer])
        for layer, target in targets.items()
    ]
    return sum(losses, torch.zeros((), device=device))


@dataclass(frozen=True)
class PixelTerms:
    """The losses of the pixels themselves: smoothness, photorealism and temporal consistency.

    Attributes:
        recipe: the recipe that weighs them.
        shape: shape [1, 3, H, W] of the pictures.
        counts: what :func:`count_differences` returned for them.
        photo: [1, 3, H, W]. None: photorealism does not count.
        past: the past result, of the same size. None: the picture is not a frame of a film.
        weight: [H, W] in [0, 1], how much each pixel counts. None: all count alike.
    """

    recipe: Recipe
    shape: Sequence[int]
    counts: tuple[float, float]
    photo: Tensor | None = None
    past: PastResult | None = None
    weight: Tensor | None = None

    @classmethod
    def choose(
        cls,
        recipe: Recipe,
        photo: Tensor,
        past: PastResult | None = None,
        weight: Tensor | None = None,
    ) -> PixelTerms:
        """Keep what the recipe's terms need of a photo and a past result.

        Args:
            recipe: the recipe.
            photo: [1, 3, H, W].
            past, weight: see :class:`PixelTerms`.
        """
        return cls(
            recipe,
            photo.shape,
            count_differences(photo.shape, weight),
            photo if recipe.photorealism.weight else None,
            past if recipe.temporal.weight else None,
            weight,
        )

    def compute(
        self, image: Tensor, device: torch.device, tile: Tile | None = None
    ) -> dict[str, Tensor]:
        """Compute the losses of a picture, or the parts that a tile adds, without their weights.

        Args:
            image: [1, 3, H, W], or the tile's pixels [1, 3, h, w] with its halo.
            device: where the results are.
            tile: the tile. None: the image is whole.
        """

        def cut(whole: Tensor, more: int) -> Tensor:
            """Return the core of what lies under the image, and some rows and columns more."""
            if tile is None:
                return whole
            return tile.cut_core(tile.cut(whole).to(image.device), more)

        def cut_image(more: int) -> Tensor:
            return image if tile is None else tile.cut_core(image, more)

        pixels = self.shape[2] * self.shape[3]
        losses = {"smoothness": torch.zeros((), dtype=image.dtype, device=device)}
        if self.recipe.smoothness.weight:
            weight = None if self.weight is None else cut(self.weight, 1)
            variation = total_variation(
                cut_image(1),
                self.recipe.smoothness.kind,
                weight,
                core=None if tile is None else tile.core_size,
                counts=self.counts,
            )
            losses["smoothness"] = variation.to(device)
        if self.photo is not None:
            energy = matting_energy(cut_image(WINDOW - 1), cut(self.photo, WINDOW - 1))
            losses["photorealism"] = (energy / pixels).to(device)
        if self.past is not None:
            past = self.past if tile is None else self.past.cut(tile, image.device)
            losses["temporal"] = (temporal_energy(cut_image(0), past) / pixels).to(device)
        return losses
