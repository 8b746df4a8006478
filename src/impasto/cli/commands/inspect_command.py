"""``impasto inspect PICTURE -o DIR``: show what each layer of VGG-19 keeps of a picture."""

from __future__ import annotations

import sys
from pathlib import Path

from impasto.cli.options.arguments import Parser, accept_integer, say


def run(argv: list[str]) -> int:
    """Write the pictures, and a page that shows them."""
    parser = Parser(
        prog="impasto inspect",
        description="Show what each of VGG-19's five blocks keeps of a picture: the photo "
        "reconstructed from one layer, a texture synthesized from its Gram matrix, and its "
        "activations.",
    )
    parser.add_argument("photo", metavar="PHOTO", help="the photo")
    parser.add_argument(
        "--style", metavar="PAINTING", help="painting for the textures (default: PHOTO)"
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder of the page")
    parser.add_argument(
        "--size",
        metavar="PX",
        type=accept_integer(32, 1024),
        default=224,
        help="longer side (default: 224)",
    )
    parser.add_argument(
        "--iterations",
        metavar="N",
        type=accept_integer(1, 10_000),
        default=60,
        help="iterations per picture (default: 60)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=accept_integer(0, 2**63 - 1),
        default=0,
        help="seed of the noise (default: 0)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)"
    )
    parser.add_argument("--quiet", action="store_true", help="do not report progress")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    options = parser.parse_args(argv)

    from impasto.cli.options.style_words import find_painting_file
    from impasto.image.files.decode import read_picture

    folder = Path(options.output)
    options.style = options.style and find_painting_file(options.style)
    inputs = [Path(each) for each in (options.photo, options.style) if each]
    _check_folder(folder, inputs, overwrite=options.force)
    photo = read_picture(Path(options.photo))
    painting = read_picture(Path(options.style)) if options.style else photo
    from impasto.explain.inspection import Inspection, write_inspection

    inspection = Inspection(
        photo=photo,
        painting=painting,
        size=options.size,
        iterations=options.iterations,
        seed=options.seed,
        device=options.device,
    )
    for line in write_inspection(inspection, folder, overwrite=options.force, notice=say):
        if not options.quiet:
            print(line, file=sys.stderr, flush=True)
    if not options.quiet:
        say(f"{folder / 'index.html'}")
    return 0


def _check_folder(folder: Path, inputs: list[Path], *, overwrite: bool) -> None:
    """Check that the page can be written to a folder."""
    from impasto.cli.options.output_files import check_targets
    from impasto.errors import InputError
    from impasto.explain.inspection_page import list_inspection_files

    try:
        if folder.is_dir():
            check_targets(list_inspection_files(folder), inputs, overwrite=overwrite)
        elif folder.exists():
            raise InputError("is a file, but the page needs a folder", where=folder)
    except OSError as error:
        raise InputError(f"cannot be used as a folder ({error.strerror})", where=folder) from None
