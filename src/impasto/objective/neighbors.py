"""The objective of nearest-neighbor style transfer at one size: the whole picture, untiled."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.engine.storage import Storage
from impasto.errors import InputError
from impasto.objective.losses.layer_losses import content_loss
from impasto.objective.losses.nearest import (
    GRID,
    cosine_loss,
    grid_of,
    grid_places,
    hypercolumns,
    matched,
    nearest_loss,
    on_grid,
)
from impasto.objective.losses.temporal import Past
from impasto.objective.statistics.region_masks import TOO_LITTLE, RegionMasks
from impasto.objective.whole import Losses, evaluated, features_of, smoothness_of
from impasto.recipe.recipe import Recipe

COLUMNS = "relu3_1"
"""A layer with a place for every hypercolumn."""
SHOWN = 0.5
"""Of a place of a painting, from which on its mask lets it be a neighbor."""


@dataclass
class Source:
    """Paintings that neighbors are sought in together.

    Attributes:
        paintings: their places in the list of all.
        weight: of their pull.
        strength: in [0, 1]; what it lacks to 1 is the pull of the photo's own features.
        region: the place of the mask that says where they are the style; none: everywhere.
        targets: [N, C] hypercolumns, one for each place of the picture.
        center: [C], the mean of the paintings' hypercolumns.
        keys, centers: by layer, [M, C] features of the paintings and their mean [C].
    """

    paintings: Sequence[int]
    weight: float
    strength: float
    region: int | None = None
    targets: Tensor = field(default_factory=lambda: torch.zeros(0))
    center: Tensor = field(default_factory=lambda: torch.zeros(0))
    keys: dict[str, Tensor] = field(default_factory=dict)
    centers: dict[str, Tensor] = field(default_factory=dict)


def sources_of(recipe: Recipe, paintings: int, *, masked: bool) -> list[Source]:
    """All paintings together if nothing tells them apart; one by one where they have regions,
    weights or strengths of their own.
    """
    strengths, weights = (
        recipe.list_strengths(paintings),
        recipe.style.weights or (1.0,) * paintings,
    )
    if masked:
        return [Source([i], 1.0, strengths[i], region=i) for i in range(paintings)]
    if len(set(weights)) == len(set(strengths)) == 1:
        return [Source(range(paintings), 1.0, strengths[0])]
    return [
        Source([i], weights[i] / sum(weights), strengths[i]) for i in range(paintings) if weights[i]
    ]


class NeighborObjective:
    """As :class:`impasto.objective.whole.Objective`, with neighbors for the style term.

    Targets are fixed when it is made: the painting's hypercolumns nearest to those of the photo,
    blended with the picture a scale begins with. When *splitting*, every layer has neighbors of
    its own instead, sought anew in each evaluation.
    """

    def __init__(
        self,
        recipe: Recipe,
        encoder: Encoder,
        content: Tensor,
        styles: Sequence[Tensor],
        *,
        masks: Sequence[Tensor] = (),
        style_masks: Sequence[Tensor | None] = (),
        storage: Storage | None = None,
        current: Tensor | None = None,
        splitting: bool = False,
        past: Past | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        """Find the targets.

        Args:
            recipe, encoder, content, styles, masks, style_masks, storage, past, autocast: as for
                the other objective. A place of a painting is a neighbor where most of it is
                shown.
            current: [1, 3, H, W] in [0, 1], the picture so far; none: the photo.
            splitting: whether layers are matched one by one.

        Raises:
            InputError: a painting's mask leaves too little of it.
        """
        self.recipe = recipe
        self._encoder = encoder
        self._autocast = autocast
        self._layers = recipe.style.layers
        self._photo = content if recipe.photorealism.weight else None
        self._past = past if recipe.temporal.weight else None
        self._splitting = splitting
        self._regions = RegionMasks(masks, [COLUMNS, *self._layers], storage)
        sources = sources_of(recipe, len(styles), masked=bool(masks))
        # A small region may be gone at a coarse scale.
        self._sources = [s for s in sources if s.region is None or self._regions.shares[s.region]]
        shown = style_masks or [None] * len(styles)
        with torch.no_grad():
            photo = self._features(content)
            self._grid = grid_of(photo, self._layers)
            self._content = {layer: photo[layer] for layer in recipe.content.layers}
            self._own = hypercolumns(photo, self._layers) if recipe.is_reduced else None
            del photo
            if splitting:
                self._sample(styles, shown)
            else:
                self._match(content, content if current is None else current, styles, shown)

    def __call__(self, image: Tensor) -> Losses:
        """The losses of a picture [1, 3, H, W] in [0, 1], differentiable in it."""
        recipe = self.recipe
        features = self._features(image)
        columns = None
        if not self._splitting or self._own is not None:
            columns = hypercolumns(features, self._layers)
        if self._splitting or columns is None:
            pulls = self._split(features, image)
        else:
            pulls = [self._fixed(source, columns) for source in self._sources]
        style = zero = torch.zeros((), device=self._encoder.device)
        for source, pull in zip(self._sources, pulls, strict=True):
            style = style + source.weight * source.strength * pull
            if columns is not None and self._own is not None:
                shares, mean = self._shares(source, columns), self._own.mean(0)
                kept = cosine_loss(columns, self._own, mean, shares)
                style = style + source.weight * (1 - source.strength) * kept
        content = zero
        if recipe.content.weight:
            kind = recipe.content.normalization
            for layer, weight in recipe.content.layers.items():
                loss = content_loss(features[layer], self._content[layer], kind)
                content = content + weight * loss
        smooth = smoothness_of(recipe, image, self._photo, self._past, zero)
        return Losses.of(recipe, {"content": content, "style": style}, smooth)

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """The losses of a picture as numbers, and the gradient of their total, [1, 3, H, W]."""
        return evaluated(self, image)

    def losses(self, image: Tensor) -> dict[str, float]:
        """The losses of a picture as numbers."""
        with torch.no_grad():
            return self(image).as_numbers()

    def _shares(self, source: Source, columns: Tensor) -> Tensor | None:
        """[N], of a source at the places of hypercolumns; none: all of each."""
        if source.region is None:
            return None
        mask = self._regions.masks(COLUMNS)[source.region]
        rows, across = self._grid
        return None if mask is None else mask[:rows, :across].flatten().to(columns)

    def _match(
        self,
        content: Tensor,
        current: Tensor,
        styles: Sequence[Tensor],
        shown: Sequence[Tensor | None],
    ) -> None:
        share = self.recipe.neighbors.photo_share
        blended = self._features(torch.lerp(current.to(content), content, share))
        queries = hypercolumns(blended, self._layers)
        del blended
        for source in self._sources:
            seen = [(styles[i], shown[i]) for i in source.paintings]
            source.center = torch.cat([self._columns(*each) for each in seen]).mean(0)
            turned = (self._columns(*turn) for each in seen for turn in self._turns(*each))
            shares = self._shares(source, queries)
            source.targets = matched(queries, turned, source.center, shares)

    def _fixed(self, source: Source, columns: Tensor) -> Tensor:
        shares = self._shares(source, columns)
        return cosine_loss(columns, source.targets, source.center, shares)

    def _sample(self, styles: Sequence[Tensor], shown: Sequence[Tensor | None]) -> None:
        """As many features of each layer as the grid has places, drawn from all paintings."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        for source in self._sources:
            found: dict[str, list[Tensor]] = {layer: [] for layer in self._layers}
            for place in source.paintings:
                for turn, mask in self._turns(styles[place], shown[place]):
                    features, parts = self._features(turn), self._parts(mask)
                    for layer, several in found.items():
                        places = grid_places(features[layer], generator)
                        keys = on_grid(features[layer], places)
                        (part,) = parts.masks(layer)
                        several.append(_shown(keys, part if part is None else part[places]))
            for layer, several in found.items():
                keys = torch.cat(several)
                drawn = torch.randperm(len(keys), generator=generator)[: GRID**2]
                source.keys[layer] = keys[drawn.to(keys.device)]
                source.centers[layer] = keys.mean(0)

    def _split(self, features: dict[str, Tensor], image: Tensor) -> list[Tensor]:
        """Of each source, the mean over layers of what :func:`nearest_loss` finds."""
        # Other places every time, so that none is left out; drawn from the picture itself, so that
        # a resumed run draws the same.
        bits = struct.unpack("<q", struct.pack("<d", float(image.detach().double().sum())))[0]
        generator = torch.Generator().manual_seed(bits)
        losses: list[list[Tensor]] = [[] for _ in self._sources]
        for layer, weight in self._layers.items():
            places = grid_places(features[layer], generator)
            points, masks = on_grid(features[layer], places), self._regions.masks(layer)
            for source, several in zip(self._sources, losses, strict=True):
                mask = None if source.region is None else masks[source.region]
                shares = None if mask is None else mask[places].flatten().to(points)
                keys, center = source.keys[layer], source.centers[layer]
                several.append(weight * nearest_loss(points, keys, center, shares))
        total = sum(self._layers.values())
        return [torch.stack(several).sum() / total for several in losses]

    def _turns(self, style: Tensor, mask: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """A painting and its mask upright and, if the recipe says so, turned by 90, 180 and 270
        degrees.
        """
        for quarters in range(4 if self.recipe.neighbors.rotations else 1):
            turned = None if mask is None else torch.rot90(mask, quarters)
            yield torch.rot90(style, quarters, (2, 3)), turned

    def _columns(self, style: Tensor, mask: Tensor | None) -> Tensor:
        """The hypercolumns of what a mask [h, w] shows of a painting."""
        features = self._features(style)
        columns = hypercolumns(features, self._layers)
        rows, across = grid_of(features, self._layers)
        (part,) = self._parts(mask).masks(COLUMNS)
        return _shown(columns, part if part is None else part[:rows, :across])

    def _parts(self, mask: Tensor | None) -> RegionMasks:
        return RegionMasks(() if mask is None else (mask,), [COLUMNS, *self._layers])

    def _features(self, image: Tensor) -> dict[str, Tensor]:
        return features_of(self._encoder, image, self.recipe, self._autocast)


def _shown(points: Tensor, mask: Tensor | None) -> Tensor:
    """Those of the features [N, C] that a mask of N places shows."""
    if mask is None:
        return points
    here = points[mask.flatten().to(points.device) > SHOWN]
    if not len(here):
        raise InputError(TOO_LITTLE)
    return here
