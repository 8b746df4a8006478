"""Made-up steps of runs, for tests of what records and shows them."""

from __future__ import annotations

import numpy as np
import torch

from impasto.engine.step import Step
from impasto.image.picture import Metadata, Picture

SIZES = ((32, 24), (64, 48))


def step(iteration: int, steps: int, *, size=(64, 48), scale=1, gray=0.5, **losses) -> Step:
    """A step whose picture is one shade of gray."""
    width, height = size
    picture = torch.full((1, 3, height, width), float(gray))
    photo = Picture(np.zeros((height, width, 3), np.float32), None, Metadata())
    return Step(
        iteration=iteration,
        total=steps,
        scale=scale,
        scales=2,
        width=width,
        height=height,
        losses={"total": 3.0, "content": 1.0, "style": 2.0, "smoothness": 0.0, **losses},
        elapsed_s=1.0,
        eta_s=61.4,
        tile=0,
        fell_back=False,
        last=iteration == steps,
        _image=picture,
        _photo=photo,
    )


def two_scales(total: int) -> list[Step]:
    """Half of the steps at a small size, half at the final one, getting brighter."""
    return [
        step(i, total, size=SIZES[2 * i > total], scale=int(2 * i > total), gray=i / total)
        for i in range(1, total + 1)
    ]
