"""How long an iteration takes: one is timed, at a small scale."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.engine import tensors as canvas
from impasto.engine.regions import Regions
from impasto.engine.sizes import SHORTEST, Scale, painting_size
from impasto.engine.storage import Storage
from impasto.image.picture import Picture
from impasto.objective.terms import TargetCache
from impasto.optimize.objectives import objective_of
from impasto.recipe.recipe import Recipe

PROBE_SIDES = {"cpu": 192}
PROBE_SIDE = 768
"""Longer side in pixels of what is timed, on a CPU and elsewhere: cheap, and large enough to cost
what pixels cost."""


def probe_scale(width: int, height: int, device: str = "cpu", tile: int = 0) -> Scale:
    """A scale of the result's shape to time, whatever the recipe's own are; no larger than a tile,
    if memory calls for tiles."""
    side = min(PROBE_SIDES.get(device, PROBE_SIDE), tile or PROBE_SIDE)
    ratio = max(side / max(width, height), SHORTEST / min(width, height))
    ratio = min(1.0, ratio)
    return Scale(max(1, round(width * ratio)), max(1, round(height * ratio)), 1)


def seconds_per_pixel(evaluate: Callable[[Tensor], Any], image: Tensor) -> float:
    """Of one evaluation, the second of two: the first one also fills caches."""
    evaluate(image)
    began = time.monotonic()
    evaluate(image)
    return (time.monotonic() - began) / (image.shape[2] * image.shape[3])


def probed_pace(
    recipe: Recipe,
    encoder: Encoder,
    photo: Picture,
    paintings: Sequence[Picture],
    scale: Scale,
    *,
    regions: Regions,
    autocast: torch.dtype | None,
    known: TargetCache,
) -> float:
    """Seconds a pixel of an evaluation. The paintings are no larger than the probe: they do not
    count, and may not take what a run in tiles would not.

    Args:
        recipe, encoder, regions, autocast, known: as of :func:`objective_of`.
        photo, paintings: at any size.
        scale: of :func:`probe_scale`.
    """
    memory, size = Storage(encoder.device), (scale.width, scale.height)
    image = canvas.picture_to_tensor(photo, *size, memory)
    ratio = min(1.0, recipe.style.scale)
    styles = [
        canvas.picture_to_tensor(p, *painting_size((p.width, p.height), size, ratio), memory)
        for p in paintings
    ]
    objective = objective_of(
        *(recipe, encoder, image, styles, scale),
        tile=0,
        storage=memory,
        regions=regions,
        autocast=autocast,
        known=known,
    )
    return seconds_per_pixel(objective.evaluate, image)
