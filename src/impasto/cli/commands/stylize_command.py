"""``impasto PHOTO --style PAINTING``: the main job."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto._version import __version__
from impasto.cli import COMMANDS
from impasto.cli.options.arguments import Parser, device, gigabytes, number, whole
from impasto.cli.options.input_files import read_inputs
from impasto.cli.options.recipe_settings import check_steps, for_print, settings_from
from impasto.cli.options.region_options import (
    add_region_flags,
    mask_files,
    read_masks,
    spell_out,
    strength_fields,
)
from impasto.image.print_size import PrintSize

if TYPE_CHECKING:
    from impasto.recipe.recipe import Recipe

Group = argparse._ArgumentGroup
QUALITIES = ("draft", "standard", "best")


def build_parser() -> Parser:
    """The flags of the main job."""
    commands = "\n".join(f"  {name:9} {what}" for name, what in COMMANDS.items())
    parser = Parser(
        prog="impasto",
        usage="impasto PHOTO --style PAINTING [-o OUT] [options]",
        description="Repaint a photo in the style of a painting. Ctrl-C stops and keeps the best "
        "picture so far; twice, at once.",
        epilog=f"commands:\n{commands}\n\n`impasto COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="the picture to repaint; - reads standard input")
    add(
        *("-o", "--output"),
        metavar="OUT",
        help="default: PHOTO-PAINTING.png beside the photo; - is standard output",
    )
    add_recipe_flags(parser.add_argument_group("what to do"))
    add_region_flags(parser.add_argument_group("how strong, and where"))
    _add_result(parser.add_argument_group("what to write"))
    _add_run(parser.add_argument_group("how to run"))
    add("--version", action="version", version=f"impasto {__version__}")
    return parser


def add_recipe_flags(group: Group) -> None:
    """The flags that :func:`recipe_from` reads, ``--snapshot-every`` apart."""
    add = group.add_argument
    add(
        "--style",
        metavar="PAINTING",
        action="append",
        help="repeat to blend several; a network for some paintings has its own",
    )
    add("--style-weight", metavar="W", action="append", type=number(0), help="one for each --style")
    add(
        "--style-scale",
        metavar="S",
        type=number(0.1, 8),
        help="stroke size: above 1 larger, below 1 finer",
    )
    add(
        "--colors",
        choices=("style", "content", "luminance", "match"),
        help="content: the photo's; luminance: likewise, the classic way; match: the painting's, "
        "brought to the photo's first (default: style, the painting's)",
    )
    add(
        "--size",
        metavar="PX",
        type=whole(16, 65_535),
        help="longer side (default: the photo's, at most 768 on a CPU, 1536 on a GPU)",
    )
    add(
        "--print",
        metavar="SIZE",
        type=PrintSize.parse,
        help="60x40cm@300dpi: as large as fits that sheet, turned as the photo lies; "
        "60cm@300dpi: the longer side; also mm and in",
    )
    add("--quality", choices=QUALITIES, help="time for beauty (default: standard; more: --recipe)")
    add(
        "--recipe",
        metavar="NAME|FILE",
        help="one of `impasto recipes`, your own .toml, or a network.safetensors",
    )
    add("--iterations", metavar="N", type=whole(1, 1_000_000), help="evaluations over all scales")
    add(
        "--until",
        choices=("iterations", "converged"),
        help="converged: end a scale early when ten iterations gain less than 1 %%",
    )
    add("--init", metavar="START", help="content, noise, blend, style, draft, or a picture's path")
    add("--seed", metavar="N", type=whole(0, 2**63 - 1), help="of the noise a run may start from")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        help="any field of the recipe, such as style.layers.relu3_1=0.5; repeatable",
    )


def _add_result(group: Group) -> None:
    add = group.add_argument
    add("--depth", type=int, choices=(8, 16), default=8, help="bits a channel; 16 for PNG and TIFF")
    add("--force", action="store_true", help="replace an existing output")
    add("--no-embed", action="store_true", help="leave the recipe out of the picture")
    add("--no-metadata", action="store_true", help="leave the photo's EXIF and copyright out")
    add("--snapshots", metavar="DIR", help="a numbered PNG every so often")
    add(
        "--snapshot-every",
        metavar="N",
        type=whole(1, 1_000_000),
        help="iterations between snapshots",
    )
    add("--timelapse", metavar="FILE", help="the run as a .gif or .mp4")
    add("--loss-plot", metavar="FILE", help="the losses as a .png or .svg")
    add("--json", action="store_true", help="one JSON object on the last line of standard output")
    add("--quiet", action="store_true", help="no progress")


def _add_run(group: Group) -> None:
    add = group.add_argument
    add("--device", default="auto", type=device, help="auto, cpu, cuda, cuda:N or mps")
    add(
        "--max-memory",
        metavar="GB",
        type=gigabytes,
        help="use tiles and temporary files rather than more (default: what is free)",
    )
    add("--scratch", metavar="DIR", help="folder for those files (default: TMPDIR or /var/tmp)")
    add("--weights", metavar="FILE", help="VGG weights (.h5, .pth, .mat, .safetensors)")
    add("--checkpoint", metavar="FILE", help="keep the state here, every 30 s or each iteration")
    add("--resume", metavar="FILE", help="go on from a checkpoint of the same command")


def run(argv: list[str]) -> int:
    """Parse, check everything that can be checked, then work."""
    options = spell_out(build_parser().parse_args(argv))
    from impasto.cli.options.output_files import output_from

    recipe = recipe_from(options)
    check_steps(recipe, options)
    output = output_from(options)
    _check_files(options, recipe, output)
    photo, paintings = read_inputs(options, recipe)
    recipe = for_print(recipe, options, photo)
    masks, style_masks = read_masks(options, photo, paintings)
    recorders, films = _recorders(options, recipe)
    from impasto.cli.jobs.paint import Job, paint

    job = Job(
        recipe=recipe,
        photo=photo,
        paintings=paintings,
        masks=masks,
        style_masks=style_masks,
        sources=[None if each == "-" else each for each in (options.photo, *options.style)],
        output=output,
        device=options.device,
        weights=options.weights,
        max_memory=options.max_memory,
        scratch=options.scratch,
        depth=options.depth,
        overwrite=options.force,
        quiet=options.quiet,
        json=options.json,
        embed=not options.no_embed,
        keep_metadata=not options.no_metadata,
        checkpoint=options.checkpoint,
        resume=options.resume,
    )
    return paint(job, recorders, films)


def _check_files(options: argparse.Namespace, recipe: Recipe, output: Path | None) -> None:
    """What is read is there, what is written may be."""
    from impasto.cli.options.output_files import check_no_run_in, check_snapshots, check_targets
    from impasto.errors import InputError, WeightsError
    from impasto.image.files.encode import choose_format
    from impasto.record.snapshots import PATTERN

    if output is not None and os.path.isdir(output):  # noqa: PTH112 -- never raises
        raise InputError(f"{output}: is a folder, give the name of a file in it")
    if output is not None:
        choose_format(output, options.depth)
    if "-" in options.style:
        raise InputError("--style -: only the photo can come from standard input")
    if options.snapshot_every and not options.snapshots:
        raise InputError("--snapshot-every needs --snapshots DIR")
    resume = Path(options.resume) if options.resume else None
    if options.checkpoint and not resume and not options.force:
        check_no_run_in(Path(options.checkpoint))
    pictures = [options.photo, *options.style, recipe.start.image]
    pictures += mask_files(options)
    read = [Path(each) for each in pictures if each and each != "-"]
    read += [Path(each) for each in (options.weights, options.recipe) if each]
    files = (options.timelapse, options.loss_plot, options.checkpoint)
    targets = [Path(each) for each in (output, *files) if each]
    check_targets(targets, read, overwrite=options.force, continued=resume)
    if options.snapshots:
        go_on = options.force or resume is not None
        check_snapshots(Path(options.snapshots), PATTERN, read, overwrite=go_on)
    if resume is not None and not os.path.exists(resume):  # noqa: PTH110 -- never raises
        raise InputError(f"{resume}: no such checkpoint")
    if options.weights and not os.path.exists(options.weights):  # noqa: PTH110
        raise WeightsError(f"no weights file {options.weights}")


def recipe_from(options: argparse.Namespace) -> Recipe:
    """The recipe that the flags describe.

    Raises:
        InputError, RecipeError: flags that contradict each other, or a bad recipe.
    """
    from impasto.errors import InputError
    from impasto.recipe.recipe import load_recipe

    if options.quality and options.recipe:
        raise InputError("--quality and --recipe both choose a recipe: give one of them")
    if options.print and options.size:
        raise InputError("--size and --print both choose the size: give one of them")
    asked: dict[str, Any] = {
        "size": options.size,
        "seed": options.seed,
        "schedule.total": options.iterations,
        "schedule.until": options.until,
        "style.scale": options.style_scale,
        "colors": options.colors,
        "style.weights": options.style_weight,
        **strength_fields(options.strength),
        "snapshot_every": options.snapshot_every,
        **(_start(options.init) if options.init else {}),
    }
    recipe = load_recipe(options.recipe or options.quality or "standard")
    asked = {key: value for key, value in asked.items() if value is not None}
    settings = settings_from(options.set or [], asked, printed=options.print is not None)
    recipe = recipe.with_changes(asked | settings)
    if "-" in (*options.mask, *options.style_mask):
        raise InputError("--mask -: only the photo can come from standard input")
    recipe.check_counts(len(options.style), len(options.mask), len(options.style_mask))
    return recipe


def _start(init: str) -> dict[str, Any]:
    match init:
        case "content" | "style" | "draft":
            return {"start": {"base": init}}
        case "noise":
            return {"start": {"noise_ratio": 1.0}}
        case "blend":
            return {"start": {"noise_ratio": 0.5}}
    return {"start": {"base": "image", "image": init}}


def _recorders(options: argparse.Namespace, recipe: Recipe) -> tuple[list[Any], list[Any]]:
    """What watches the steps, and what of it is written at the end."""
    watching: list[Any] = []
    written: list[Any] = []
    if options.timelapse:
        from impasto.record.timelapse import Timelapse

        written.append(Timelapse(Path(options.timelapse)))
    if options.loss_plot:
        from impasto.record.loss_plot import LossPlot

        written.append(LossPlot(Path(options.loss_plot)))
    if options.snapshots:
        from impasto.record.snapshots import Snapshots

        watching.append(Snapshots(Path(options.snapshots), recipe.snapshot_every))
    return [*watching, *written], written
