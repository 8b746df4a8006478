"""``impasto refine RESULT --region X,Y,W,H``: repaint one region of a result."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import (
    Parser,
    accept_integer,
    add_hardware_flags,
    choose_notice,
    say,
)
from impasto.cli.options.recipe_options import parse_settings
from impasto.cli.options.region_options import add_strength_flag, make_strength_fields
from impasto.cli.options.style_words import draw_word_styles

if TYPE_CHECKING:
    from impasto.cli.jobs.input_search import InputSearch
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe
    from impasto.record.provenance import Provenance


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto refine",
        description="Repaint one region of a result, starting from its own pixels, and blend it in "
        "without a seam. Its photo and painting are looked for next to it and in "
        "the current folder.",
    )
    add = parser.add_argument
    add("picture", metavar="RESULT", help="picture made by impasto, with its recipe inside")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--region", metavar="X,Y,W,H", type=parse_region, help="region in pixels of the result"
    )
    where.add_argument(
        "--mask",
        metavar="MASK",
        help="mask of any size, white where to paint, or a word for a mask to find",
    )
    add("-o", "--output", metavar="OUT", help="file of the result (default: RESULT-refined.png)")
    add(
        "--recipe",
        metavar="NAME|FILE",
        help="another recipe (default: the result's own, or standard if that uses a network)",
    )
    add("--quality", choices=("standard", "best"), help="another recipe, by its quality")
    add(
        "--iterations",
        metavar="N",
        type=accept_integer(1, 1_000_000),
        help="iterations (default: 150)",
    )
    add("--style", metavar="PAINTING", action="append", help="other paintings; repeatable")
    add_strength_flag(parser, "the result's own")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a field of the recipe, such as style.scale=2; repeatable",
    )
    add("--photo", metavar="FILE", help="path of the photo")
    add_hardware_flags(parser)
    add("--force", action="store_true", help="replace an existing output")
    add(
        "--accept-changed",
        action="store_true",
        help="continue even if the photo or a painting differs from the record",
    )
    add("--quiet", action="store_true", help="do not report progress")
    return parser


def run(argv: list[str]) -> int:
    """Check everything that can be checked, then paint the region and blend it in."""
    options = build_parser().parse_args(argv)
    from impasto.api.refine import ITERATIONS, refine
    from impasto.cli.jobs.input_search import InputSearch
    from impasto.cli.options.output_files import check_targets
    from impasto.cli.reports.plan_text import summarize_plan
    from impasto.cli.reports.progress import choose_progress
    from impasto.image.files.decode import read_picture
    from impasto.image.files.encode import choose_format, write_picture
    from impasto.image.files.result_file import ResultFile
    from impasto.record.provenance import read_provenance

    path = Path(options.picture)
    original, provenance = read_picture(path), read_provenance(path)
    output = Path(options.output or path.with_name(f"{path.stem}-refined.png"))
    draw_word_styles(options, output.parent)
    depth = 16 if original.metadata.depth == 16 else 8
    choose_format(output, depth)
    # Masks of the original paintings do not apply to other ones.
    own = replace(provenance, style_masks=()) if options.style else provenance
    search = InputSearch(path, own, accept_changed=options.accept_changed)
    photo, paintings = _read_inputs(options, search, provenance)
    masks = search.find_masks((photo, paintings), flags=("", ""))
    check_targets([output], [path, *search.files], overwrite=options.force)
    with choose_progress(sys.stderr, quiet=options.quiet) as progress:
        refined = refine(
            original,
            photo,
            paintings,
            recipe=_build_recipe(options, provenance.recipe),
            region=options.region and tuple(options.region),
            mask=options.mask,
            iterations=options.iterations or ITERATIONS,
            masks=masks[0],
            style_masks=masks[1],
            device=options.device,
            weights=options.weights,
            max_memory=options.max_memory,
            scratch=options.scratch,
            on_plan=None if options.quiet else lambda plan: say(summarize_plan(plan)),
            on_step=progress.update,
        )
    note = {
        "region": list(refined.region),
        "recipe": refined.recipe.model_dump(mode="json"),
        "paintings": [painting.compute_sha256() for painting in refined.paintings],
    }
    write = partial(
        write_picture,
        refined.picture,
        record=replace(provenance, refined=(*provenance.refined, note)).to_json(),
        depth=depth,
        dpi=provenance.recipe.dpi,
        notice=choose_notice(quiet=options.quiet),
    )
    output = ResultFile(output, overwrite=options.force, notice=say).write(write)
    if not options.quiet:
        left, top, width, height = refined.region
        say(f"{output} ({width}x{height} px at {left},{top})")
    return 0


def _read_inputs(
    options: argparse.Namespace, search: InputSearch, provenance: Provenance
) -> tuple[Picture, list[Picture]]:
    """Read the photo, and the paintings given or in the record."""
    from impasto.image.files.decode import read_picture

    if not options.style:
        photo, *paintings = search.find_inputs(options.photo, None)
        return photo, paintings
    photo = search.find_picture(provenance.inputs[0], options.photo, "--photo")
    search.files += map(Path, options.style)
    return photo, [read_picture(Path(each)) for each in options.style]


def _build_recipe(options: argparse.Namespace, own: Recipe) -> Recipe:
    """Build the recipe of the region, for the whole result."""
    from impasto.api.refine import choose_refining_recipe
    from impasto.errors import InputError
    from impasto.recipe.recipe import load_recipe

    if options.quality and options.recipe:
        raise InputError("both choose a recipe; give one of them", what="--quality and --recipe")
    name = options.recipe or options.quality
    base = load_recipe(name) if name else choose_refining_recipe(own)
    if not base.capabilities.refines:
        raise InputError(
            f'uses the engine "{base.engine.kind}", which cannot continue from a result',
            what=f"recipe {base.name!r}",
        )
    changes: dict[str, Any] = {
        "style.weights": [] if options.style else own.style.weights,
        "style.strengths": [] if options.style else own.style.strengths,
        "style.scale": own.style.scale,
        "strength": own.strength,
        "colors": own.colors,
    }
    strengths: dict[str, Any] = {}
    if options.strength:
        strengths = {
            "strength": 1.0,
            "style.strengths": [],
            **make_strength_fields(options.strength),
        }
    settings = parse_settings(options.set, strengths, has_print=False)
    return base.with_changes(changes | strengths | settings)


def parse_region(text: str) -> list[int]:
    """Parse ``X,Y,WIDTH,HEIGHT``."""
    try:
        left, top, width, height = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not four whole numbers: X,Y,WIDTH,HEIGHT"
        ) from None
    return [left, top, width, height]
