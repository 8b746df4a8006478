"""``impasto mask PHOTO KIND -o MASK.png``: write the mask that ``--mask KIND`` would find."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from impasto.cli.options.arguments import Parser, say


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto mask",
        description="Write the mask that --mask KIND would find in a photo, to check it or to edit "
        "it and use it as --mask MASK.png.",
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="the photo")
    add(
        "kind",
        metavar="KIND",
        help="rect:X,Y,W,H, scribble:FILE, salient, person, face, or auto:COUNT#N for the N-th of "
        "COUNT regions",
    )
    add("-o", "--output", metavar="MASK.png", required=True, help="file of the mask")
    add(
        "--style",
        metavar="PAINTING",
        action="append",
        default=[],
        help="painting whose regions should correspond, for auto; repeatable",
    )
    add("--force", action="store_true", help="replace an existing output")
    return parser


def run(argv: list[str]) -> int:
    """Find the mask and write it as a gray picture."""
    options = build_parser().parse_args(argv)
    import numpy as np

    from impasto.cli.options.output_files import check_targets
    from impasto.cli.options.style_words import find_painting_file
    from impasto.errors import InputError
    from impasto.image.files.decode import read_picture
    from impasto.image.files.encode import choose_format, write_picture
    from impasto.image.files.result_file import ResultFile
    from impasto.image.picture import Picture
    from impasto.segment.mask_words import (
        WORDS,
        check_mask_spelling,
        find_masks,
        get_mask_file,
        is_mask_word,
    )

    if not is_mask_word(options.kind):
        check_mask_spelling(options.kind)
        raise InputError(
            "unknown kind of mask", where=options.kind, expected=f"one of {', '.join(WORDS)}"
        )
    if options.kind.startswith("auto") and not options.style:
        raise InputError("requires --style PAINTING", what=options.kind)
    output, scribbles = Path(options.output), get_mask_file(options.kind)
    choose_format(output, 8)
    options.style = list(map(find_painting_file, options.style))
    inputs = [Path(each) for each in (options.photo, *options.style, scribbles) if each]
    check_targets([output], inputs, overwrite=options.force)
    paintings = [read_picture(each) for each in options.style]
    (mask,), _ = find_masks(read_picture(options.photo), paintings, [options.kind], [])
    gray = Picture(np.repeat(mask.values[..., None], 3, axis=2))
    file = ResultFile(output, overwrite=options.force, notice=say, what="the mask")
    output = file.write(partial(write_picture, gray))
    say(f"{output} ({gray.width}x{gray.height}), {mask.values.mean():.0%} of the photo")
    return 0
