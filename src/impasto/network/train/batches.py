"""What a training run asks for, and the batches and learning rates that follow from it.

A batch is a function of the seed and the step alone, so that a run that was stopped goes on as if
it had not been. Of eight batches seven ask for the style of a painting, for a fifth of the photos
blended with their own; the eighth asks for each photo's own style, which is to change nothing.

It begins with one painting, and they become twice as many again and again: of a few, strokes are
learned in some hundred steps, and then which are whose; of all at once, their mean, which is none.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from impasto.network.grain import DEVIATION, SIDE, grain
from impasto.network.train.training_paintings import VARIANTS
from impasto.network.train.training_photos import Photos

IDENTITY_EVERY = 8
BLENDED = 0.2
"""Share of the photos whose style is mixed with their own."""
SHUFFLE = 10_007
"""A prime: paintings are introduced in an order that has nothing to do with their names."""
MOST_GRAIN = 2.0
"""Of what pictures are painted with; the least is none, as frames are."""
WARM_UP = 100
LAST_RATE = 0.02
"""Of the learning rate, at the horizon."""


@dataclass(frozen=True)
class Plan:
    """Settings of a training run.

    Attributes:
        steps: horizon of the learning rate's cosine; more of them on going on lengthen it.
        batch: pairs a step and process.
        side: of the crops, in pixels.
        rate: largest learning rate of AdamW.
        seed: of batches and first weights.
        variants: how many of each painting are imitated, see
        :mod:`impasto.network.train.training_paintings`.
        doubling: steps after which there are twice as many paintings, one at first, until all are
            imitated; 0: all from the first.
        fitted: ``all`` weights, or only what the gains and offsets of normalization are given
            besides what the code asks for: enough to come closer to one painting.
        precision: of convolutions: ``float32``, ``bfloat16``, or that where the device multiplies
            it natively; weights, colors and sums are float32.
        deviation, covariance, content, similarity, structure, roughness, bounds, grid, identity:
            loss weights.
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
    """What is trained on at a step.

    Attributes:
        photos: crops [N, 3, S, S].
        styles: which (painting, variant) each is to imitate; none for a batch of identities.
        strengths: how far, [N].
        grain: that they are painted with, [N, 1, S, S] of deviation 1, and ``amounts`` [N, 1, 1, 1]
            of it.
    """

    photos: Tensor
    styles: list[tuple[int, int]]
    strengths: Tensor
    grain: Tensor
    amounts: Tensor

    def grained(self) -> Tensor:
        """The photos as they are painted."""
        return self.photos + DEVIATION * self.amounts * self.grain


def draw_batch(plan: Plan, photos: Photos, paintings: int, step: int, rank: int = 0) -> Batch:
    """The batch of a step, the same whenever it is drawn.

    Args:
        plan: of the run.
        photos: to crop.
        paintings: how many there are.
        step: from 0.
        rank: of the process that it is for; each has its own.
    """
    generator = torch.Generator().manual_seed(plan.seed + 1_000_003 * step + 7919 * rank)

    def indices(limit: int) -> list[int]:
        return torch.randint(limit, (plan.batch,), generator=generator).tolist()

    crops = [photos.crop(i, plan.side, generator) for i in indices(len(photos))]
    known = introduced(plan, paintings, step)
    chosen = [k * SHUFFLE % paintings for k in indices(known)]
    styles = list(zip(chosen, indices(plan.variants), strict=True))
    draws = torch.rand(2, plan.batch, generator=generator)
    strengths = torch.where(draws[0] < BLENDED, 0.1 + 0.9 * draws[1], torch.ones(plan.batch))
    places = zip(indices(SIDE), indices(SIDE), strict=True)
    grains = torch.cat([grain(plan.side, plan.side, *place) for place in places])
    amounts = MOST_GRAIN * torch.rand(plan.batch, 1, 1, 1, generator=generator)
    if step % IDENTITY_EVERY == IDENTITY_EVERY - 1:
        styles, amounts = [], torch.zeros_like(amounts)
    return Batch(torch.cat(crops), styles, strengths, grains, amounts)


def introduced(plan: Plan, paintings: int, step: int) -> int:
    """How many of the paintings are imitated at a step."""
    doublings = step // plan.doubling if plan.doubling else paintings.bit_length()
    return min(paintings, 1 << min(doublings, paintings.bit_length()))


def drawn_ahead(
    draw: Callable[[int], Batch], steps: range, ahead: int
) -> Generator[Batch, None, None]:
    """The batches of steps, in order; so many of them are drawn, by threads, before they are asked
    for."""
    if not ahead:
        yield from map(draw, steps)
        return
    with ThreadPoolExecutor(ahead) as pool:
        waiting: deque[Future[Batch]] = deque()
        for step in steps:
            waiting.append(pool.submit(draw, step))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def learning_rate(plan: Plan, step: int) -> float:
    """Rising over the first steps, then a cosine down to a fiftieth at the horizon."""
    rise = min(1.0, (step + 1) / WARM_UP)
    share = min(1.0, step / plan.steps)
    return plan.rate * rise * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2)
