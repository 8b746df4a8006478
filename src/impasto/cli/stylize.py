"""``impasto PHOTO --style PAINTING``: the main job."""

from __future__ import annotations

import argparse
import difflib
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from impasto._version import __version__
from impasto.cli import COMMANDS, INTERRUPTED
from impasto.cli.arguments import Parser, number, say, whole
from impasto.cli.progress import progress_for

if TYPE_CHECKING:
    from impasto._stylize import Result
    from impasto.media.picture import Picture
    from impasto.optimize.loop import Step, Stylizer
    from impasto.recipe import Recipe

QUALITIES = ("draft", "standard", "best")


def build_parser() -> Parser:
    """The flags of the main job."""
    commands = "\n".join(f"  {name:9} {what}" for name, what in COMMANDS.items())
    parser = Parser(
        prog="impasto",
        usage="impasto PHOTO --style PAINTING [-o OUT] [options]",
        description="Repaint a photo in the style of a painting.",
        epilog=f"commands:\n{commands}\n\n`impasto COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="the picture to repaint; - reads standard input")
    add(
        "--style",
        metavar="PAINTING",
        action="append",
        required=True,
        help="repeat to blend several",
    )
    add("--style-weight", metavar="W", action="append", type=number(0), help="one for each --style")
    add(
        "-o",
        "--output",
        metavar="OUT",
        help="default: PHOTO-PAINTING.png beside the photo; - is standard output",
    )
    add(
        "--size",
        metavar="PX",
        type=whole(16, 65_535),
        help="longer side (default: the photo's, at most 768 on a CPU, 1536 on a GPU)",
    )
    add("--quality", choices=QUALITIES, help="time for beauty (default: standard)")
    add("--recipe", metavar="NAME|FILE.toml", help="one of `impasto recipes`, or your own")
    add(
        "--style-scale",
        metavar="S",
        type=number(0.1, 8),
        help="stroke size: above 1 larger, below 1 finer",
    )
    add("--iterations", metavar="N", type=whole(1, 1_000_000), help="evaluations over all scales")
    add("--init", metavar="START", help="content, noise, blend, style, or a picture's path")
    add("--seed", metavar="N", type=whole(0, 2**63 - 1), help="of the noise a run may start from")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--weights", metavar="FILE", help="VGG weights (.h5, .pth, .mat, .safetensors)")
    add("--snapshots", metavar="DIR", help="a numbered PNG every so often")
    add(
        "--snapshot-every",
        metavar="N",
        type=whole(1, 1_000_000),
        help="iterations between snapshots",
    )
    add("--timelapse", metavar="FILE", help="the run as a .gif or .mp4")
    add("--loss-plot", metavar="FILE", help="the losses as a .png or .svg")
    add("--checkpoint", metavar="FILE", help="keep the state here, at least every 30 s")
    add("--resume", metavar="FILE", help="go on from a checkpoint of the same command")
    add("--depth", type=int, choices=(8, 16), default=8, help="bits a channel; 16 for PNG and TIFF")
    add("--json", action="store_true", help="one JSON object on the last line of standard output")
    add("--quiet", action="store_true", help="no progress")
    add("--force", action="store_true", help="replace an existing output")
    add("--no-embed", action="store_true", help="leave the recipe out of the picture")
    add("--version", action="version", version=f"impasto {__version__}")
    add("--no-metadata", action="store_true", help="leave the photo's EXIF and copyright out")
    return parser


def run(argv: list[str]) -> int:
    """Parse, check everything that can be checked, then work."""
    options = build_parser().parse_args(argv)
    recipe = recipe_from(options)
    output = output_from(options)
    from impasto.errors import InputError, ResourceError

    if output is not None:
        from impasto.media.encode import check_target, output_format

        output_format(output, options.depth)
        check_target(output, overwrite=options.force)
        _refuse_overwriting_inputs(output, [options.photo, *options.style])
    for extra in (options.timelapse, options.loss_plot, options.checkpoint):
        if extra is not None and not Path(extra).parent.is_dir():
            raise InputError(f"{extra}: no such folder {Path(extra).parent}")
    if options.snapshots is not None and Path(options.snapshots).is_file():
        raise ResourceError(f"{options.snapshots}: is a file, a folder is needed for snapshots")
    recorders, films = _recorders(options, recipe)
    photo = _read_photo(options)
    paintings = [_read(path, options) for path in options.style]
    return paint(options, recipe, photo, paintings, output, recorders, films)


def recipe_from(options: argparse.Namespace) -> Recipe:
    """The recipe that the flags describe.

    Raises:
        InputError, RecipeError: flags that contradict each other, or a bad recipe.
    """
    from impasto.errors import InputError
    from impasto.recipe import load_recipe

    if options.quality and options.recipe:
        raise InputError("--quality and --recipe both choose a recipe: give one of them")
    weights = options.style_weight
    if weights is not None and len(weights) != len(options.style):
        raise InputError(f"{len(options.style)} --style but {len(weights)} --style-weight")
    asked: dict[str, Any] = {
        "size": options.size,
        "seed": options.seed,
        "schedule.total": options.iterations,
        "style.scale": options.style_scale,
        "style.weights": weights,
        "snapshot_every": options.snapshot_every,
        **(_start(options.init) if options.init else {}),
    }
    recipe = load_recipe(options.recipe or options.quality or "standard")
    return recipe.with_changes({key: value for key, value in asked.items() if value is not None})


def _start(init: str) -> dict[str, Any]:
    match init:
        case "content" | "style":
            return {"start": {"base": init}}
        case "noise":
            return {"start": {"noise_ratio": 1.0}}
        case "blend":
            return {"start": {"noise_ratio": 0.5}}
    return {"start": {"base": "image", "image": init}}


def output_from(options: argparse.Namespace) -> Path | None:
    """Where the result goes; none for standard output."""
    from impasto.errors import InputError

    if options.output == "-":
        if options.json:
            raise InputError("-o - and --json both want standard output")
        return None
    if options.output is not None:
        return Path(options.output)
    if options.photo == "-":
        raise InputError("a photo from standard input needs -o OUT")
    photo = Path(options.photo)
    return photo.with_name(f"{photo.stem}-{'-'.join(Path(s).stem for s in options.style)}.png")


def _refuse_overwriting_inputs(output: Path, inputs: list[str]) -> None:
    from impasto.errors import InputError

    for path in inputs:
        if path != "-" and output.exists() and Path(path).exists() and output.samefile(path):
            raise InputError(f"{output}: is an input, originals are never replaced")


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


def _read_photo(options: argparse.Namespace) -> Picture:
    from impasto.errors import ImageError
    from impasto.media.decode import read_picture

    if options.photo == "-":
        return read_picture(sys.stdin.buffer, notice=_notice(options))
    path = Path(options.photo)
    near = difflib.get_close_matches(options.photo, COMMANDS, 1)
    if near and not path.exists():
        raise ImageError(f"{path}: no such file; did you mean the command {near[0]!r}?")
    return _read(options.photo, options)


def _read(path: str, options: argparse.Namespace) -> Picture:
    from impasto.media.decode import read_picture

    return read_picture(Path(path), notice=_notice(options))


def _notice(options: argparse.Namespace) -> Any:
    return None if options.quiet else say


def paint(
    options: argparse.Namespace,
    recipe: Recipe,
    photo: Picture,
    paintings: list[Picture],
    output: Path | None,
    recorders: list[Any],
    films: list[Any],
) -> int:
    """Run the recipe, show progress, write the result; 0, or 130 if it was stopped."""
    from impasto._stylize import finished
    from impasto.media.encode import write_picture
    from impasto.optimize.loop import Stylizer

    engine = Stylizer(recipe, device=options.device, weights=options.weights)
    began = time.monotonic()
    last, stopped = _steps(engine, photo, paintings, options, recorders)
    sources = [options.photo, *options.style]
    result = finished(engine, last, photo, paintings, sources, time.monotonic() - began)
    # A picture cut short is not what its recipe makes: a replay would be another one.
    embed = not options.no_embed and not stopped
    write_picture(
        result.picture,
        output or sys.stdout.buffer,
        record=result.provenance.to_json() if embed else None,
        depth=options.depth,
        keep_metadata=not options.no_metadata,
        overwrite=options.force,
        notice=_notice(options),
    )
    for film in films:
        film.write()
    if stopped:
        say(
            f"stopped after {last.iteration} of {last.total} iterations; "
            f"the best picture so far is {output or 'on standard output'}"
            + (f"; --resume {options.checkpoint} goes on" if options.checkpoint else "")
        )
    elif not options.quiet:
        say(f"{output or 'standard output'} ({result.picture.width}x{result.picture.height})")
    if options.json:
        print(json.dumps(_report(result, output, stopped=stopped)))
    return INTERRUPTED if stopped else 0


def _steps(
    engine: Stylizer,
    photo: Picture,
    paintings: list[Picture],
    options: argparse.Namespace,
    recorders: list[Any],
) -> tuple[Step, bool]:
    """The last step, and whether the user ended the run before its time."""
    steps = engine.run(photo, paintings, checkpoint=options.checkpoint, resume=options.resume)
    last = None
    with _stoppable() as stop, progress_for(sys.stderr, quiet=options.quiet) as progress:
        for step in steps:
            last = step
            progress.see(step)
            for recorder in recorders:
                recorder.see(step)
            if stop and step.iteration < step.total:
                steps.close()  # writes the checkpoint
                return step, True
    if last is None:
        from impasto.errors import InputError

        raise InputError(f"{options.resume}: that run was finished already")
    return last, False


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """A list that SIGINT and SIGTERM fill once; a second signal interrupts at once."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _report(result: Result, output: Path | None, *, stopped: bool) -> dict[str, Any]:
    return {
        "output": str(output),
        "width": result.picture.width,
        "height": result.picture.height,
        "seconds": round(result.seconds, 3),
        "iterations": result.iterations,
        "losses": result.losses,
        "recipe": result.recipe.model_dump(mode="json"),
        "device": result.device,
        "peak_memory_mb": round(result.peak_memory_mb, 1),
        "interrupted": stopped,
    }
