"""One region of a finished picture, painted again and blended in."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.api.stylize import finished_picture
from impasto.engine.boxes import Box, bounds, depth_of, laid_over, seen_in, soft_edge
from impasto.engine.colors import prepare_colors
from impasto.engine.plan import Plan
from impasto.engine.step import Step
from impasto.errors import InputError
from impasto.image.files.decode import read_paintings, read_picture
from impasto.image.files.encode import write_picture
from impasto.image.masks import Mask
from impasto.image.picture import Floats, Picture
from impasto.network.choice import engine_for
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.segment.mask_words import expand_auto, find_masks

MARGIN = 64
"""Pixels around the region that are painted with it, for the network to see where it lies."""
EDGE = 32
"""Pixels over which the new fades into the old; fewer in a small region."""
ITERATIONS = 150
"""Those of ``best`` at 512 px."""
_CORNERS = ("X", "Y", "WIDTH", "HEIGHT")


@dataclass(frozen=True)
class Refined:
    """A picture with a region painted again.

    Attributes:
        picture: all of it; outside the region and its edge nothing has changed by a bit.
        region: (left, top, width, height) in its pixels.
        recipe: of the region.
        paintings: those that are the style somewhere in it.
    """

    picture: Picture
    region: tuple[int, int, int, int]
    recipe: Recipe
    paintings: Sequence[Picture]

    @property
    def image(self) -> Any:
        """As a ``PIL.Image.Image``."""
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
    """Paint one region of a result again, from its own pixels on, and blend it in.

    Args:
        picture: the result, any kind of image that :func:`impasto.read_picture` takes.
        photo: that it was made from.
        painting: its style, or another one, or a list of them.
        recipe: of the result, ``result.recipe``, changed as wished; or the name of one. In place
            of a network's, which goes on from no pixels, it is :func:`optimizers`'s.
        region: (left, top, width, height) in pixels of the result.
        mask: in place of the region: white where to paint, any image or word as of
            :func:`stylize`.
        iterations: evaluations of the objective, at one scale.
        masks, style_masks: of the result, as of :func:`stylize`.
        device, weights, max_memory, scratch: likewise.
        on_plan: called before the work with what it will take.
        on_step: called after every iteration.

    Raises:
        ImpastoError: as :func:`stylize`; or there is nothing to be painted.
    """
    sources = [*painting] if isinstance(painting, list | tuple) else [painting]
    where, sources, of_paintings = expand_auto(masks, sources, style_masks)
    made, content, styles = read_picture(picture), read_picture(photo), read_paintings(sources)
    wanted, box = _wanted(made, region, mask, content, styles)
    regions, parts = find_masks(content, styles, where, of_paintings)
    given = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    entire = optimizers(given).with_changes(
        {"schedule.coarsest": None, "schedule.total": iterations, "tile": "auto"}
    )
    around = box.grown(MARGIN, made.width, made.height)
    part = _part(entire, made, around, (content, styles), (regions, parts))
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.png"
        write_picture(around.of(made, made.width, made.height), start, depth=16)
        begun = {"start": {"base": "image", "image": str(start)}, "colors": "style"}
        engine = engine_for(
            part.recipe.with_changes(begun),
            device=device,
            weights=weights,
            max_memory=max_memory,
            scratch=scratch,
        )
        plan = None if on_plan is None else engine.plan(**part.shown)
        if on_plan is not None and plan is not None:
            on_plan(plan)
        for step in engine.run(**part.shown, plan=plan):  # at least one
            if on_step is not None:
                on_step(step)
    repainted = finished_picture(step.of(part.photo, part.recipe.colors), part.photo, part.recipe)
    edge = min(EDGE, box.width / 4, box.height / 4, depth_of(wanted) / 2)
    blend = soft_edge(wanted[around.rows, around.columns], edge)
    return Refined(
        laid_over(made, repainted, around, blend),
        (box.left, box.top, box.width, box.height),
        part.recipe,
        part.paintings,
    )


def optimizers(recipe: Recipe) -> Recipe:
    """The recipe, or in place of a network's the standard one, as strong, in the same colors and
    with strokes as large."""
    if recipe.engine.kind == "optimizer":
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


def _wanted(
    made: Picture,
    region: tuple[int, int, int, int] | None,
    mask: Any,
    photo: Picture,
    paintings: Sequence[Picture],
) -> tuple[Floats, Box]:
    """Where to paint: a mask of the result's size, and the box around it."""
    if (region is None) == (mask is None):
        raise InputError("a region or a mask is needed, one of them")
    if region is not None:
        written = ",".join(map(str, region))
        if len(region) != len(_CORNERS) or min(region[2:]) < 1:
            raise InputError(f"region {written}: is none, {','.join(_CORNERS)} are needed")
        box = Box(*region)
        if not box.lies_in(made.width, made.height):
            size = f"{made.width}x{made.height}"
            raise InputError(f"region {written}: does not lie in the result's {size} px")
        return box.mask(made.width, made.height), box
    (drawn,), _ = find_masks(photo, paintings, [mask], [])
    rows = drawn.resize_rows(made.width, made.height, slice(0, made.height))
    found = bounds(rows)
    if found is None:
        raise InputError(f"{drawn.name}: is black all over, nothing is to be painted")
    return rows, found


@dataclass(frozen=True)
class _Part:
    """A part of a result, to be painted by itself.

    Attributes:
        recipe: of the part.
        photo: what it was made from.
        paintings: the user's own, those that are the style somewhere in it.
        shown: to the network, see :meth:`Stylizer.run`, in colors that are the recipe's already.
    """

    recipe: Recipe
    photo: Picture
    paintings: list[Picture]
    shown: dict[str, Any]


def _part(
    entire: Recipe,
    made: Picture,
    around: Box,
    inputs: tuple[Picture, Sequence[Picture]],
    masks: tuple[list[Mask], list[Mask | None]],
) -> _Part:
    """What a box of a result is painted with, from what all of it is.

    Raises:
        InputError: numbers of things that do not belong together, or the photo is kept there.
    """
    (photo, paintings), (regions, parts) = inputs, masks
    entire.check_counts(len(paintings), len(regions), len(parts))
    size = (made.width, made.height)
    regions, left = seen_in(around, size, regions, len(paintings))
    if not left:
        raise InputError("the region lies where the photo is kept: nothing is to be painted")
    paintings = [paintings[index] for index in left]
    # Colors are those of the whole photo, not of what is around the region.
    content, styles = prepare_colors(entire.colors, photo, paintings, size, entire.style.scale)
    shown = {
        "content": around.of(content, *size),
        "styles": styles,
        "masks": regions,
        "style_masks": [parts[index] for index in left] if parts else [],
    }
    recipe = _of_region(entire, made, around, left)
    return _Part(recipe, around.of(photo, *size), paintings, shown)


def _of_region(entire: Recipe, made: Picture, around: Box, left: list[int]) -> Recipe:
    """The recipe of a part, with strokes as large as elsewhere, of the paintings left in it."""
    style, longest = entire.style, max(around.width, around.height)
    ratio = math.sqrt(made.width * made.height / (around.width * around.height))
    longer = max(made.width, made.height) / longest
    # The painting is as large as beside the whole result, as far as a recipe goes; so is the
    # filter's radius.
    return entire.with_changes(
        {
            "size": longest,
            "style.scale": min(8.0, style.scale * ratio),
            "style.weights": style.weights and [style.weights[index] for index in left],
            "style.strengths": style.strengths and [style.strengths[index] for index in left],
            "photorealism.filter": min(0.25, entire.photorealism.filter * longer),
        }
    )
