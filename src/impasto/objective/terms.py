"""Define the terms of a recipe: losses of statistics, each with its gauge and its targets.

A term says what it measures (its gauge) and what that costs (:meth:`Term.compute_loss`). The
formulas are the pure functions of :mod:`impasto.objective.losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.encoders.encoder import PIXELS
from impasto.engine.machine.storage import Storage
from impasto.engine.regions import Regions
from impasto.objective.losses.bures import bures_loss, make_bures_target
from impasto.objective.losses.content import TINY
from impasto.objective.losses.earth_mover import EarthMoverTarget, relaxed_earth_mover
from impasto.objective.losses.gram import covariance_loss, gram_loss, mean_std_loss
from impasto.objective.losses.palette import LEAST_SPREAD, convert_to_oklab
from impasto.objective.losses.self_similarity import measure_distances, self_similarity_loss
from impasto.objective.losses.temporal import PastResult
from impasto.objective.losses.wasserstein import make_wasserstein_target, wasserstein_loss
from impasto.objective.statistics.gauge import Gauge, Statistic, Statistics
from impasto.objective.statistics.region_masks import MomentGauge, RegionMasks
from impasto.objective.statistics.samples import AverageGauge, PointGauge
from impasto.objective.target_cache import Measure, TargetCache
from impasto.objective.targets import mix_targets, require_complete
from impasto.recipe.recipe import Recipe
from impasto.recipe.tables import StyleChoice


class Term(Protocol):
    """A loss of a picture's statistics."""

    @property
    def name(self) -> str:
        """The part of the objective that the loss is added to, such as ``style``."""

    @property
    def gauge(self) -> Gauge:
        """What to measure of a picture."""

    def compute_loss(self, statistics: Statistics) -> Tensor:
        """Compute the loss, a scalar, of what :attr:`gauge` measured."""


@dataclass(frozen=True)
class Distance:
    """A distance between the statistics of a result and those of a painting.

    Attributes:
        loss: returns a scalar >= 0, from what is compared of the result and what ``prepare``
            returned.
        prepare: prepares what is compared of the painting, once.
        convert: returns what is compared, from the statistics of either.
    """

    loss: Callable[[Any, Any], Tensor]
    prepare: Callable[[Any], Any] = lambda target: target
    convert: Callable[[Any], Any] = lambda statistic: statistic


MOMENT_DISTANCES: dict[str, Callable[[StyleChoice], Distance]] = {
    "gram": lambda style: Distance(
        partial(gram_loss, normalization=style.normalization, over=style.gram)
    ),
    "covariance": lambda _: Distance(covariance_loss),
    "remd": lambda _: Distance(covariance_loss),  # in addition to the distance of samples
    "mean_std": lambda _: Distance(mean_std_loss),
    "bures": lambda _: Distance(bures_loss, make_bures_target),
    "wasserstein": lambda _: Distance(wasserstein_loss, make_wasserstein_target),
}
"""The distances between moments, by the recipe's ``style.distance``."""


class StyleTerm:
    """The distance of a picture's statistics to the paintings', over layers and regions."""

    def __init__(
        self,
        gauge: Gauge,
        layers: Mapping[str, float],
        targets: Sequence[Sequence[Statistic]],
        shares: Sequence[float],
        distance: Distance,
        name: str = "style",
    ) -> None:
        """Prepare the targets.

        Args:
            gauge: measures the statistics of these layers and regions.
            layers: weight of each layer.
            targets: the target of each region, by layer; see
                :func:`impasto.objective.targets.mix_targets`.
            shares: the share of the picture that each region covers.
            distance: the distance between statistics and targets.
            name: see :attr:`Term.name`.
        """
        self.name, self.gauge = name, gauge
        self._loss, self._convert = distance.loss, distance.convert
        self._targets = [
            (weight * share, distance.prepare(distance.convert(target)))
            for weight, of_layer in zip(layers.values(), targets, strict=True)
            for share, target in zip(shares, of_layer, strict=True)
        ]

    def compute_loss(self, statistics: Statistics) -> Tensor:
        """Compute the weighted sum over layers and regions.

        A region that is too small for a layer has no statistic there and adds 0.
        """
        losses = [
            weight * self._loss(self._convert(statistic), target)
            for (weight, target), statistic in zip(self._targets, statistics, strict=True)
            if statistic is not None
        ]
        return sum(losses, torch.zeros(()))


