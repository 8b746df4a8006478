"""Which objective a scale of a run has: whole, in tiles, or by neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.engine.regions import Regions
from impasto.engine.sizes import Scale
from impasto.engine.storage import Storage
from impasto.objective.losses.temporal import Past
from impasto.objective.neighbors import NeighborObjective
from impasto.objective.terms import TargetCache
from impasto.objective.tiled import TiledObjective
from impasto.objective.whole import Objective
from impasto.recipe.recipe import Recipe

AnyObjective = Objective | TiledObjective | NeighborObjective


def objective_of(
    recipe: Recipe,
    encoder: Encoder,
    photo: Tensor,
    paintings: Sequence[Tensor],
    scale: Scale,
    *,
    tile: int,
    storage: Storage,
    regions: Regions,
    autocast: torch.dtype | None,
    known: TargetCache,
    begun: Tensor | None = None,
    past: Past | None = None,
) -> AnyObjective:
    """Measure the targets of a scale.

    Args:
        recipe: of the run.
        encoder: with the recipe's taps.
        photo: [1, 3, H, W] in [0, 1], at the scale's size.
        paintings: [1, 3, h, w] each, at theirs.
        scale: of the run.
        tile: side in pixels; 0, or no less than the longest side of all pictures: no tiles.
        storage: of what is as large as the pictures.
        regions: of the photo.
        autocast: what convolutions are cast to; none: nothing.
        known: paintings that were measured before.
        begun: [1, 3, H, W], the picture that the scale begins with; none: the photo.
        past: of the scale's size; none: the photo is no frame of a film.
    """
    given = recipe, encoder, photo, paintings
    sizes = [(image.shape[3], image.shape[2]) for image in paintings]
    parts: dict[str, Any] = {
        "masks": regions.make_masks(scale.width, scale.height, storage),
        "style_masks": regions.make_style_masks(sizes, storage),
        "past": past,
        "storage": storage,
        "autocast": autocast,
    }
    if recipe.style.distance == "neighbors":
        return NeighborObjective(*given, current=begun, splitting=scale.refines, **parts)
    longest = max(max(image.shape[2:]) for image in (photo, *paintings))
    if tile and tile < longest:
        return TiledObjective(*given, side=tile, **parts)
    return Objective(*given, **parts, known=known)
