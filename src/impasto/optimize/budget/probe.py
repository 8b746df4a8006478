"""Measure the time of an iteration at a small scale."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

from impasto.engine.inputs import Inputs
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import picture_to_tensor
from impasto.engine.sizes import SHORTEST, Scale
from impasto.objective.evaluation import FeatureExtractor
from impasto.objective.specs import choose_objective
from impasto.objective.terms import PassPictures
from impasto.objective.views import Objective
from impasto.optimize.run_setup import resize_paintings

PROBE_SIDES = {"cpu": 192}
PROBE_SIDE = 768
"""Longer side in pixels of the picture that is timed, on a CPU and elsewhere: cheap, and large
enough that the time is proportional to the pixels."""


def choose_probe_scale(width: int, height: int, device: str = "cpu", tile: int = 0) -> Scale:
    """Choose a scale to time: of the result's shape, and no larger than a tile.

    Args:
        width, height: size of the result in pixels.
        device: type of the device.
        tile: side of the tiles in pixels. 0: no tiles.
    """
    side = min(PROBE_SIDES.get(device, PROBE_SIDE), tile or PROBE_SIDE)
    ratio = max(side / max(width, height), SHORTEST / min(width, height))
    ratio = min(1.0, ratio)
    return Scale(max(1, round(width * ratio)), max(1, round(height * ratio)), 1)


def time_evaluation(evaluate: Callable[[Tensor], Any], image: Tensor) -> float:
    """Time an evaluation, in seconds per pixel: the second of two, since the first fills caches."""
    evaluate(image)
    started = time.monotonic()
    evaluate(image)
    return (time.monotonic() - started) / (image.shape[2] * image.shape[3])


def probe_pace(extractor: FeatureExtractor, inputs: Inputs, scale: Scale) -> float:
    """Measure the seconds per pixel of an evaluation.

    Paintings are no larger than the probe: they do not affect the time, and must not take memory
    that a run in tiles would not take.

    Args:
        extractor: the encoder and the recipe.
        inputs: photo and paintings, at any size.
        scale: the scale of the probe; see :func:`choose_probe_scale`.
    """
    ratio = min(1.0, extractor.recipe.style.scale)
    objective, image = make_objective(extractor, inputs, scale, ratio)
    return time_evaluation(objective.evaluate, image)


def make_objective(
    extractor: FeatureExtractor, inputs: Inputs, scale: Scale, ratio: float | None = None
) -> tuple[Objective, Tensor]:
    """Make the objective of a scale, outside of a run and without tiles.

    Args:
        extractor: the encoder and the recipe.
        inputs: photo and paintings, in the colors that the encoder sees.
        scale: its size is the size of the pictures to evaluate.
        ratio: size of the paintings relative to the scale. None: the recipe's ``style.scale``.

    Returns:
        The objective, and the photo at the size of the scale, [1, 3, H, W] in [0, 1].
    """
    memory = Storage(extractor.device)
    ratio = extractor.recipe.style.scale if ratio is None else ratio
    photo = picture_to_tensor(inputs.photo, scale.width, scale.height, memory)
    paintings = resize_paintings(inputs.paintings, scale, ratio, memory)
    pictures = PassPictures.gather(photo, paintings, inputs.regions, memory)
    spec = choose_objective(extractor.recipe, refines=scale.refines)
    return spec.build(extractor, pictures), photo
