"""Define the objective of nearest-neighbor style transfer, for whole pictures of one size."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.errors import InputError
from impasto.objective.evaluation import FeatureExtractor, PixelTerms
from impasto.objective.losses.content import content_loss
from impasto.objective.losses.neighbor_matching import (
    GRID,
    build_hypercolumns,
    cosine_loss,
    draw_places,
    get_grid,
    match_features,
    match_hypercolumns,
    sample_grid,
)
from impasto.objective.statistics.gauge import Statistics
from impasto.objective.statistics.region_masks import TOO_LITTLE, RegionMasks
from impasto.objective.terms import PassPictures
from impasto.objective.views import DirectObjective
from impasto.recipe.recipe import Recipe

COLUMNS = "relu3_1"
"""A layer with a place for every hypercolumn."""
VISIBLE = 0.5
"""Value of a style mask above which a place of the painting can be a neighbor."""


@dataclass
class NeighborSource:
    """Paintings whose features are searched together.

    Attributes:
        paintings: indices of the paintings.
        weight: weight of their loss.
        strength: strength of the style in [0, 1]; the photo's own features have the rest.
        region: index of the mask in which they are the style. None: everywhere.
        targets: [N, C] hypercolumns, one for each place of the picture.
        center: [C], mean of the paintings' hypercolumns.
        keys: [M, C] features of the paintings, by layer.
        centers: [C], their mean, by layer.
    """

    paintings: Sequence[int]
    weight: float
    strength: float
    region: int | None = None
    targets: Tensor = field(default_factory=lambda: torch.zeros(0))
    center: Tensor = field(default_factory=lambda: torch.zeros(0))
    keys: dict[str, Tensor] = field(default_factory=dict)
    centers: dict[str, Tensor] = field(default_factory=dict)


def group_paintings(recipe: Recipe, paintings: int, *, masked: bool) -> list[NeighborSource]:
    """Group paintings into sources: one source for all, unless they have regions, weights or
    strengths of their own.
    """
    strengths, weights = (
        recipe.list_strengths(paintings),
        recipe.style.weights or (1.0,) * paintings,
    )
    if masked:
        return [NeighborSource([i], 1.0, strengths[i], region=i) for i in range(paintings)]
    if len(set(weights)) == len(set(strengths)) == 1:
        return [NeighborSource(range(paintings), 1.0, strengths[0])]
    return [
        NeighborSource([i], weights[i] / sum(weights), strengths[i])
        for i in range(paintings)
        if weights[i]
    ]


class NeighborObjective(DirectObjective):
    """An objective whose style term compares each place with a place of the painting.

    By default the targets are fixed: the painting's hypercolumns nearest to those of the photo
    blended with the picture that a scale starts from. With ``per_layer``, every layer has neighbors
    of its own, which are searched in each evaluation.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        pictures: PassPictures,
        *,
        per_layer: bool = False,
    ) -> None:
        """Find the targets.

        Args:
            extractor, pictures: see :class:`impasto.objective.whole.WholeObjective`. A
                place of a painting can be a neighbor where its style mask is above
                :data:`VISIBLE`.
            per_layer: whether each layer has neighbors of its own.

        Raises:
            InputError: a style mask leaves too little of its painting.
            ValueError: some pixels of the photo count more than others.
        """
        if pictures.weight is not None:
            raise ValueError("neighbors are matched everywhere: they need a view without weights")
        self._extractor = extractor
        self.recipe = recipe = extractor.recipe
        self._layers = recipe.style.layers
        photo, paintings = pictures.photo, pictures.paintings
        self._pixel_terms = PixelTerms.choose(recipe, photo, pictures.past)
        self._per_layer = per_layer
        self._regions = RegionMasks(pictures.masks, [COLUMNS, *self._layers], pictures.storage)
        sources = group_paintings(recipe, len(paintings), masked=bool(pictures.masks))
        # At a coarse scale, a small region may be empty.
        self._sources = [s for s in sources if s.region is None or self._regions.shares[s.region]]
        style_masks = pictures.style_masks or [None] * len(paintings)
        visible = list(zip(paintings, style_masks, strict=True))
        with torch.no_grad():
            features = extractor.extract(photo)
            self._grid = get_grid(features, self._layers)
            self._content = {layer: features[layer] for layer in recipe.content.layers}
            self._own = build_hypercolumns(features, self._layers) if recipe.is_reduced else None
            del features
            if per_layer:
                self._sample_keys(visible)
            else:
                current = photo if pictures.start is None else pictures.start
                self._match(photo, current, visible)

    def measure_losses(self, image: Tensor) -> tuple[dict[str, Tensor], list[Statistics]]:
        """See :meth:`impasto.objective.views.Objective.measure_losses`; there are no terms."""
        recipe = self.recipe
        features = self._extractor.extract(image)
        columns = None
        if not self._per_layer or self._own is not None:
            columns = build_hypercolumns(features, self._layers)
        if self._per_layer or columns is None:
            losses = self._compare_layers(features, image)
        else:
            losses = [
                cosine_loss(
                    columns, source.targets, source.center, self._get_shares(source, columns)
                )
                for source in self._sources
            ]
        style = zero = torch.zeros((), device=self._extractor.device)
        for source, loss in zip(self._sources, losses, strict=True):
            style = style + source.weight * source.strength * loss
            if columns is not None and self._own is not None:
                shares, mean = self._get_shares(source, columns), self._own.mean(0)
                to_photo = cosine_loss(columns, self._own, mean, shares)
                style = style + source.weight * (1 - source.strength) * to_photo
        content = zero
        if recipe.content.weight:
            kind = recipe.content.normalization
            for layer, weight in recipe.content.layers.items():
                loss = content_loss(features[layer], self._content[layer], kind)
                content = content + weight * loss
        pixels = self._pixel_terms.compute(image, self._extractor.device)
        return {"content": content, "style": style, **pixels}, []

    def _get_shares(self, source: NeighborSource, columns: Tensor) -> Tensor | None:
        """Return the weights [N] of a source at the places of hypercolumns. None: all are 1."""
        if source.region is None:
            return None
        mask = self._regions.get_layer_masks(COLUMNS)[source.region]
        rows, across = self._grid
        return None if mask is None else mask[:rows, :across].flatten().to(columns)

    def _match(
        self, photo: Tensor, current: Tensor, paintings: Sequence[tuple[Tensor, Tensor | None]]
    ) -> None:
        """Match the places of the photo, blended with the current picture, to the paintings'."""
        share = self.recipe.neighbors.photo_share
        blended = self._extractor.extract(torch.lerp(current.to(photo), photo, share))
        queries = build_hypercolumns(blended, self._layers)
        del blended
        for source in self._sources:
            candidates = [paintings[i] for i in source.paintings]
            columns = [self._build_visible_columns(*each) for each in candidates]
            source.center = torch.cat(columns).mean(0)
            del columns
            turned = (
                self._build_visible_columns(*turn)
                for each in candidates
                for turn in self._turn(*each)
            )
            shares = self._get_shares(source, queries)
            source.targets = match_hypercolumns(queries, turned, source.center, shares)

    def _sample_keys(self, paintings: Sequence[tuple[Tensor, Tensor | None]]) -> None:
        """Draw as many features of each layer as the grid has places, from all paintings."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        for source in self._sources:
            candidates: dict[str, list[Tensor]] = {layer: [] for layer in self._layers}
            for index in source.paintings:
                for turn, mask in self._turn(*paintings[index]):
                    features, parts = self._extractor.extract(turn), self._resample_mask(mask)
                    for layer, several in candidates.items():
                        places = draw_places(features[layer], generator)
                        keys = sample_grid(features[layer], places)
                        (part,) = parts.get_layer_masks(layer)
                        several.append(_select(keys, part if part is None else part[places]))
            for layer, several in candidates.items():
                keys = torch.cat(several)
                order = torch.randperm(len(keys), generator=generator)[: GRID**2]
                source.keys[layer] = keys[order.to(keys.device)]
                source.centers[layer] = keys.mean(0)

    def _compare_layers(self, features: dict[str, Tensor], image: Tensor) -> list[Tensor]:
        """Return each source's mean over layers of the distance to the nearest features."""
        # Every evaluation samples other places, so that all of them count in time. The seed comes
        # from the picture itself, so that a resumed run samples the same places.
        bits = struct.unpack("<q", struct.pack("<d", float(image.detach().double().sum())))[0]
        generator = torch.Generator().manual_seed(bits)
        losses: list[list[Tensor]] = [[] for _ in self._sources]
        for layer, weight in self._layers.items():
            places = draw_places(features[layer], generator)
            points, masks = (
                sample_grid(features[layer], places),
                self._regions.get_layer_masks(layer),
            )
            for source, several in zip(self._sources, losses, strict=True):
                mask = None if source.region is None else masks[source.region]
                shares = None if mask is None else mask[places].flatten().to(points)
                keys, center = source.keys[layer], source.centers[layer]
                targets = match_features(points, keys, center)
                several.append(weight * cosine_loss(points, targets, center, shares))
        total = sum(self._layers.values())
        return [torch.stack(several).sum() / total for several in losses]

    def _turn(self, style: Tensor, mask: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield a painting and its mask upright and, if the recipe says so, turned by 90, 180 and
        270 degrees.
        """
        for quarters in range(4 if self.recipe.neighbors.rotations else 1):
            turned = None if mask is None else torch.rot90(mask, quarters)
            yield torch.rot90(style, quarters, (2, 3)), turned

    def _build_visible_columns(self, style: Tensor, mask: Tensor | None) -> Tensor:
        """Build the hypercolumns of the part of a painting that its mask [h, w] leaves visible."""
        features = self._extractor.extract(style)
        columns = build_hypercolumns(features, self._layers)
        rows, across = get_grid(features, self._layers)
        (part,) = self._resample_mask(mask).get_layer_masks(COLUMNS)
        return _select(columns, part if part is None else part[:rows, :across])

    def _resample_mask(self, mask: Tensor | None) -> RegionMasks:
        return RegionMasks(() if mask is None else (mask,), [COLUMNS, *self._layers])


def _select(points: Tensor, mask: Tensor | None) -> Tensor:
    """Return those of the features [N, C] that a mask of N places leaves visible."""
    if mask is None:
        return points
    visible = points[mask.flatten().to(points.device) > VISIBLE]
    if not len(visible):
        raise InputError(TOO_LITTLE, field="style_masks")
    return visible
