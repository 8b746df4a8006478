"""``impasto words "blue woodcut" -o STYLE.png``: draw a painting from words."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from impasto.cli.options.arguments import JSON_HELP, Parser, accept_integer, say


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto words",
        description="Draw a painting from words in English or Chinese, to be used as --style. "
        '--style "words: TEXT" draws one on the way.',
        epilog="See docs/words.md for the words.",
    )
    add = parser.add_argument
    add(
        "text",
        metavar="TEXT",
        help="technique, colors, size of the marks, direction, contrast and ground, such as "
        "'blue woodcut, bold lines, on cream paper'",
    )
    add(
        "-o",
        "--output",
        metavar="STYLE.png",
        help="file of the painting (default: a name made of technique and colors)",
    )
    add(
        "--seed",
        metavar="N",
        type=accept_integer(0, 999_999_999),
        help="draw another picture of the same words (default: 0)",
    )
    add(
        "--size",
        metavar="PX",
        type=accept_integer(64, 2048),
        default=512,
        help="width and height (default: 512)",
    )
    add("--force", action="store_true", help="replace an existing output")
    add("--json", action="store_true", help=JSON_HELP)
    return parser


def run(argv: list[str]) -> int:
    """Draw the painting, and print what the words chose."""
    options = build_parser().parse_args(argv)
    from impasto.cli.options.output_files import check_targets
    from impasto.image.files.encode import choose_format, write_picture
    from impasto.image.files.result_file import ResultFile
    from impasto.words.description import parse_description
    from impasto.words.drawing.draw import draw_painting

    description = parse_description(options.text, options.seed)
    output = Path(options.output or f"{description.make_stem(options.size)}.png")
    choose_format(output)
    check_targets([output], [], overwrite=options.force)
    painting = draw_painting(description, options.size)
    file = ResultFile(output, overwrite=options.force, notice=say, what="the painting")
    output = file.write(partial(write_picture, painting))
    say(f"{output}: {description.describe()}")
    if options.json:
        size = {"width": options.size, "height": options.size}
        print(json.dumps({"output": str(output), **size, "style": description.to_json()}))
    return 0
