"""Repaint one region of a finished picture, and blend it in."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.api.painting_names import resolve_paintings
from impasto.api.stylize import finish_picture
from impasto.engine.factory import make_engine
from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.engine.pixels.boxes import (
    Box,
    find_bounds,
    measure_depth,
    paste_box,
    select_masks,
    soften_edge,
)
from impasto.engine.pixels.colors import prepare_colors
from impasto.engine.plan import Plan
from impasto.engine.step import Step
from impasto.errors import InputError, name_option
from impasto.image.files.decode import read_paintings, read_picture
from impasto.image.files.encode import write_picture
from impasto.image.picture import Floats, Picture
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.segment.mask_words import expand_auto, find_masks
from impasto.words.word_styles import take_pictures

MARGIN = 64
"""Pixels around the region that are painted with it, so that the network sees its surroundings."""
EDGE = 32
"""Pixels over which the new picture fades into the old one; fewer in a small region."""
ITERATIONS = 150
"""As many as ``best`` has at 512 px."""


@dataclass(frozen=True)
class Refined:
    """A picture with a region painted again.

    Attributes:
        picture: all of it. Outside of the region every bit is as before.
        region: (left, top, width, height) in pixels of the picture.
        recipe: the recipe that the region was painted with.
        paintings: the paintings that are the style somewhere in the region.
    """

    picture: Picture
    region: tuple[int, int, int, int]
    recipe: Recipe
    paintings: Sequence[Picture]

    @property
    def image(self) -> Any:
        """The picture as a ``PIL.Image.Image``."""
        return self.picture.to_pil()


def refine(
    picture: Any,
    photo: Any,
    painting: Any,
    *,
    recipe: Recipe | str,
    region: tuple[int, int, int, int] | None = None,
    mask: Any = None,
    iterations: int = ITERATIONS,
    masks: Sequence[Any] = (),
    style_masks: Sequence[Any] = (),
    device: str = "auto",
    weights: str | Path | None = None,
    max_memory: int | None = None,
    scratch: str | Path | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Refined:
    """Paint one region of a result again, starting from its own pixels, and blend it in.

    It has many parameters because this is a public call: users give single things by name.

    Args:
        picture: the result, any kind of image that :func:`impasto.read_picture` takes.
        photo: the photo that it was made from.
        painting: its painting, or another one, or a list of them; words as in :func:`stylize`.
        recipe: the recipe of the result (``result.recipe``) with any changes, or the name of a
            recipe. A network cannot start from a given picture; its recipe is replaced, see
            :func:`choose_refining_recipe`.
        region: (left, top, width, height) in pixels of the result. None: ``mask`` says where.
        mask: where to paint: any image, white inside, or a word as in :func:`stylize`. None:
            ``region`` says where.
        iterations: evaluations of the objective, at one scale.
        masks: masks of the result, as in :func:`stylize`.
        style_masks: masks of its paintings, as in :func:`stylize`.
        device: as in :func:`stylize`.
        weights: as in :func:`stylize`.
        max_memory: as in :func:`stylize`.
        scratch: as in :func:`stylize`.
        on_plan: called with the plan before the work starts.
        on_step: called after every iteration.

    Raises:
        ImpastoError: as :func:`stylize`; or there is nothing to paint.
    """
    hardware = HardwareChoice(device, weights, max_memory, scratch)
    sources = [*painting] if isinstance(painting, list | tuple) else [painting]
    sources = take_pictures(resolve_paintings(sources))
    where, sources, of_paintings = expand_auto(masks, sources, style_masks)
    with name_option("picture"):
        result = read_picture(picture)
    with name_option("photo"):
        content = read_picture(photo)
    with name_option("painting"):
        styles = read_paintings(sources)
    pictures = Inputs(content, tuple(styles))
    weights_map, box = _find_place(result, region, mask, pictures)
    photo_masks, painting_masks = find_masks(content, styles, where, of_paintings)
    with name_option("recipe"):
        base = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    entire = choose_refining_recipe(base).with_changes(
        {"schedule.coarsest": None, "schedule.total": iterations, "tile": "auto"}
    )
    around = box.expand(MARGIN, result.width, result.height)
    whole = Inputs.read(entire, content, styles, photo_masks, painting_masks)
    part = _cut_part(entire, result, around, whole)
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.png"
        write_picture(around.crop(result, result.width, result.height), start, depth=16)
        changes = {"start": {"base": "image", "image": str(start)}, "colors": "style"}
        engine = make_engine(part.recipe.with_changes(changes), hardware.resolve())
        plan = None if on_plan is None else engine.plan(part.inputs)
        if on_plan is not None and plan is not None:
            on_plan(plan)
        for step in engine.run(part.inputs, plan=plan):  # at least one
            if on_step is not None:
                on_step(step)
    repainted = finish_picture(
        step.with_photo(part.photo, part.recipe.colors), part.photo, part.recipe
    )
    edge = min(EDGE, box.width / 4, box.height / 4, measure_depth(weights_map) / 2)
    blend = soften_edge(weights_map[around.rows, around.columns], edge)
    return Refined(
        paste_box(result, repainted, around, blend),
        (box.left, box.top, box.width, box.height),
        part.recipe,
        part.paintings,
    )


def choose_refining_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe, or a replacement if its engine cannot start from a given picture.

    The replacement is ``standard`` with the same colors, strengths, and size of strokes.
    """
    if recipe.capabilities.refines:
        return recipe
    style = recipe.style
    return load_recipe("standard").with_changes(
        {
            "colors": recipe.colors,
            "strength": recipe.strength,
            "style.scale": style.scale,
            "style.weights": style.weights,
            "style.strengths": style.strengths,
        }
    )


