"""``impasto refine RESULT --region X,Y,W,H``: one region of a result, painted again."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.arguments import Parser, device, gigabytes, notice_for, say, whole
from impasto.cli.regions import add_strength_flag, strength_fields
from impasto.cli.settings import settings_from

if TYPE_CHECKING:
    from impasto.cli.replay import Search
    from impasto.media.masks import Mask
    from impasto.media.picture import Floats, Picture
    from impasto.optimize.region import Box
    from impasto.recipe import Recipe
    from impasto.record.provenance import Provenance

MARGIN = 64
"""Pixels around the region that are painted with it, for the network to see where it lies."""
EDGE = 32
"""Pixels over which the new fades into the old; fewer in a small region."""
ITERATIONS = 150
"""Those of ``best`` at 512 px."""


def build_parser() -> Parser:
    """The flags of a refinement."""
    parser = Parser(
        prog="impasto refine",
        description="Paint one region of a result again, from its own pixels on, and blend it in "
        "without a seam. Its photo and painting are looked for beside it and in the current "
        "folder.",
    )
    add = parser.add_argument
    add("picture", metavar="RESULT", help="made by impasto, with its recipe inside")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--region", metavar="X,Y,W,H", type=_whole_numbers, help="in its pixels")
    words = "white where to paint, of any size; or a word for one that is found"
    where.add_argument("--mask", metavar="MASK", help=words)
    add("-o", "--output", metavar="OUT", help="default: RESULT-refined.png")
    add("--quality", choices=("draft", "standard", "best"), help="another recipe than its own")
    add(
        "--iterations",
        metavar="N",
        type=whole(1, 1_000_000),
        default=ITERATIONS,
        help="evaluations of the objective (default: %(default)s)",
    )
    add("--style", metavar="PAINTING", action="append", help="others than its own; repeatable")
    add_strength_flag(parser, "default: its own")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a field of the recipe, like style.scale=2; repeatable",
    )
    add("--photo", metavar="FILE", help="where the photo is now")
    add("--weights", metavar="FILE", help="where the network's weights are")
    add("--device", default="auto", type=device, help="auto, cpu, cuda, cuda:N or mps")
    add("--max-memory", metavar="GB", type=gigabytes, help="as of the main job")
    add("--scratch", metavar="DIR", help="likewise")
    add("--force", action="store_true", help="replace an existing output")
    add("--accept-changed", action="store_true", help="go on with another photo or painting")
    add("--quiet", action="store_true", help="no progress")
    return parser


def run(argv: list[str]) -> int:
    """Check everything that can be checked, paint the region, lay it over the result."""
    options = build_parser().parse_args(argv)
    from impasto.cli.replay import Search
    from impasto.cli.targets import check_targets
    from impasto.media.decode import read_picture
    from impasto.media.encode import output_format, write_picture
    from impasto.optimize.region import depth_of, laid_over, soft_edge
    from impasto.record.provenance import read_provenance

    path = Path(options.picture)
    made, provenance = read_picture(path), read_provenance(path)
    output = Path(options.output or path.with_name(f"{path.stem}-refined.png"))
    depth = 16 if made.metadata.depth == 16 else 8
    output_format(output, depth)
    # Parts of its own paintings are none of others.
    own = replace(provenance, style_masks=()) if options.style else provenance
    sought = Search(path, own, accept_changed=options.accept_changed)
    photo, paintings = _inputs(options, sought, provenance)
    mask, region = _wanted(options, made, photo, paintings)
    masks = sought.masks((photo, paintings), flags=("", ""))
    check_targets([output], [path, *sought.found], overwrite=options.force)
    around = region.grown(MARGIN, made.width, made.height)
    part = _part(_recipe(options, provenance.recipe), made, around, (photo, paintings), masks)
    repainted = _painted(options, part, around.of(made, made.width, made.height))
    edge = min(EDGE, region.width / 4, region.height / 4, depth_of(mask) / 2)
    weights = soft_edge(mask[around.rows, around.columns], edge)
    note = {
        "region": [region.left, region.top, region.width, region.height],
        "recipe": part.recipe.model_dump(mode="json"),
        "paintings": [painting.sha256() for painting in part.paintings],
    }
    write_picture(
        laid_over(made, repainted, around, weights),
        output,
        record=replace(provenance, refined=(*provenance.refined, note)).to_json(),
        depth=depth,
        dpi=provenance.recipe.dpi,
        overwrite=options.force,
        notice=notice_for(quiet=options.quiet),
    )
    if not options.quiet:
        say(f"{output} ({region.width}x{region.height} px at {region.left},{region.top})")
    return 0


def _wanted(
    options: argparse.Namespace, made: Picture, photo: Picture, paintings: list[Picture]
) -> tuple[Floats, Box]:
    """Where to paint: a mask of the result's size, and the box around it."""
    from impasto.errors import InputError
    from impasto.optimize.region import Box, bounds
    from impasto.segment.words import found_masks

    if options.region:
        region = Box(*options.region)
        if min(region.width, region.height) < 1:
            raise InputError(
                f"--region {','.join(map(str, options.region))}: is empty; it is X,Y,WIDTH,HEIGHT"
            )
        if not region.lies_in(made.width, made.height):
            raise InputError(
                f"--region {','.join(map(str, options.region))}: does not lie in the result's "
                f"{made.width}x{made.height} px"
            )
        return region.mask(made.width, made.height), region
    (drawn,), _ = found_masks(photo, paintings, [options.mask], [])
    mask = drawn.resized_rows(made.width, made.height, slice(0, made.height))
    found = bounds(mask)
    if found is None:
        raise InputError(f"{options.mask}: is black all over, nothing is to be painted")
    return mask, found


