"""The objective of nearest-neighbour style transfer at one size: the whole picture, untiled."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.objective.losses import content_loss
from impasto.objective.neighbors import (
    GRID,
    cosine_loss,
    hypercolumns,
    matched,
    nearest_loss,
    on_grid,
)
from impasto.objective.objective import Losses, evaluated, features_of, smoothness_of
from impasto.recipe import Recipe


class MatchingObjective:
    """As :class:`impasto.objective.objective.Objective`, with neighbours for the style term.

    Targets are fixed when it is made: the painting's hypercolumns nearest to those of the photo,
    blended with the picture a scale begins with. When *splitting*, every layer has neighbours of
    its own instead, sought anew in each evaluation.
    """

    def __init__(
        self,
        recipe: Recipe,
        encoder: Encoder,
        content: Tensor,
        styles: Sequence[Tensor],
        *,
        current: Tensor | None = None,
        splitting: bool = False,
        autocast: torch.dtype | None = None,
    ) -> None:
        """Find the targets.

        Args:
            recipe, encoder, content, styles, autocast: as for the other objective.
            current: [1, 3, H, W] in [0, 1], the picture so far; none: the photo.
            splitting: whether layers are matched one by one.
        """
        self.recipe = recipe
        self._encoder = encoder
        self._autocast = autocast
        self._layers = recipe.style.layers
        self._photo = content if recipe.photorealism.weight else None
        self._splitting = splitting
        with torch.no_grad():
            photo = self._features(content)
            self._content = {layer: photo[layer] for layer in recipe.content.layers}
            self._own = hypercolumns(photo, self._layers) if recipe.is_reduced else None
            del photo
            if splitting:
                self._sample(styles)
            else:
                self._match(content, content if current is None else current, styles)

    def __call__(self, image: Tensor) -> Losses:
        """The losses of a picture [1, 3, H, W] in [0, 1], differentiable in it."""
        recipe = self.recipe
        features = self._features(image)
        style = self._split(features, image) if self._splitting else self._fixed(features)
        if self._own is not None:
            columns = hypercolumns(features, self._layers)
            kept = cosine_loss(columns, self._own, self._own.mean(0))
            style = torch.lerp(kept, style, self._strength)
        content = zero = style.new_zeros(())
        if recipe.content.weight:
            kind = recipe.content.normalization
            for layer, weight in recipe.content.layers.items():
                loss = content_loss(features[layer], self._content[layer], kind)
                content = content + weight * loss
        smooth = smoothness_of(recipe, image, self._photo, zero)
        return Losses.of(recipe, {"content": content, "style": style}, smooth)

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses of a picture as numbers, and the gradient of their total, [1, 3, H, W]."""
        return evaluated(self, image)

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture as numbers."""
        with torch.no_grad():
            return self(image).as_numbers()

    @property
    def _strength(self) -> float:
        """Of all paintings together; what it lacks to 1 is the pull of the photo's own features."""
        return self.recipe.strengths(1)[0]

    def _match(self, content: Tensor, current: Tensor, styles: Sequence[Tensor]) -> None:
        share = self.recipe.neighbors.photo_share
        blended = self._features(torch.lerp(current.to(content), content, share))
        upright = [self._columns(style) for style in styles]
        self._center = torch.cat(upright).mean(0)
        del upright
        turned = (self._columns(turn) for style in styles for turn in self._turns(style))
        self._targets = matched(hypercolumns(blended, self._layers), turned, self._center)

    def _fixed(self, features: dict[str, Tensor]) -> Tensor:
        columns = hypercolumns(features, self._layers)
        return cosine_loss(columns, self._targets, self._center)

    def _sample(self, styles: Sequence[Tensor]) -> None:
        """As many features of each layer as the grid has places, drawn from all paintings."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        found: dict[str, list[Tensor]] = {layer: [] for layer in self._layers}
        for style in styles:
            for turn in self._turns(style):
                features = self._features(turn)
                for layer, several in found.items():
                    several.append(on_grid(features[layer], generator))
        self._keys, self._centers = {}, {}
        for layer, several in found.items():
            keys = torch.cat(several)
            drawn = torch.randperm(len(keys), generator=generator)[: GRID**2]
            self._keys[layer], self._centers[layer] = keys[drawn.to(keys.device)], keys.mean(0)

    def _split(self, features: dict[str, Tensor], image: Tensor) -> Tensor:
        # Other places every time, so that none is left out; drawn from the picture itself, so that
        # a resumed run draws the same.
        bits = struct.unpack("<q", struct.pack("<d", float(image.detach().double().sum())))[0]
        generator = torch.Generator().manual_seed(bits)
        losses = [
            weight
            * nearest_loss(
                on_grid(features[layer], generator), self._keys[layer], self._centers[layer]
            )
            for layer, weight in self._layers.items()
        ]
        return torch.stack(losses).sum() / sum(self._layers.values())

    def _turns(self, style: Tensor) -> Iterator[Tensor]:
        """A painting upright and, if the recipe says so, turned by 90, 180 and 270 degrees."""
        for quarters in range(4 if self.recipe.neighbors.rotations else 1):
            yield torch.rot90(style, quarters, (2, 3))

    def _columns(self, style: Tensor) -> Tensor:
        return hypercolumns(self._features(style), self._layers)

    def _features(self, image: Tensor) -> dict[str, Tensor]:
        return features_of(self._encoder, image, self.recipe, self._autocast)
