"""Define statistics: small summaries of a picture for losses, additive over its parts.

Moments of features, features at sampled places, and averages over boxes are all sums over
positions, so that the statistics of tiles or views merge into those of the whole. A loss of
statistics therefore needs the picture only part by part: once to measure it, and once to
back-propagate the loss's slopes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from impasto.objective.tiles import Tile

Features = dict[str, Tensor]
"""By layer: [1, C, h, w] of a picture, or the part of it that a tile owns."""


class Statistic(Protocol):
    """One statistic of a picture, or of a part of it."""

    @property
    def weight(self) -> float:
        """Weight of this part: the whole's tensors are the weighted mean of its parts'."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that a loss is a function of."""

    def merge(self, other: Self) -> Self:
        """Return the statistic of both parts together."""

    @classmethod
    def mix(cls, parts: Sequence[Self], weights: Sequence[float]) -> Self:
        """Return the statistic of a mixture of several pictures.

        Args:
            parts: one for each picture.
            weights: one for each picture, >= 0, not all 0.
        """


Statistics = list[Statistic | None]
"""What a gauge measures, in its own order. None: there was nothing to measure."""


class Gauge(Protocol):
    """Measures one kind of statistics, of pictures of one size.

    Attributes:
        joins_views: whether the statistics of a canvas's views can be merged too, so that there is
            one loss for all views, and not one each.
    """

    joins_views: bool

    def measure(self, features: Features, tile: Tile | None = None) -> Statistics:
        """Measure features; differentiable, in float32 (float64 stays float64).

        Args:
            features: the features of the picture, or those that a tile owns.
            tile: the tile. None: the features are those of the whole picture.
        """


def add_by_name(*parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add up the losses of several parts by name."""
    sums: dict[str, Tensor] = {}
    for part in parts:
        for name, loss in part.items():
            sums[name] = sums[name] + loss if name in sums else loss
    return sums


def merge_statistics(first: Sequence[Statistics], second: Sequence[Statistics]) -> list[Statistics]:
    """Merge the statistics of two parts, gauge by gauge. ``first`` may be empty."""
    if not first:
        return list(second)
    return [
        [b if a is None else a if b is None else a.merge(b) for a, b in zip(*both, strict=True)]
        for both in zip(first, second, strict=True)
    ]


@dataclass(frozen=True)
class Slope:
    """The gradient of a loss in a statistic of the whole picture.

    Attributes:
        weight: the weight of the statistic.
        gradients: the gradient in each of its tensors.
    """

    weight: float
    gradients: tuple[Tensor, ...]

    def project(self, part: Statistic) -> Tensor:
        """Return what a part contributes to the linear function that has this gradient."""
        linear = [
            (gradient * tensor).sum()
            for gradient, tensor in zip(self.gradients, part.tensors, strict=True)
        ]
        return part.weight / self.weight * torch.stack(linear).sum()


Slopes = Sequence[Sequence[Slope | None]]
"""By gauge, in the gauge's own order. None: there was nothing to measure."""


def require_gradients(statistics: Sequence[Statistics]) -> list[Tensor]:
    """Make the tensors of statistics leaves that a loss has gradients in, and return them."""
    return [
        tensor.requires_grad_()
        for each in statistics
        for statistic in each
        if statistic is not None
        for tensor in statistic.tensors
    ]


def compute_slopes(
    loss: Tensor, statistics: Sequence[Statistics], leaves: Sequence[Tensor]
) -> list[list[Slope | None]]:
    """Differentiate a loss in statistics.

    Args:
        loss: a scalar; it need not depend on every statistic.
        statistics: the statistics of the whole picture.
        leaves: their tensors, as :func:`require_gradients` returned them.
    """
    gradients: Iterator[Tensor] = iter(())
    if leaves:
        gradients = iter(
            torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
        )
    return [
        [
            None if one is None else Slope(one.weight, tuple(next(gradients) for _ in one.tensors))
            for one in each
        ]
        for each in statistics
    ]


def project_on_slopes(slopes: Slopes, parts: Sequence[Statistics]) -> list[Tensor]:
    """Return what a part of the picture contributes along each slope; see :meth:`Slope.project`."""
    return [
        slope.project(part)
        for each, layer_parts in zip(slopes, parts, strict=True)
        for slope, part in zip(each, layer_parts, strict=True)
        if slope is not None and part is not None
    ]
