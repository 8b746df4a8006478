"""The terms of a recipe that are losses of statistics, and what each is held against."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.encoders.layers import PIXELS
from impasto.engine.storage import Storage
from impasto.objective.losses.self_similarity import distances, self_similarity_loss
from impasto.objective.statistics.gauge import Gauge, Statistics, Term
from impasto.objective.statistics.region_masks import MomentGauge, RegionMasks
from impasto.objective.statistics.samples import Averages, Points, Samples
from impasto.objective.style import (
    Distance,
    StyleLoss,
    complete,
    distance_of_colors,
    distance_of_moments,
    distance_of_samples,
    style_targets,
)
from impasto.recipe.recipe import Recipe

Measure = Callable[[Tensor, Sequence[Gauge]], list[Statistics]]
"""What the gauges find in a whole picture [1, 3, H, W]."""


KNOWN = 32
"""Paintings and sizes; one takes some megabytes."""


class TargetCache:
    """What was found in whole paintings, so that the next photo of that size need not measure."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, list[Statistics]] = OrderedDict()

    def measure(
        self, painting: Tensor, gauges: Sequence[Gauge], measure: Measure
    ) -> list[Statistics]:
        """As ``measure``; a painting is known by its pixels."""
        pixels = painting.detach().cpu().contiguous()
        digest = hashlib.sha256(repr(pixels.shape).encode())
        digest.update(pixels.numpy().data)
        key = digest.digest()
        if key not in self._found:
            self._found[key] = measure(painting, gauges)
            if len(self._found) > KNOWN:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]


@dataclass(frozen=True)
class Kind:
    """Something that is compared with the paintings'.

    Attributes:
        name: of the objective's term that it counts in.
        layers: their weights.
        gauge: of it, in a picture of some size and its regions.
        distance_to: what a painting has of it.
    """

    name: str
    layers: Mapping[str, float]
    gauge: Callable[[tuple[int, int], RegionMasks], Gauge]
    distance_to: Callable[[Any], Distance]


def terms_of(
    recipe: Recipe,
    photo: Tensor,
    paintings: Sequence[Tensor],
    masks: Sequence[Tensor],
    style_masks: Sequence[Tensor | None],
    storage: Storage | None,
    measure: Measure,
    known: TargetCache | None = None,
) -> list[Term]:
    """Those of the style, of the palette, and of a content that is self-similarity.

    Args:
        recipe: weights, layers and distances.
        photo: [1, 3, H, W].
        paintings: [1, 3, h, w] each.
        masks: [H, W] in [0, 1] each; see :class:`RegionMasks`.
        style_masks: [h, w] in [0, 1] each: which part of each painting counts; none: all.
        storage: of the masks at the layers' sizes; none: where the masks are.
        measure: for the targets.
        known: paintings measured before, by the same means.

    Raises:
        InputError: a painting's mask leaves too little of it.
    """
    kinds, looked_at = _kinds(recipe), [PIXELS, *recipe.style.layers]
    regions = RegionMasks(masks, looked_at, storage)
    found = []
    for painting, mask in zip(paintings, style_masks or [None] * len(paintings), strict=True):
        shown = RegionMasks(() if mask is None else (mask,), looked_at, storage)
        ways = [kind.gauge(_size(painting), shown) for kind in kinds]
        if known is None or mask is not None:
            here = measure(painting, ways)
        else:
            here = known.measure(painting, ways, measure)
        found.append([complete(each) for each in here])
    gauges = [kind.gauge(_size(photo), regions) for kind in kinds]
    own = measure(photo, gauges) if recipe.is_reduced else [None] * len(kinds)
    terms = []
    for place, (kind, gauge) in enumerate(zip(kinds, gauges, strict=True)):
        shares, of_paintings = regions.shares, [each[place] for each in found]
        targets = style_targets(recipe, of_paintings, len(shares), own[place])
        loss = StyleLoss(kind.layers, targets, shares, kind.distance_to)
        terms.append(Term(kind.name, gauge, loss))
    content = recipe.content
    structure = 1.0 if content.kind == "self_similarity" else content.structure
    if structure:
        layers = {layer: structure * weight for layer, weight in content.layers.items()}
        terms.append(_self_similarity(layers, photo, measure))
    return terms


def _kinds(recipe: Recipe) -> list[Kind]:
    style, layers = recipe.style, recipe.style.layers
    names = list(layers)

    def moments(_: tuple[int, int], regions: RegionMasks) -> Gauge:
        return MomentGauge(names, regions)

    def points(size: tuple[int, int], regions: RegionMasks) -> Gauge:
        return Points(names, size, regions)

    def colors(size: tuple[int, int], regions: RegionMasks) -> Gauge:
        return Averages([PIXELS], size, regions)

    kinds = [Kind("style", layers, moments, distance_of_moments(style))]
    if style.distance == "remd":
        kinds.append(Kind("style", layers, points, distance_of_samples(style)))
    if recipe.palette.weight:
        kinds.append(Kind("palette", {PIXELS: 1.0}, colors, distance_of_colors))
    return kinds


def _self_similarity(layers: Mapping[str, float], photo: Tensor, measure: Measure) -> Term:
    gauge = Averages(list(layers), _size(photo), RegionMasks((), ()))
    (found,) = measure(photo, [gauge])
    targets = [distances(each.points) for each in found if isinstance(each, Samples)]

    def loss(found: Statistics) -> Tensor:
        losses = [
            weight * self_similarity_loss(each.points, target)
            for weight, each, target in zip(layers.values(), found, targets, strict=True)
            if isinstance(each, Samples)
        ]
        return torch.stack(losses).sum()

    return Term("content", gauge, loss)


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[2], image.shape[3]