def _inputs(
    options: argparse.Namespace, sought: Search, provenance: Provenance
) -> tuple[Picture, list[Picture]]:
    """The photo, and the paintings: those given, or its own."""
    from impasto.media.decode import read_picture

    if not options.style:
        photo, *paintings = sought.inputs(options.photo, None)
        return photo, paintings
    photo = sought.picture(provenance.inputs[0], options.photo, "--photo")
    sought.found += map(Path, options.style)
    return photo, [read_picture(Path(each)) for each in options.style]


def _recipe(options: argparse.Namespace, own: Recipe) -> Recipe:
    """Its own or another one, at one scale, as for the whole result."""
    from impasto.recipe import load_recipe

    chosen = load_recipe(options.quality) if options.quality else own
    changes: dict[str, Any] = {
        "schedule.coarsest": None,
        "schedule.total": options.iterations,
        "style.weights": [] if options.style else own.style.weights,
        "style.strengths": [] if options.style else own.style.strengths,
        "style.scale": own.style.scale,
        "strength": own.strength,
        "colors": own.colors,
        "tile": "auto",
    }
    asked: dict[str, Any] = {}
    if options.strength:
        asked = {"strength": 1.0, "style.strengths": [], **strength_fields(options.strength)}
    settings = settings_from(options.set, asked, printed=False)
    return chosen.with_changes(changes | asked | settings)


@dataclass(frozen=True)
class _Part:
    """A part of a result, to be painted by itself.

    Attributes:
        recipe: of the part.
        photo: what it was made from.
        paintings: the user's own, those that are the style somewhere in it.
        shown: to the network, see :meth:`Stylizer.run`, in colours that are the recipe's already.
    """

    recipe: Recipe
    photo: Picture
    paintings: list[Picture]
    shown: dict[str, Any]


def _part(
    entire: Recipe,
    made: Picture,
    around: Box,
    inputs: tuple[Picture, list[Picture]],
    masks: tuple[list[Mask], list[Mask | None]],
) -> _Part:
    """What a box of a result is painted with, from what all of it is.

    Raises:
        InputError: numbers of things that do not belong together, or the photo is kept there.
    """
    from impasto.errors import InputError
    from impasto.optimize.colors import seen
    from impasto.optimize.region import seen_in

    (photo, paintings), (regions, parts) = inputs, masks
    entire.check_counts(len(paintings), len(regions), len(parts))
    size = (made.width, made.height)
    regions, left = seen_in(around, size, regions, len(paintings))
    if not left:
        raise InputError("the region lies where the photo is kept: nothing is to be painted")
    paintings = [paintings[index] for index in left]
    # Colours are those of the whole photo, not of what is around the region.
    content, styles = seen(entire.colors, photo, paintings, size, entire.style.scale)
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


def _painted(options: argparse.Namespace, part: _Part, now: Picture) -> Picture:
    """The part as its recipe makes it, begun with what it is now."""
    from impasto._stylize import finished_picture
    from impasto.cli.plan_text import in_short
    from impasto.cli.progress import progress_for
    from impasto.fast.engine import engine_for
    from impasto.media.encode import write_picture

    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.png"
        write_picture(now, start, depth=16)
        begun = {"start": {"base": "image", "image": str(start)}, "colors": "style"}
        engine = engine_for(
            part.recipe.with_changes(begun),
            device=options.device,
            weights=options.weights,
            max_memory=options.max_memory,
            scratch=options.scratch,
        )
        plan = None if options.quiet else engine.plan(**part.shown)
        if plan is not None:
            say(in_short(plan))
        with progress_for(sys.stderr, quiet=options.quiet) as progress:
            for step in engine.run(**part.shown, plan=plan):  # at least one
                progress.see(step)
        made = step.of(part.photo, part.recipe.colors)
        return finished_picture(made, part.photo, part.recipe)


def _whole_numbers(text: str) -> list[int]:
    try:
        left, top, width, height = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not four whole numbers: left,top,width,height"
        ) from None
    return [left, top, width, height]