def _find_place(
    result: Picture,
    region: tuple[int, int, int, int] | None,
    mask: Any,
    pictures: Inputs,
) -> tuple[Floats, Box]:
    """Return where to paint: a mask [H, W] of the result's size, and the box around it."""
    if (region is None) == (mask is None):
        raise InputError("give either `region` or `mask`", field="region")
    if region is not None:
        text = ",".join(map(str, region))
        if len(region) != 4 or min(region[2:]) < 1:
            raise InputError(
                f"invalid `region` {text}",
                expected="X,Y,WIDTH,HEIGHT with positive sizes",
                field="region",
            )
        box = Box(*region)
        if not box.is_inside(result.width, result.height):
            size = f"{result.width}x{result.height}"
            raise InputError(
                f"`region` {text} is not inside the result of {size} px", field="region"
            )
        return box.make_mask(result.width, result.height), box
    (found_mask,), _ = find_masks(pictures.photo, pictures.paintings, [mask], [])
    rows = found_mask.resize_rows(result.width, result.height, slice(0, result.height))
    place = find_bounds(rows)
    if place is None:
        raise InputError(
            "is black all over; there is nothing to paint",
            where=f"mask {found_mask.name}",
            field="mask",
        )
    return rows, place


@dataclass(frozen=True)
class _Part:
    """A part of a result that is painted by itself.

    Attributes:
        recipe: the recipe of the part.
        photo: the part of the photo, in its own colors.
        paintings: the paintings that are the style somewhere in the part, in their own colors.
        inputs: the inputs of the engine, in the colors that the network sees.
    """

    recipe: Recipe
    photo: Picture
    paintings: Sequence[Picture]
    inputs: Inputs


def _cut_part(entire: Recipe, result: Picture, around: Box, whole: Inputs) -> _Part:
    """Cut a box out of a result's inputs.

    Raises:
        InputError: the whole box of the photo is kept.
    """
    size = (result.width, result.height)
    masks, style_masks = whole.regions.masks, whole.regions.style_masks
    masks_there, places = select_masks(around, size, masks, len(whole.paintings))
    if not places:
        raise InputError(
            "the photo is kept in all of the region; there is nothing to paint", field="region"
        )
    paintings = [whole.paintings[index] for index in places]
    # The colors are those of the whole photo, not of what surrounds the region.
    content, styles = prepare_colors(
        entire.colors, whole.photo, paintings, size, entire.style.scale
    )
    recipe = _adapt_recipe(entire, result, around, places)
    inputs = Inputs.read(
        recipe,
        around.crop(content, *size),
        styles,
        masks_there,
        [style_masks[index] for index in places] if style_masks else [],
    )
    return _Part(recipe, around.crop(whole.photo, *size), paintings, inputs)


def _adapt_recipe(entire: Recipe, result: Picture, around: Box, places: list[int]) -> Recipe:
    """Return the recipe of a part, whose strokes are as large as elsewhere in the result.

    Args:
        entire: the recipe of the whole result.
        result: the whole result.
        around: the part.
        places: indices of the paintings that are the style somewhere in the part.
    """
    style, longest = entire.style, max(around.width, around.height)
    ratio = math.sqrt(result.width * result.height / (around.width * around.height))
    longer = max(result.width, result.height) / longest
    # The painting and the radius of the filter have the size that they have for the whole result,
    # within the bounds of the recipe.
    return entire.with_changes(
        {
            "size": longest,
            "style.scale": min(8.0, style.scale * ratio),
            "style.weights": style.weights and [style.weights[index] for index in places],
            "style.strengths": style.strengths and [style.strengths[index] for index in places],
            "photorealism.filter": min(0.25, entire.photorealism.filter * longer),
        }
    )
