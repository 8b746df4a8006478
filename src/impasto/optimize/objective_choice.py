"""Choose the objective of a scale: whole, in tiles, or by neighbors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from impasto.engine.machine.storage import Storage
from impasto.engine.regions import Regions
from impasto.engine.sizes import Scale
from impasto.objective.evaluation import Objective
from impasto.objective.losses.temporal import PastResult
from impasto.objective.neighbors import NeighborObjective
from impasto.objective.terms import Inventory
from impasto.objective.tiled import TiledObjective
from impasto.objective.whole import WholeObjective
from impasto.optimize.tools import Tools


@dataclass(frozen=True)
class Situation:
    """What an objective depends on in addition to the pictures.

    Attributes:
        scale: the scale of the run.
        storage: holds everything as large as the pictures.
        tile: side of the tiles in pixels. 0, or at least the longest side of all pictures: no
            tiles.
        start: [1, 3, H, W], the picture that the scale starts from. None: the photo.
        past: the past result at the size of the scale. None: the photo is not a frame of a film.
    """

    scale: Scale
    storage: Storage
    tile: int = 0
    start: Tensor | None = None
    past: PastResult | None = None


def make_objective(
    tools: Tools, photo: Tensor, paintings: list[Tensor], regions: Regions, situation: Situation
) -> Objective:
    """Make the objective of a scale, and measure its targets.

    Args:
        tools: the encoder, the recipe, and paintings that were measured before.
        photo: [1, 3, H, W] in [0, 1], at the scale's size.
        paintings: [1, 3, h, w] each, at their style size.
        regions: the regions of the photo.
        situation: the scale, the tiles, and the picture that the scale starts from.

    Raises:
        InputError: a style mask leaves too little of its painting.
    """
    extractor, cache = tools.extractor, tools.cache
    scale, storage, past = situation.scale, situation.storage, situation.past
    sizes = [(image.shape[3], image.shape[2]) for image in paintings]
    pictures = Inventory(
        photo,
        paintings,
        masks=regions.make_masks(scale.width, scale.height, storage),
        style_masks=regions.make_style_masks(sizes, storage),
    )
    if extractor.recipe.style.distance == "neighbors":
        return NeighborObjective(
            extractor,
            pictures,
            storage=storage,
            current=situation.start,
            per_layer=scale.refines,
            past=past,
        )
    longest = max(max(image.shape[2:]) for image in (photo, *paintings))
    if situation.tile and situation.tile < longest:
        return TiledObjective(extractor, pictures, side=situation.tile, storage=storage, past=past)
    return WholeObjective(extractor, pictures, past=past, storage=storage, cache=cache)
