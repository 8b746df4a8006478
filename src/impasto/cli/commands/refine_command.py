"""``impasto refine RESULT --region X,Y,W,H``: one region of a result, painted again."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import Parser, device, gigabytes, notice_for, say, whole
from impasto.cli.options.recipe_settings import settings_from
from impasto.cli.options.region_options import add_strength_flag, strength_fields

if TYPE_CHECKING:
    from impasto.cli.commands.replay_command import Search
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe
    from impasto.record.provenance import Provenance


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
    add("--recipe", metavar="NAME|FILE", help="another than its own; of a network's: standard")
    add("--quality", choices=("standard", "best"), help="likewise")
    add(
        "--iterations",
        metavar="N",
        type=whole(1, 1_000_000),
        help="evaluations of the objective (default: 150)",
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
    from impasto.api.refine import ITERATIONS, refine
    from impasto.cli.commands.replay_command import Search
    from impasto.cli.options.output_files import check_targets
    from impasto.cli.reports.plan_text import in_short
    from impasto.cli.reports.progress import progress_for
    from impasto.image.files.decode import read_picture
    from impasto.image.files.encode import choose_format, write_picture
    from impasto.record.provenance import read_provenance

    path = Path(options.picture)
    made, provenance = read_picture(path), read_provenance(path)
    output = Path(options.output or path.with_name(f"{path.stem}-refined.png"))
    depth = 16 if made.metadata.depth == 16 else 8
    choose_format(output, depth)
    # Parts of its own paintings are none of others.
    own = replace(provenance, style_masks=()) if options.style else provenance
    sought = Search(path, own, accept_changed=options.accept_changed)
    photo, paintings = _inputs(options, sought, provenance)
    masks = sought.masks((photo, paintings), flags=("", ""))
    check_targets([output], [path, *sought.found], overwrite=options.force)
    with progress_for(sys.stderr, quiet=options.quiet) as progress:
        refined = refine(
            made,
            photo,
            paintings,
            recipe=_recipe(options, provenance.recipe),
            region=options.region and tuple(options.region),
            mask=options.mask,
            iterations=options.iterations or ITERATIONS,
            masks=masks[0],
            style_masks=masks[1],
            device=options.device,
            weights=options.weights,
            max_memory=options.max_memory,
            scratch=options.scratch,
            on_plan=None if options.quiet else lambda plan: say(in_short(plan)),
            on_step=progress.see,
        )
    note = {
        "region": list(refined.region),
        "recipe": refined.recipe.model_dump(mode="json"),
        "paintings": [painting.compute_sha256() for painting in refined.paintings],
    }
    write_picture(
        refined.picture,
        output,
        record=replace(provenance, refined=(*provenance.refined, note)).to_json(),
        depth=depth,
        dpi=provenance.recipe.dpi,
        overwrite=options.force,
        notice=notice_for(quiet=options.quiet),
    )
    if not options.quiet:
        left, top, width, height = refined.region
        say(f"{output} ({width}x{height} px at {left},{top})")
    return 0


def _inputs(
    options: argparse.Namespace, sought: Search, provenance: Provenance
) -> tuple[Picture, list[Picture]]:
    """The photo, and the paintings: those given, or its own."""
    from impasto.image.files.decode import read_picture

    if not options.style:
        photo, *paintings = sought.inputs(options.photo, None)
        return photo, paintings
    photo = sought.picture(provenance.inputs[0], options.photo, "--photo")
    sought.found += map(Path, options.style)
    return photo, [read_picture(Path(each)) for each in options.style]


def _recipe(options: argparse.Namespace, own: Recipe) -> Recipe:
    """Its own or another one, as for the whole result."""
    from impasto.api.refine import choose_refining_recipe
    from impasto.engine.registry import find_capabilities
    from impasto.errors import InputError
    from impasto.recipe.recipe import load_recipe

    if options.quality and options.recipe:
        raise InputError("--quality and --recipe both choose a recipe: give one of them")
    named = options.recipe or options.quality
    chosen = load_recipe(named) if named else choose_refining_recipe(own)
    if not find_capabilities(chosen).refines:
        raise InputError(
            f"recipe {chosen.name!r} uses a network, which cannot continue from a result"
        )
    changes: dict[str, Any] = {
        "style.weights": [] if options.style else own.style.weights,
        "style.strengths": [] if options.style else own.style.strengths,
        "style.scale": own.style.scale,
        "strength": own.strength,
        "colors": own.colors,
    }
    asked: dict[str, Any] = {}
    if options.strength:
        asked = {"strength": 1.0, "style.strengths": [], **strength_fields(options.strength)}
    settings = settings_from(options.set, asked, printed=False)
    return chosen.with_changes(changes | asked | settings)


def _whole_numbers(text: str) -> list[int]:
    try:
        left, top, width, height = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not four whole numbers: left,top,width,height"
        ) from None
    return [left, top, width, height]
