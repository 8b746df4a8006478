"""The flags of ``impasto batch``."""

from __future__ import annotations

import argparse

from impasto.batch.workers.patience import LIMIT_S
from impasto.cli.commands.stylize_command import add_recipe_flags
from impasto.cli.options.arguments import Parser, device, gigabytes, number, whole
from impasto.cli.options.region_options import add_region_flags


def build_parser() -> Parser:
    """The flags of a batch."""
    parser = Parser(
        prog="impasto batch",
        usage="impasto batch SOURCE... --style PAINTING -o FOLDER [options]",
        description="Repaint many photos. The same command again goes on where the last one was "
        "stopped, or killed. Ctrl-C ends what is begun; twice, at once.",
        epilog="docs/batch.md tells more.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        nargs="+",
        help="a folder with all below it, a picture, a quoted pattern such as 'a/**/*.jpg', a "
        "table (.csv, .jsonl) with a row a picture, or - for paths on standard input; or URLs",
    )
    add("-o", "--output", metavar="FOLDER", required=True, help="for the results, by path or URL")
    add_recipe_flags(parser.add_argument_group("what to do"))
    add_region_flags(parser.add_argument_group("how strong, and where"))
    _add_results(parser.add_argument_group("what to write"))
    _add_work(parser.add_argument_group("how to work"))
    parser.set_defaults(snapshot_every=None)
    return parser


def _add_results(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    kinds = ("png", "jpg", "webp", "tif", "bmp", "avif")
    add("--format", choices=kinds, default="png", help="of the results (default: png)")
    add("--depth", type=int, choices=(8, 16), default=8, help="bits a channel; 16 for png and tif")
    add("--full-names", action="store_true", help="a.jpg becomes a.jpg.png, not a.png")
    add(
        "--root",
        metavar="DIR",
        help="single files, patterns and lists keep their path below this (default: where you are)",
    )
    add("--force", action="store_true", help="make again what is there of another photo or recipe")
    add("--no-embed", action="store_true", help="leave the recipe out of the pictures")
    add("--no-metadata", action="store_true", help="leave the photos' EXIF and copyright out")
    add(
        "--record", metavar="FILE", help="of what was done (default: impasto-batch.jsonl in FOLDER)"
    )
    add("--json", action="store_true", help="one JSON object on the last line of standard output")
    add("--quiet", action="store_true", help="no progress")


def _add_work(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--executor",
        choices=("local", "ray", "serial"),
        default="local",
        help="processes of this machine, a Ray cluster, or this very process (default: local)",
    )
    add(
        "--workers", metavar="N", type=whole(1, 100_000), help="pictures at a time (default: suits)"
    )
    add("--ray-address", metavar="ADDRESS", help="of a cluster (default: one is started here)")
    add(
        "--ray-timeout",
        metavar="S",
        type=number(1, 10**7),
        default=LIMIT_S,
        help=f"seconds without any worker until it gives up, with exit code 4 ({LIMIT_S:g})",
    )
    add("--limit", metavar="N", type=whole(1, 10**9), help="make at most so many now")
    add(
        "--dry-run", action="store_true", help="tell what would be made, and how long it would take"
    )
    add("--watch", action="store_true", help="go on with what comes into the folder, until Ctrl-C")
    add("--device", default="auto", type=device, help="auto, cpu, cuda, cuda:N or mps")
    add("--max-memory", metavar="GB", type=gigabytes, help="of all workers (with ray: of each)")
    add("--scratch", metavar="DIR", help="folder for large temporary files")
    add("--weights", metavar="FILE", help="VGG weights (.h5, .pth, .mat, .safetensors)")
