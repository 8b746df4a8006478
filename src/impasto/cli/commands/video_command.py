"""``impasto video CLIP --style PAINTING -o OUT.mp4``: repaint a film without flicker."""

from __future__ import annotations

import argparse
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.options.arguments import (
    JSON_HELP,
    Parser,
    accept_integer,
    accept_number,
    add_hardware_flags,
    choose_notice,
)
from impasto.cli.options.input_files import expand_network_styles
from impasto.cli.options.recipe_options import add_recipe_flags, build_recipe, check_step_flags
from impasto.cli.options.region_options import add_strength_flag

if TYPE_CHECKING:
    from impasto.video.clip.frames import Clip

STABILITY = 0.8
FASTEST_RATE = 1000
"""Frames per second."""


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto video",
        usage="impasto video CLIP --style PAINTING [-o OUT.mp4] [options]",
        description="Repaint a video in the style of a painting, without flicker. Ctrl-C stops and "
        "writes the finished frames as a video; the same command continues, also after a crash.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "clip",
        metavar="CLIP",
        nargs="?",
        help="a video, a GIF, or pictures named like frames/%%05d.png; - reads standard input",
    )
    add(
        "-o",
        "--output",
        metavar="OUT",
        help=".mp4, .mov, .mkv, .webm, .gif or frames/%%05d.png (default: CLIP-PAINTING.mp4 next "
        "to the clip); - writes raw rgb24 frames to standard output",
    )
    add_recipe_flags(parser.add_argument_group("style"))
    add_strength_flag(parser.add_argument_group("strength"))
    _add_stability_flags(parser.add_argument_group("stability"))
    _add_frame_flags(parser.add_argument_group("frames"))
    _add_run_flags(parser.add_argument_group("output and hardware"))
    _add_live_flags(parser.add_argument_group("live"))
    parser.set_defaults(snapshot_every=None, mask=[], style_mask=[])
    return parser


def _add_stability_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--stability",
        metavar="S",
        type=accept_number(0, 1),
        default=STABILITY,
        help="from 0 (every frame is painted by itself) to 1 (as much as possible is kept from the "
        f"last frame) (default: {STABILITY})",
    )
    add(
        "--later",
        metavar="N",
        type=accept_integer(1, 1_000_000),
        help="iterations of every frame except the first of a shot (default: from 20 %% to 100 %% "
        "of the first frame's, depending on how much of the frame is new)",
    )
    add(
        "--statistics",
        choices=("frame", "shot"),
        default="frame",
        help="whether a network normalizes each frame by its own statistics or by those of the "
        "first frame of the shot (default: frame)",
    )
    add(
        "--passes",
        type=int,
        choices=(1, 2),
        default=1,
        help="2: repaint the film backwards after the first pass, which is steadier where new "
        "parts appear (default: 1)",
    )


def _add_frame_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--range",
        metavar="FROM-TO",
        type=parse_time_range,
        help="part of the clip in seconds or m:ss, such as 2.5-10 or 7-",
    )
    add(
        "--every",
        metavar="N",
        type=accept_integer(1, 10_000),
        default=1,
        help="use only every N-th frame (default: 1)",
    )
    add(
        "--preview",
        action="store_true",
        help="only write a contact sheet and five seconds: OUT-preview.png and OUT-preview.mp4",
    )
    add(
        "--fps",
        metavar="R",
        type=parse_frame_rate,
        help="frames per second of numbered pictures",
    )
    add(
        "--raw",
        metavar="WxH@R",
        type=parse_raw_format,
        help="size and rate of raw rgb24 frames on standard input, such as 640x360@24",
    )


def _add_run_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--work",
        metavar="DIR",
        help="folder for the frames (default: OUT.frames, removed when the film is finished)",
    )
    add("--restart", action="store_true", help="discard frames of another job in this folder")
    add("--force", action="store_true", help="replace an existing output")
    add("--no-sound", action="store_true", help="leave out the sound of the clip")
    add("--no-embed", action="store_true", help="do not store the recipe in the film")
    add("--json", action="store_true", help=JSON_HELP)
    add("--quiet", action="store_true", help="do not report progress")
    add_hardware_flags(group)


def _add_live_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--live",
        metavar="camera|FILE",
        nargs="?",
        const="camera",
        help="show the result in a browser in real time, skipping frames if necessary",
    )
    add("--no-open", action="store_true", help="do not open a browser")
    add(
        "--port",
        metavar="P",
        type=accept_integer(0, 65_535),
        default=8765,
        help="port of the page (default: 8765)",
    )


def parse_time(text: str) -> Fraction:
    """Parse ``2.5``, ``1:02.5`` or ``1:00:00`` into seconds."""
    if not re.fullmatch(r"(\d{1,3}:){0,2}\d{1,6}(\.\d{1,9})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: use seconds, m:ss or h:mm:ss")
    total = Fraction(0)
    for part in text.split(":"):
        total = 60 * total + Fraction(part)
    return total


def parse_time_range(text: str) -> tuple[Fraction, Fraction | None]:
    """Parse ``FROM-TO``, either of which may be missing."""
    begin, dash, end = text.partition("-")
    if not dash or not (begin or end):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range, such as 2.5-10, 7- or -1:30")
    first, last = parse_time(begin or "0"), parse_time(end) if end else None
    if last is not None and last <= first:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it starts")
    return first, last


