"""``impasto video CLIP --style PAINTING -o OUT.mp4``: a film repainted, without flicker."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.commands.stylize_command import add_recipe_flags, recipe_from
from impasto.cli.options.arguments import Parser, device, gigabytes, notice_for, number, say, whole
from impasto.cli.options.own_styles import with_own_styles
from impasto.cli.options.recipe_settings import check_steps
from impasto.cli.options.region_options import add_strength_flag
from impasto.cli.options.video_options import frame_rate, raw_format, time_range

if TYPE_CHECKING:
    from impasto.recipe.recipe import Recipe
    from impasto.video.clip.frames import Clip

STABILITY = 0.8


def build_parser() -> Parser:
    """The flags of a film."""
    parser = Parser(
        prog="impasto video",
        usage="impasto video CLIP --style PAINTING [-o OUT.mp4] [options]",
        description="Repaint a film in the style of a painting so that it holds still where the "
        "film does. Ctrl-C stops and keeps what is done as a film; the same command goes on, also "
        "after a crash.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "clip",
        metavar="CLIP",
        nargs="?",
        help="a video, a GIF, or pictures as frames/%%05d.png; - reads standard input",
    )
    add(
        *("-o", "--output"),
        metavar="OUT",
        help=".mp4, .mov, .mkv, .webm, .gif or frames/%%05d.png (default: CLIP-PAINTING.mp4 beside "
        "the clip); - writes raw rgb24 frames to standard output",
    )
    add_recipe_flags(parser.add_argument_group("what to do"))
    add_strength_flag(parser.add_argument_group("how strong"))
    _add_motion(parser.add_argument_group("how steady"))
    _add_frames(parser.add_argument_group("which frames"))
    _add_run(parser.add_argument_group("how to run"))
    _add_live(parser.add_argument_group("live"))
    parser.set_defaults(snapshot_every=None, mask=[], style_mask=[])
    return parser


def _add_motion(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--stability",
        metavar="S",
        type=number(0, 1),
        default=STABILITY,
        help=f"0 paints every frame by itself, 1 keeps all that can be kept (default: {STABILITY})",
    )
    add(
        "--later",
        metavar="N",
        type=whole(1, 1_000_000),
        help="iterations of every frame but a shot's first (default: 0.2 of that one's work if "
        "all of a frame is known from the last, up to all of it if nothing is)",
    )
    add(
        "--statistics",
        choices=("frame", "shot"),
        default="frame",
        help="a network normalizes every frame by its own, or by those of the shot's first (frame)",
    )
    add(
        "--passes",
        type=int,
        choices=(1, 2),
        default=1,
        help="2: once more, backwards, so that what comes to light late is known early",
    )


def _add_frames(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--range", metavar="FROM-TO", type=time_range, help="seconds or m:ss, such as 2.5-10 or 7-")
    add("--every", metavar="N", type=whole(1, 10_000), default=1, help="only every N-th frame")
    add(
        "--preview",
        action="store_true",
        help="only a contact sheet and five seconds: OUT-preview.png and OUT-preview.mp4",
    )
    add("--fps", metavar="R", type=frame_rate, help="frames a second of numbered pictures")
    add(
        "--raw",
        metavar="WxH@R",
        type=raw_format,
        help="standard input is raw rgb24 frames, such as 640x360@24",
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--work", metavar="DIR", help="folder for the frames (default: OUT.frames, gone at the end)"
    )
    add("--restart", action="store_true", help="throw away the frames of another job in it")
    add("--force", action="store_true", help="replace an existing output")
    add("--no-sound", action="store_true", help="leave the clip's sound out")
    add("--no-embed", action="store_true", help="leave the recipe out of the film")
    add("--json", action="store_true", help="one JSON object on the last line of standard output")
    add("--quiet", action="store_true", help="no progress")
    add("--device", default="auto", type=device, help="auto, cpu, cuda, cuda:N or mps")
    add("--max-memory", metavar="GB", type=gigabytes, help="as of the main job")
    add("--scratch", metavar="DIR", help="likewise")
    add("--weights", metavar="FILE", help="likewise")


def _add_live(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--live",
        metavar="camera|FILE",
        nargs="?",
        const="camera",
        help="show it in a browser as it comes, frames left out where there is no time for them",
    )
    add("--no-open", action="store_true", help="open no browser")
    add("--port", metavar="P", type=whole(0, 65_535), default=8765, help="of the page (8765)")


def run(argv: list[str]) -> int:
    """Check everything that can be checked, then work."""
    parser = build_parser()
    options = with_own_styles(parser.parse_args(argv))
    if (options.clip is None) == (options.live is None):
        parser.error("one CLIP is needed, or --live")
    from impasto.errors import InputError
    from impasto.video.stabilize.opencv import check_opencv

    check_opencv()
    from impasto.image.files.decode import read_picture

    if options.passes == 2 and (options.output == "-" or not options.stability):
        raise InputError("--passes 2 needs all frames and some --stability: not with -o -")
    if options.preview and options.clip == "-":
        raise InputError("--preview reads the clip twice: give a file")
    if options.print:
        raise InputError("--print is for one picture, not for a film")
    if options.live is not None:
        _check_live(options)
    recipe = recipe_from(options)
    check_steps(recipe, options, ["later"])
    if options.live is not None:
        from impasto.cli.jobs.video_live import run_live

        return run_live(options, recipe)
    output = _output(options)
    _check_files(options, output)
    notice = notice_for(quiet=options.quiet)
    paintings = [read_picture(Path(each), notice=notice) for each in options.style]
    clip = _clip(options)
    size = size_of(clip, recipe, options, output)
    from impasto.cli.jobs.film_request import Film
    from impasto.cli.jobs.video_preview import preview
    from impasto.cli.jobs.video_work import make

    film = Film(
        options=options,
        recipe=recipe.with_changes({"size": max(size)}),
        clip=clip,
        paintings=paintings,
        size=size,
        output=output,
    )
    return preview(film) if options.preview else make(film)


def _check_live(options: argparse.Namespace) -> None:
    """Choose the network if nothing is chosen; refuse what is for films that are kept."""
    from impasto.errors import InputError

    if not (options.quality or options.recipe):
        options.quality = "draft"
    kept = ("output", "range", "preview", "work", "raw", "fps", "restart", "force", "json")
    given = [*kept, "no_sound", "no_embed"]
    wrong = [f"--{name.replace('_', '-')}" for name in given if getattr(options, name)]
    wrong += ["--passes 2"] * (options.passes == 2) + ["--every"] * (options.every > 1)
    if wrong:
        raise InputError(f"{', '.join(wrong)}: not with --live, which keeps nothing")


def _clip(options: argparse.Namespace) -> Clip:
    from impasto.errors import InputError
    from impasto.video.clip.frames import Format
    from impasto.video.clip.reading import open_clip

    raw = None
    if options.raw:
        if options.clip != "-":
            raise InputError("--raw says what standard input is: give - as CLIP")
        width, height, rate = options.raw
        raw = Format(width, height, rate, 1 / rate)
    source = options.clip
    if source == "-":
        if sys.stdin is None:
            raise InputError("-: standard input is closed, give the clip's path or pipe it in")
        source = sys.stdin.buffer
    notice = notice_for(quiet=options.quiet) or (lambda _: None)
    return open_clip(source, raw=raw, rate=options.fps, notice=notice)


def _output(options: argparse.Namespace) -> Path | None:
    from impasto.cli.options.output_files import default_output
    from impasto.errors import InputError
    from impasto.video.clip.film_writer import CODECS, GIF, check_film_target
    from impasto.video.clip.reading import NUMBER_PATTERN

    if options.output == "-":
        if options.json or options.preview:
            raise InputError("-o - leaves no place for --json or --preview")
        if sys.stdout is None or sys.stdout.isatty():
            raise InputError("-o - writes raw frames: pipe them somewhere")
        return None
    if options.output is not None:
        output = Path(options.output)
    elif options.clip == "-" or NUMBER_PATTERN.search(options.clip):
        raise InputError("a clip from a pipe or of numbered pictures needs -o OUT")
    else:
        clip = Path(options.clip)
        suffix = clip.suffix.lower() if clip.suffix.lower() in (*CODECS, GIF) else ".mp4"
        output = default_output(clip, list(dict.fromkeys(options.style))).with_suffix(suffix)
    check_film_target(output)
    return output


def _check_files(options: argparse.Namespace, output: Path | None) -> None:
    """What is read is not what is written; what is written may be, but for what exists."""
    from impasto.cli.options.output_files import check_targets

    read = [Path(each) for each in (options.clip, *options.style) if each != "-"]
    read += [Path(each) for each in (options.weights, options.recipe) if each]
    # Whether it may be replaced depends on whose it is: the job's folder knows.
    check_targets([output] if output else [], read, overwrite=True)


def size_of(
    clip: Clip, recipe: Recipe, options: argparse.Namespace, output: Path | None
) -> tuple[int, int]:
    """(width, height) of the film."""
    from impasto.engine.hardware import choose_longer_side, resolve_device
    from impasto.engine.sizes import SHORTEST
    from impasto.errors import LimitError
    from impasto.image.files.limits import Limits
    from impasto.video.clip.film_writer import needs_even_sides
    from impasto.video.job.film_output import choose_film_size

    form = clip.format
    longest = max(form.width, form.height)
    longer = recipe.size or choose_longer_side(longest, resolve_device(options.device))
    width, height = choose_film_size(form, longer, output)
    Limits().check_size(width, height, "the film")
    if min(width, height) < SHORTEST + 1:
        raise LimitError(
            f"the film would be {width}x{height} px, but more than {SHORTEST} px on the shorter "
            "side are needed: ask for a larger --size"
        )
    if options.quiet:
        return width, height
    if longer < longest and recipe.size is None:
        say(
            f"the clip's {form.width}x{form.height} px are reduced to {width}x{height}; "
            f"--size {longest} keeps them"
        )
    if longer == longest and needs_even_sides(output) and (form.width % 2 or form.height % 2):
        say(
            f"the clip's {form.width}x{form.height} px are cut to {width}x{height}: this kind "
            "of film has even sides; .gif and numbered frames keep odd ones"
        )
    return width, height
