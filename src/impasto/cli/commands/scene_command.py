"""``impasto scene MODEL --style PAINTING``: repaint a three-dimensional scene."""

from __future__ import annotations

import argparse

from impasto.cli.options.arguments import (
    JSON_HELP,
    Parser,
    accept_integer,
    add_hardware_flags,
)
from impasto.cli.options.recipe_options import add_blend_flags
from impasto.cli.options.region_options import add_strength_flag

MEMORY_HELP = (
    "memory limit, such as 1.5GB or 800MiB; a bare number is GB (default: all free memory)"
)


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto scene",
        description="Repaint Gaussian splats in the style of a painting, the same from every side. "
        "Only colors change: geometry and opacity stay as they are in the file.",
        epilog="See docs/scene.md.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help=".ply file of 3D Gaussian Splatting, or a .splat file")
    add(
        "--style",
        metavar="PAINTING",
        action="append",
        required=True,
        help='painting to imitate, or "words: blue woodcut" to draw one; repeat to blend several',
    )
    add(
        "-o",
        "--output",
        metavar="OUT",
        help="file of the result, in the format of MODEL (default: MODEL-PAINTING.ply or .splat)",
    )
    add(
        "--quality",
        choices=("draft", "standard", "best"),
        default="standard",
        help="speed/quality trade-off (default: standard)",
    )
    _add_view_flags(parser)
    _add_style_flags(parser)
    add("--turntable", metavar="FILE", help="film of the result, turning once: .mp4, .webm or .gif")
    add("--sheet", metavar="FILE", help="picture of the scene from four sides, before and after")
    add(
        "--checkpoint",
        metavar="FILE",
        help="save the state of the run here, every 30 s or every iteration if that is longer",
    )
    add("--resume", metavar="FILE", help="continue from a checkpoint of the same command")
    add_hardware_flags(parser, memory=MEMORY_HELP)
    add("--force", action="store_true", help="replace existing files")
    add("--json", action="store_true", help=JSON_HELP)
    add("--quiet", action="store_true", help="do not report progress")
    return parser


def _add_view_flags(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--views",
        metavar="N",
        type=accept_integer(1, 256),
        default=16,
        help="cameras around the scene (default: 16)",
    )
    add(
        "--view-size",
        metavar="PX",
        type=accept_integer(32, 1024),
        default=256,
        help="width and height of their pictures; strokes are as large as those of the painting "
        "at this size (default: 256)",
    )
    add(
        "--view-dependent",
        choices=("keep", "scale", "drop"),
        default="scale",
        help="what happens to the part of a color that depends on the direction of view, such as "
        "highlights: keep it, scale it with the color, or drop it (default: scale)",
    )
    add(
        "--up",
        metavar="X,Y,Z",
        type=parse_direction,
        default=(0.0, -1.0, 0.0),
        help="the direction that is up; write --up=-1,0,0 if it begins with a minus sign "
        "(default: 0,-1,0)",
    )


def _add_style_flags(parser: Parser) -> None:
    add = parser.add_argument
    add_strength_flag(parser)
    add_blend_flags(parser)
    add(
        "--colors",
        choices=("style", "content", "luminance", "match"),
        default="style",
        help="colors of the painting (default), of the scene, of the scene by painting its "
        "lightness only, or of the painting fitted to the scene first",
    )
    add(
        "--seed",
        metavar="N",
        type=accept_integer(0, 2**63 - 1),
        help="seed of the order in which the views are looked at (default: 0)",
    )
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="set a field of the recipe, such as content.weight=0.1; repeatable",
    )


def run(argv: list[str]) -> int:
    """Check everything that can be checked, then paint."""
    options = build_parser().parse_args(argv)
    from impasto.cli.jobs.paint_scene import SceneJob

    return SceneJob(options).run()


def parse_direction(text: str) -> tuple[float, float, float]:
    """Parse ``X,Y,Z``, which is not zero."""
    try:
        x, y, z = (float(part) for part in text.split(","))
        if 0 < x * x + y * y + z * z < float("inf"):
            return x, y, z
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a direction of three numbers: X,Y,Z")
