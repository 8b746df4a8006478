"""``impasto PHOTO --style PAINTING``: repaint a photo."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto._version import __version__
from impasto.cli import COMMANDS
from impasto.cli.options.arguments import (
    JSON_HELP,
    Parser,
    accept_integer,
    add_hardware_flags,
    choose_hardware,
    say,
)
from impasto.cli.options.input_files import expand_styles, read_inputs, read_job_inputs
from impasto.cli.options.recipe_options import (
    add_recipe_flags,
    build_recipe,
    check_step_flags,
)
from impasto.cli.options.region_options import add_region_flags, list_mask_files

if TYPE_CHECKING:
    from impasto.recipe.recipe import Recipe


def build_parser() -> Parser:
    """Build the parser of the main command, which ``impasto plan`` shares."""
    commands = "\n".join(f"  {name:9} {what}" for name, what in COMMANDS.items())
    parser = Parser(
        prog="impasto",
        usage="impasto PHOTO --style PAINTING [-o OUT] [options]",
        description="Repaint a photo in the style of a painting. Ctrl-C stops and keeps\n"
        "the best picture so far; a second Ctrl-C quits at once.",
        epilog=f"commands:\n{commands}\n\nRun `impasto COMMAND --help` for help on a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="photo to repaint; - reads standard input")
    add(
        "-o",
        "--output",
        metavar="OUT",
        help="file of the result (default: PHOTO-PAINTING.png next to the photo); - writes to "
        "standard output",
    )
    add_recipe_flags(parser.add_argument_group("style"))
    add_region_flags(parser.add_argument_group("strength and regions"))
    _add_output_flags(parser.add_argument_group("output"))
    _add_run_flags(parser.add_argument_group("hardware and checkpoints"))
    add("--version", action="version", version=f"impasto {__version__}")
    return parser


def _add_output_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--depth",
        type=int,
        choices=(8, 16),
        default=8,
        help="bits per channel; 16 for PNG and TIFF (default: 8)",
    )
    add("--force", action="store_true", help="replace existing files")
    add("--no-embed", action="store_true", help="do not store the recipe in the picture")
    add("--no-metadata", action="store_true", help="do not copy the photo's EXIF and copyright")
    add("--snapshots", metavar="DIR", help="write numbered PNG files of the run to this folder")
    add(
        "--snapshot-every",
        metavar="N",
        type=accept_integer(1, 1_000_000),
        help="iterations between snapshots",
    )
    add("--timelapse", metavar="FILE", help="write the run as a .gif or .mp4")
    add("--loss-plot", metavar="FILE", help="plot the losses as a .png or .svg")
    add("--json", action="store_true", help=JSON_HELP)
    add("--quiet", action="store_true", help="do not report progress")


def _add_run_flags(group: argparse._ArgumentGroup) -> None:
    add_hardware_flags(group)
    add = group.add_argument
    add(
        "--checkpoint",
        metavar="FILE",
        help="save the state of the run here, every 30 s or every iteration if that is longer",
    )
    add("--resume", metavar="FILE", help="continue from a checkpoint of the same command")


def run(argv: list[str]) -> int:
    """Check everything that can be checked, then paint."""
    options = expand_styles(build_parser().parse_args(argv))
    from impasto.cli.options.output_files import choose_output

    recipe = build_recipe(options)
    check_step_flags(recipe, options)
    output = choose_output(options)
    _check_files(options, recipe, output)
    pictures = read_inputs(options, recipe)
    recorders, films = _make_recorders(options, recipe)
    recipe, inputs = read_job_inputs(options, recipe, *pictures)
    from impasto.cli.jobs.paint import PaintJob, paint

    job = PaintJob(
        recipe=recipe,
        inputs=inputs,
        sources=[None if each == "-" else each for each in (options.photo, *options.style)],
        output=output,
        hardware=choose_hardware(options),
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
    """Check that every input exists and that every output may be written."""
    from impasto.cli.options.output_files import (
        check_checkpoint,
        check_no_run_in,
        check_snapshots,
        check_targets,
    )
    from impasto.errors import InputError, WeightsError
    from impasto.image.files.encode import choose_format
    from impasto.record.snapshots import PATTERN

    if output is not None and os.path.isdir(output):  # noqa: PTH112 -- never raises
        raise InputError("is a folder", where=output, expected="the name of a file")
    if output is not None:
        choose_format(output, options.depth)
    if "-" in options.style:
        raise InputError("only the photo can come from standard input", where="--style -")
    if options.snapshot_every and not options.snapshots:
        raise InputError("requires --snapshots DIR", what="--snapshot-every")
    resume = Path(options.resume) if options.resume else None
    if options.checkpoint and not resume and not options.force:
        check_no_run_in(Path(options.checkpoint))
    pictures = [options.photo, *options.style, recipe.start.image, *list_mask_files(options)]
    inputs = [Path(each) for each in pictures if each and each != "-"]
    inputs += [Path(each) for each in (options.weights, options.recipe) if each]
    files = (options.timelapse, options.loss_plot, options.checkpoint)
    targets = [Path(each) for each in (output, *files) if each]
    check_targets(targets, inputs, overwrite=options.force, continued=resume)
    if options.snapshots:
        overwrite = options.force or resume is not None
        check_snapshots(Path(options.snapshots), PATTERN, inputs, overwrite=overwrite)
    if resume is not None and not os.path.exists(resume):  # noqa: PTH110 -- never raises
        raise InputError("no such checkpoint", where=resume)
    if resume is not None:
        check_checkpoint(resume)
    if options.weights and not os.path.exists(options.weights):  # noqa: PTH110
        raise WeightsError("no such weights file", where=options.weights)


def _make_recorders(options: argparse.Namespace, recipe: Recipe) -> tuple[list[Any], list[Any]]:
    """Make what receives the steps, and return which of it is written at the end."""
    receive: list[Any] = []
    write: list[Any] = []
    overwrite = bool(options.force)
    if options.timelapse:
        from impasto.record.timelapse import Timelapse

        write.append(Timelapse(Path(options.timelapse), overwrite=overwrite, notice=say))
    if options.loss_plot:
        from impasto.cli.options.output_files import silence_matplotlib
        from impasto.record.loss_plot import LossPlot

        silence_matplotlib()

        write.append(LossPlot(Path(options.loss_plot), overwrite=overwrite, notice=say))
    if options.snapshots:
        from impasto.record.snapshots import Snapshots

        receive.append(
            Snapshots(
                Path(options.snapshots),
                recipe.snapshot_every,
                overwrite=overwrite or options.resume is not None,
                notice=say,
            )
        )
    return [*receive, *write], write