class SelfSimilarityTerm:
    """Content as self-similarity: which places of the picture resemble each other."""

    name = "content"

    def __init__(self, layers: Mapping[str, float], photo: Tensor, measure: Measure) -> None:
        """Measure the photo [1, 3, H, W].

        Args:
            layers: weight of each layer.
            photo: [1, 3, H, W].
            measure: measures it.
        """
        self.gauge: Gauge = AverageGauge(list(layers), _get_size(photo), RegionMasks((), ()))
        self._weights = list(layers.values())
        (statistics,) = measure(photo, [self.gauge])
        self._targets = [measure_distances(points) for points in _list_points(statistics)]

    def compute_loss(self, statistics: Statistics) -> Tensor:
        """Compute the weighted sum over layers."""
        every_points = _list_points(statistics)
        losses = [
            weight * self_similarity_loss(points, target)
            for weight, points, target in zip(
                self._weights, every_points, self._targets, strict=True
            )
        ]
        return torch.stack(losses).sum()


def _list_points(statistics: Statistics) -> list[Tensor]:
    return [points for each in statistics if each is not None for points in each.tensors]


@dataclass(frozen=True)
class PassPictures:
    """The pictures that an objective compares, at the size of one scale.

    Attributes:
        photo: [1, 3, H, W] RGB in [0, 1].
        paintings: [1, 3, h, w] each, at their style size.
        masks: [H, W] in [0, 1] each, where each painting is the style. Empty: the blend of all
            paintings is the style everywhere.
        style_masks: [h, w] in [0, 1] each, which part of each painting counts. None: all of a
            painting. Empty: all of every painting.
        weight: [H, W] in [0, 1], how much each pixel of the photo counts. None: all count alike.
        past: the past result that a film's frame stays near, of the photo's size. None: the photo
            is not a frame of a film.
        start: [1, 3, H, W], the picture that the pass starts from, for an objective that depends on
            it. None: the photo.
        storage: holds what is made of them and as large as they are. None: the memory of the
            device.
    """

    photo: Tensor
    paintings: Sequence[Tensor]
    masks: Sequence[Tensor] = ()
    style_masks: Sequence[Tensor | None] = ()
    weight: Tensor | None = None
    past: PastResult | None = None
    start: Tensor | None = None
    storage: Storage | None = None

    @classmethod
    def gather(
        cls,
        photo: Tensor,
        paintings: Sequence[Tensor],
        regions: Regions,
        storage: Storage,
        past: PastResult | None = None,
        start: Tensor | None = None,
    ) -> PassPictures:
        """Make the masks of some regions at the sizes of the pictures.

        Args:
            photo: [1, 3, H, W] RGB in [0, 1].
            paintings: [1, 3, h, w] each, at their style size.
            regions: the regions of the photo and of the paintings.
            storage: holds the masks.
            past, start: see :class:`PassPictures`.
        """
        height, width = photo.shape[2:]
        sizes = [(image.shape[3], image.shape[2]) for image in paintings]
        masks = regions.make_masks(width, height, storage)
        style_masks = regions.make_style_masks(sizes, storage)
        return cls(photo, paintings, masks, style_masks, past=past, start=start, storage=storage)


