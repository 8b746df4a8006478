"""Statistics: what losses that look at a whole picture see of it, small and made of parts.

Moments of features, features at a few places, averages over boxes: all are sums over positions, so
that those of tiles merge into those of the picture. A loss of statistics therefore needs a picture
only tile by tile, once to measure it, and once to pull at it along the loss's slopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from impasto.objective.tiles import Tile

Features = dict[str, Tensor]
"""By layer, [1, C, h, w] of a picture, or those that a tile of it owns."""


class Statistic(Protocol):
    """Of a picture, or of a part of it."""

    @property
    def weight(self) -> float:
        """The whole's tensors are the sum of its parts', by their weights over the whole's."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What a loss is a function of."""

    def merged(self, other: Self) -> Self:
        """Of both parts together."""


Statistics = list[Statistic | None]
"""What a gauge found, in its own order; none where there is nothing to be measured."""


class Gauge(Protocol):
    """Something to be measured of pictures of one size."""

    def measure(self, features: Features, tile: Tile | None = None) -> Statistics:
        """Differentiable in the features, in float32 (float64 stays float64).

        Args:
            features: of the picture, or those that a tile owns.
            tile: whose; none: the picture's.
        """


@dataclass(frozen=True)
class Term:
    """A loss of statistics.

    Attributes:
        name: of the objective's term that it counts in.
        gauge: of what it looks at.
        loss: of what was found, a scalar.
    """

    name: str
    gauge: Gauge
    loss: Callable[[Statistics], Tensor]


def losses_of(terms: Sequence[Term], found: Sequence[Statistics]) -> dict[str, Tensor]:
    """By name, without the recipe's weights, of what the terms' gauges found."""
    return added(*({term.name: term.loss(each)} for term, each in zip(terms, found, strict=True)))


def added(*parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By name, the sums of what the parts have."""
    sums: dict[str, Tensor] = {}
    for part in parts:
        for name, loss in part.items():
            sums[name] = sums[name] + loss if name in sums else loss
    return sums


def merged(first: Sequence[Statistics], second: Sequence[Statistics]) -> list[Statistics]:
    """One by one, what was found in both parts of a picture; nothing yet in an empty first."""
    if not first:
        return list(second)
    return [
        [b if a is None else a if b is None else a.merged(b) for a, b in zip(*both, strict=True)]
        for both in zip(first, second, strict=True)
    ]


@dataclass(frozen=True)
class Slope:
    """The gradient of a loss in a statistic of the whole picture.

    Attributes:
        weight: of the statistic.
        gradients: in each of its tensors.
    """

    weight: float
    gradients: tuple[Tensor, ...]

    def along(self, part: Statistic) -> Tensor:
        """What a part contributes to the linear function with this gradient."""
        linear = [
            (gradient * tensor).sum()
            for gradient, tensor in zip(self.gradients, part.tensors, strict=True)
        ]
        return part.weight / self.weight * torch.stack(linear).sum()


def variables(found: Sequence[Statistics]) -> list[Tensor]:
    """The tensors of statistics, from now on such that a loss has gradients in them."""
    return [
        tensor.requires_grad_()
        for each in found
        for statistic in each
        if statistic is not None
        for tensor in statistic.tensors
    ]


def slopes(
    loss: Tensor, found: Sequence[Statistics], within: Sequence[Tensor]
) -> list[list[Slope | None]]:
    """Of a loss in what was found, whose :func:`variables` are given; it need not look at all."""
    gradients: Iterator[Tensor] = iter(())
    if within:
        found_slopes = torch.autograd.grad(loss, within, allow_unused=True, materialize_grads=True)
        gradients = iter(found_slopes)
    return [
        [
            None if one is None else Slope(one.weight, tuple(next(gradients) for _ in one.tensors))
            for one in each
        ]
        for each in found
    ]


def along(slopes: Sequence[Sequence[Slope | None]], parts: Sequence[Statistics]) -> list[Tensor]:
    """What a part of the picture contributes, by :meth:`Slope.along`."""
    return [
        slope.along(part)
        for each, found in zip(slopes, parts, strict=True)
        for slope, part in zip(each, found, strict=True)
        if slope is not None and part is not None
    ]
