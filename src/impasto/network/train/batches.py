"""Plan a training run: its settings, batches and learning rates.

A batch depends on the seed and the step only, so that a run that was stopped continues as if it had
not been. Seven of eight batches ask for the styles of paintings; for a fifth of the photos, the
style is blended with their own. The eighth batch asks for each photo's own style, which should
change nothing.

Training starts with one painting, and their number doubles repeatedly. With a few paintings the
network learns strokes within some hundred steps, and then learns to tell styles apart. With all
paintings at once it would learn their mean, which has no strokes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from impasto.network.painter.grain import DEVIATION, SIDE, make_grain
from impasto.network.train.training_paintings import VARIANTS
from impasto.network.train.training_photos import Photos

IDENTITY_EVERY = 8
"""Steps from one batch of identities to the next."""
BLENDED_SHARE = 0.2
"""Share of the photos whose target style is blended with their own."""
SHUFFLE = 10_007
"""A prime that shuffles the order in which paintings are introduced."""
LARGEST_GRAIN = 2.0
"""Largest amount of grain, relative to that of painting; the smallest is 0, as for frames."""
WARM_UP = 100
"""Steps over which the learning rate rises."""
LAST_RATE = 0.02
"""Learning rate at the horizon, relative to the largest."""
BatchT = TypeVar("BatchT")


@dataclass(frozen=True)
class TrainingPlan:
    """Settings of a training run.

    Attributes:
        steps: horizon of the cosine of the learning rate; it may grow when a run continues.
        batch: pairs per step and process.
        side: side of the crops in pixels.
        rate: largest learning rate of AdamW.
        seed: seed of batches and initial weights.
        variants: variants of each painting that are imitated, see
            :mod:`impasto.network.train.training_paintings`.
        doubling: steps after which the number of paintings doubles, from one to all. 0: all
            paintings from the start.
        fitted: ``all`` weights, or only ``normalization``: the biases of gains and offsets, which
            suffice to come closer to one painting.
        precision: precision of convolutions: ``float32``, ``bfloat16``, or ``auto`` for bfloat16 on
            devices that multiply it natively. Weights, colors and sums are float32.
        deviation, covariance, content, similarity, structure, roughness, bounds, grid, identity:
            weights of the losses.
    """

    steps: int = 20_000
    batch: int = 8
    side: int = 128
    rate: float = 1e-3
    seed: int = 0
    variants: int = VARIANTS
    doubling: int = 60
    fitted: Literal["all", "normalization"] = "all"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    deviation: float = 10.0
    covariance: float = 10.0
    content: float = 0.1
    similarity: float = 6.0
    structure: float = 0.03
    roughness: float = 0.1
    bounds: float = 10.0
    grid: float = 20.0
    identity: float = 10.0


@dataclass(frozen=True)
class Batch:
    """The pairs of one training step.

    Attributes:
        photos: crops [N, 3, S, S] in [0, 1].
        styles: (painting, variant) that each photo imitates. Empty: a batch of identities.
        strengths: [N] in [0, 1], share of the style in its blend with the photo's own.
        grain: [N, 1, S, S] with standard deviation 1.
        amounts: [N, 1, 1, 1], factor of the grain.
    """

    photos: Tensor
    styles: list[tuple[int, int]]
    strengths: Tensor
    grain: Tensor
    amounts: Tensor

    def add_grain(self) -> Tensor:
        """Return the photos with grain, as the network paints them."""
        return self.photos + DEVIATION * self.amounts * self.grain


def draw_batch(
    plan: TrainingPlan, photos: Photos, paintings: int, step: int, rank: int = 0
) -> Batch:
    """Draw the batch of a step, which is a function of the arguments.

    Args:
        plan: settings of the run.
        photos: photos to crop.
        paintings: number of paintings.
        step: step from 0.
        rank: rank of the process; each process has batches of its own.
    """
    generator = torch.Generator().manual_seed(plan.seed + 1_000_003 * step + 7919 * rank)

    def draw_indices(limit: int) -> list[int]:
        return torch.randint(limit, (plan.batch,), generator=generator).tolist()

    crops = [photos.crop(i, plan.side, generator) for i in draw_indices(len(photos))]
    introduced = count_introduced(plan.doubling, paintings, step)
    indices = [k * SHUFFLE % paintings for k in draw_indices(introduced)]
    styles = list(zip(indices, draw_indices(plan.variants), strict=True))
    draws = torch.rand(2, plan.batch, generator=generator)
    strengths = torch.where(draws[0] < BLENDED_SHARE, 0.1 + 0.9 * draws[1], torch.ones(plan.batch))
    places = zip(draw_indices(SIDE), draw_indices(SIDE), strict=True)
    grains = torch.cat([make_grain(plan.side, plan.side, *place) for place in places])
    amounts = LARGEST_GRAIN * torch.rand(plan.batch, 1, 1, 1, generator=generator)
    if step % IDENTITY_EVERY == IDENTITY_EVERY - 1:
        styles, amounts = [], torch.zeros_like(amounts)
    return Batch(torch.cat(crops), styles, strengths, grains, amounts)


def count_introduced(doubling: int, paintings: int, step: int) -> int:
    """Count the paintings that are imitated at a step, see :class:`TrainingPlan`."""
    doublings = step // doubling if doubling else paintings.bit_length()
    return min(paintings, 1 << min(doublings, paintings.bit_length()))


def draw_ahead(
    draw: Callable[[int], BatchT], steps: range, ahead: int
) -> Generator[BatchT, None, None]:
    """Yield the batches of steps in order, and draw some in threads before they are needed.

    Args:
        draw: draws the batch of a step.
        steps: steps to draw.
        ahead: number of batches, and of threads. 0: no threads.
    """
    if not ahead:
        yield from map(draw, steps)
        return
    with ThreadPoolExecutor(ahead) as pool:
        queue: deque[Future[BatchT]] = deque()
        for step in steps:
            queue.append(pool.submit(draw, step))
            if len(queue) > ahead:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()


def compute_learning_rate(plan: TrainingPlan, step: int) -> float:
    """Compute the learning rate of a step: a linear rise, then a cosine down to a fiftieth."""
    rise = min(1.0, (step + 1) / WARM_UP)
    share = min(1.0, step / plan.steps)
    return plan.rate * rise * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2)