def parse_frame_rate(text: str) -> Fraction:
    """Parse ``24``, ``23.976`` or ``30000/1001``."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= FASTEST_RATE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a frame rate: use a number or fraction up to {FASTEST_RATE}"
        )
    return rate


def parse_raw_format(text: str) -> tuple[int, int, Fraction]:
    """Parse ``WIDTHxHEIGHT@RATE``."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})@(.+)", text)
    if not match or not int(match[1]) * int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT@RATE, such as 640x360@24")
    return int(match[1]), int(match[2]), parse_frame_rate(match[3])


def run(argv: list[str]) -> int:
    """Check everything that can be checked, then paint."""
    parser = build_parser()
    options = expand_network_styles(parser.parse_args(argv))
    if (options.clip is None) == (options.live is None):
        parser.error("give either CLIP or --live")
    from impasto.errors import InputError
    from impasto.video.stabilize.opencv import check_opencv

    check_opencv()
    from impasto.image.files.decode import read_picture

    if options.passes == 2 and (options.output == "-" or not options.stability):
        raise InputError(
            "requires --stability above 0 and an output other than -o -", what="--passes 2"
        )
    if options.preview and options.clip == "-":
        raise InputError("reads the clip twice; give a file instead of -", what="--preview")
    if options.print:
        raise InputError("applies to one picture, not to a film", what="--print")
    if options.live is not None:
        _check_live(options)
    recipe = build_recipe(options)
    check_step_flags(recipe, options, ["later"])
    if options.live is not None:
        from impasto.cli.jobs.video_live import run_live

        return run_live(options, recipe)
    output = _choose_output(options)
    _check_files(options, output)
    notice = choose_notice(quiet=options.quiet)
    paintings = [read_picture(Path(each), notice=notice) for each in options.style]
    clip = _open_clip(options)
    from impasto.cli.jobs.film_request import FilmRequest, choose_size
    from impasto.cli.jobs.video_work import make_film, preview_film

    size = choose_size(clip, recipe, options, output)
    film = FilmRequest(
        options=options,
        recipe=recipe.with_changes({"size": max(size)}),
        clip=clip,
        paintings=paintings,
        size=size,
        output=output,
    )
    return preview_film(film) if options.preview else make_film(film)


def _check_live(options: argparse.Namespace) -> None:
    """Choose the network by default, and check that no flag is about a stored film."""
    from impasto.errors import InputError

    if not (options.quality or options.recipe):
        options.quality = "draft"
    flags = (
        "output",
        "range",
        "preview",
        "work",
        "raw",
        "fps",
        "restart",
        "force",
        "json",
        "no_sound",
        "no_embed",
    )
    wrong = [f"--{name.replace('_', '-')}" for name in flags if getattr(options, name)]
    wrong += ["--passes 2"] * (options.passes == 2) + ["--every"] * (options.every > 1)
    if wrong:
        raise InputError(
            "cannot be combined with --live, which stores nothing", what=", ".join(wrong)
        )


def _open_clip(options: argparse.Namespace) -> Clip:
    from impasto.errors import InputError
    from impasto.video.clip.frames import Format
    from impasto.video.clip.reading import open_clip

    raw = None
    if options.raw:
        if options.clip != "-":
            raise InputError("describes standard input; give - as CLIP", what="--raw")
        width, height, rate = options.raw
        raw = Format(width, height, rate, 1 / rate)
    source = options.clip
    if source == "-":
        if sys.stdin is None:
            raise InputError(
                "standard input is closed", where="-", expected="the clip's path or a pipe"
            )
        source = sys.stdin.buffer
    notice = choose_notice(quiet=options.quiet) or (lambda _: None)
    return open_clip(source, raw=raw, rate=options.fps, notice=notice)


def _choose_output(options: argparse.Namespace) -> Path | None:
    from impasto.cli.options.output_files import check_present, make_output_name
    from impasto.errors import InputError
    from impasto.video.clip.film_writer import CODECS, GIF, check_film_target
    from impasto.video.clip.reading import names_numbered_clip

    if options.output == "-":
        if options.json or options.preview:
            raise InputError("cannot be combined with --json or --preview", what="-o -")
        if sys.stdout is None or sys.stdout.isatty():
            raise InputError("writes raw frames, which require a pipe or a file", what="-o -")
        return None
    if options.output is not None:
        output = Path(options.output)
    elif options.clip == "-" or names_numbered_clip(options.clip):
        raise InputError("requires -o OUT", what="a clip from standard input or numbered pictures")
    else:
        clip = Path(options.clip)
        check_present(clip)
        suffix = clip.suffix.lower() if clip.suffix.lower() in (*CODECS, GIF) else ".mp4"
        output = make_output_name(clip, list(dict.fromkeys(options.style))).with_suffix(suffix)
    check_film_target(output)
    return output


def _check_files(options: argparse.Namespace, output: Path | None) -> None:
    """Check that the output is not an input."""
    from impasto.cli.options.output_files import check_targets

    read = [Path(each) for each in (options.clip, *options.style) if each != "-"]
    read += [Path(each) for each in (options.weights, options.recipe) if each]
    # Only the job's folder knows whether an existing output belongs to this job.
    check_targets([output] if output else [], read, overwrite=True)
