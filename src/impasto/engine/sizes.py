"""Choose the sizes of a run, the iterations at each, and the sizes of the paintings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from impasto.engine.machine.hardware import choose_longer_side
from impasto.errors import LimitError
from impasto.image.packed import LARGEST_IN_FLOATS
from impasto.image.picture import Picture, fit_within
from impasto.recipe.tables import Schedule

SHORTEST = 16
"""Shortest side of a picture in pixels, unless a network needs more."""

LEAST_PAINTING = 2048
"""Longer side in pixels to which paintings are reduced at most."""
MARGIN = 2
"""Longer side of a reduced painting, relative to that at the finest scale."""
REDUCTION = 2
"""Least reduction of a painting's sides; less saves no memory: a copy takes 12 bytes a pixel, the
painting 3."""

WINDOW = 10
"""A scale has converged if the loss does not fall over this many iterations. A line search that
fails takes three or four of them."""


@dataclass(frozen=True)
class Scale:
    """One size of the result, and the iterations there."""

    width: int
    height: int
    iterations: int
    refines: bool = False
    """Whether this is the second pass at the finest size."""


def plan_scales(
    schedule: Schedule, width: int, height: int, shortest: int = SHORTEST
) -> tuple[Scale, ...]:
    """Plan the scales of a run, coarse to fine; the last one has the result's size.

    Args:
        schedule: the schedule of the recipe.
        width: width of the result in pixels.
        height: height of the result in pixels.
        shortest: shortest side of a scale in pixels.
    """
    longer = max(width, height)
    fractions = [1.0]
    if schedule.coarsest is not None:
        smallest = max(schedule.coarsest / longer, shortest / min(width, height))
        count = max(0, round(math.log(1 / smallest, schedule.factor))) if smallest < 1 else 0
        # The ratio is adjusted so that the first scale has exactly the coarsest size.
        fractions = [smallest ** (step / count) for step in range(count, 0, -1)] + [1.0]
    amounts = [_count_iterations(schedule, fraction, longer) for fraction in fractions]
    if schedule.refine:
        fractions, amounts = [*fractions, 1.0], [*amounts, schedule.refine]
    if schedule.total is not None:
        amounts = [amount * schedule.total / sum(amounts) for amount in amounts]
    scales = [
        Scale(max(1, round(width * fraction)), max(1, round(height * fraction)), iterations)
        for fraction, iterations in zip(fractions, _apportion(amounts), strict=True)
    ]
    if schedule.refine:
        scales[-1] = replace(scales[-1], refines=True)
    return tuple(scale for scale in scales if scale.iterations)


def _count_iterations(schedule: Schedule, fraction: float, longer: int) -> float:
    """Return the iterations of a scale.

    Args:
        schedule: the schedule of the recipe.
        fraction: size of the scale, as a fraction of the finest one.
        longer: longer side of the finest scale in pixels.
    """
    steps = math.log((schedule.at or longer) / (fraction * longer), schedule.factor)
    iterations = float(schedule.iterations * schedule.growth**steps)
    return max(schedule.fewest, min(schedule.most, iterations))


def is_over(losses: Sequence[float], scale: Scale, schedule: Schedule) -> bool:
    """Return whether a scale has ended, given the losses of its iterations so far."""
    if len(losses) >= scale.iterations:
        return True
    if schedule.until == "iterations" or len(losses) <= WINDOW:
        return False
    before = min(losses[:-WINDOW])
    return before - min(losses) <= schedule.tolerance * abs(before)


def _apportion(amounts: Sequence[float]) -> list[int]:
    """Round amounts to integers with the same sum; the finest scale gets at least one first."""
    edges = [0.0]
    for amount in reversed(amounts):
        edges.append(edges[-1] + amount)
    counts = [math.ceil(b - 1e-9) - math.ceil(a - 1e-9) for a, b in itertools.pairwise(edges)]
    return counts[::-1]


def fit_painting(
    painting: tuple[int, int], result: tuple[int, int], scale: float
) -> tuple[int, int]:
    """Return the (width, height) at which a painting is compared with a result.

    Its area is ``scale`` squared times the area of the result.

    Args:
        painting: the painting's own width and height.
        result: width and height of the result at this scale.
        scale: the recipe's ``style.scale``.
    """
    ratio = scale * math.sqrt(result[0] * result[1] / (painting[0] * painting[1]))
    width, height = (max(SHORTEST, round(side * ratio)) for side in painting)
    return width, height


def reduce_painting(painting: Picture, longer: int, scale: float) -> Picture:
    """Reduce a painting that has far more pixels than a run compares.

    Twice the sides of the finest scale are kept, so that what is resampled from the copy looks like
    what is resampled from the painting. The copy is the same whenever it is made: on reading, which
    saves memory, or at the start of a run.

    Args:
        painting: the painting.
        longer: longer side of the result in pixels.
        scale: the recipe's ``style.scale``.
    """
    own = painting.width, painting.height
    if own[0] * own[1] <= LARGEST_IN_FLOATS:
        return painting
    needed = max(fit_painting(own, (longer, longer), max(1.0, scale)))
    side = max(LEAST_PAINTING, MARGIN * needed)
    if REDUCTION * side > max(own):
        return painting
    return painting.reduce(*fit_within(*own, side))


def choose_result_size(
    width: int, height: int, size: int | None, device: torch.device, shortest: int = SHORTEST
) -> tuple[int, int]:
    """Return the (width, height) of the result for a photo.

    Args:
        width: width of the photo in pixels.
        height: height of the photo in pixels.
        size: longer side of the result. None: what suits the device.
        device: device of the run.
        shortest: shortest side of a result in pixels; see
            :attr:`impasto.encoders.encoder.EncoderEntry.shortest`.

    Raises:
        LimitError: the shorter side is too short for the network.
    """
    longer = size or choose_longer_side(max(width, height), device)
    width, height = fit_within(width, height, longer)
    if min(width, height) < shortest:
        raise LimitError(
            f"the result would be {width}x{height} px, but the network needs {shortest} px on the "
            "shorter side: ask for a larger `size` or crop the photo",
            limit=shortest,
            field="size",
        )
    return width, height