def build_terms(
    recipe: Recipe,
    pictures: PassPictures,
    measure: Measure,
    cache: TargetCache | None = None,
) -> list[Term]:
    """Build the terms of the style, of the palette, and of a content that is self-similarity.

    Args:
        recipe: the recipe with the weights, layers and distances.
        pictures: the photo, the paintings and their masks.
        measure: measures a picture; used for the targets.
        cache: statistics of paintings that were measured in the same way. None: every painting is
            measured.

    Raises:
        InputError: a style mask leaves too little of its painting.
    """
    kinds = _list_kinds(recipe)
    storage = pictures.storage
    layers = [PIXELS, *recipe.style.layers]
    photo = pictures.photo
    regions = RegionMasks(pictures.masks, layers, storage, weight=pictures.weight)
    paintings = []
    style_masks = pictures.style_masks or [None] * len(pictures.paintings)
    for painting, mask in zip(pictures.paintings, style_masks, strict=True):
        visible = RegionMasks(() if mask is None else (mask,), layers, storage)
        gauges = [kind.make_gauge(_get_size(painting), visible) for kind in kinds]
        if cache is None or mask is not None:
            statistics = measure(painting, gauges)
        else:
            statistics = cache.measure(painting, gauges, measure)
        paintings.append([require_complete(each) for each in statistics])
    gauges = [kind.make_gauge(_get_size(photo), regions) for kind in kinds]
    own = measure(photo, gauges) if recipe.is_reduced else [None] * len(kinds)
    terms: list[Term] = []
    for place, (kind, gauge) in enumerate(zip(kinds, gauges, strict=True)):
        targets = mix_targets(
            recipe, [each[place] for each in paintings], len(regions.shares), own[place]
        )
        terms.append(
            StyleTerm(gauge, kind.layers, targets, regions.shares, kind.distance, kind.name)
        )
    content = recipe.content
    structure = 1.0 if content.kind == "self_similarity" else content.structure
    if structure:
        weights = {layer: structure * weight for layer, weight in content.layers.items()}
        terms.append(SelfSimilarityTerm(weights, photo, measure))
    return terms


@dataclass(frozen=True)
class _Kind:
    """A kind of statistics that is compared with the paintings'."""

    name: str
    layers: Mapping[str, float]
    make_gauge: Callable[[tuple[int, int], RegionMasks], Gauge]
    distance: Distance


def _list_kinds(recipe: Recipe) -> list[_Kind]:
    style, layers = recipe.style, recipe.style.layers
    names = list(layers)

    def gauge_moments(_: tuple[int, int], regions: RegionMasks) -> Gauge:
        return MomentGauge(names, regions)

    def gauge_points(size: tuple[int, int], regions: RegionMasks) -> Gauge:
        return PointGauge(names, size, regions)

    def gauge_colors(size: tuple[int, int], regions: RegionMasks) -> Gauge:
        return AverageGauge([PIXELS], size, regions)

    kinds = [_Kind("style", layers, gauge_moments, MOMENT_DISTANCES[style.distance](style))]
    if style.distance == "remd":
        loss = partial(relaxed_earth_mover, cost=style.cost)
        distance = Distance(loss, _scale_points, lambda samples: samples.points)
        kinds.append(_Kind("style", layers, gauge_points, distance))
    if recipe.palette.weight:
        loss = partial(relaxed_earth_mover, cost="euclidean")
        distance = Distance(loss, _scale_colors, lambda samples: convert_to_oklab(samples.points))
        kinds.append(_Kind("palette", {PIXELS: 1.0}, gauge_colors, distance))
    return kinds


def _scale_points(points: Tensor) -> EarthMoverTarget:
    """Return a painting's points in units of their root mean square: all layers weigh alike."""
    unit = points.square().sum(1).mean().sqrt().clamp(min=TINY)
    return EarthMoverTarget(points / unit, unit)


def _scale_colors(colors: Tensor) -> EarthMoverTarget:
    """Return a painting's colors, in OKLab, in units of their spread."""
    unit = (colors - colors.mean(0)).square().sum(1).mean().sqrt().clamp(min=LEAST_SPREAD)
    return EarthMoverTarget(colors / unit, unit)


def _get_size(image: Tensor) -> tuple[int, int]:
    return image.shape[2], image.shape[3]
