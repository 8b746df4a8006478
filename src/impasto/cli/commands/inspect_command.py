"""``impasto inspect PICTURE -o DIR``: what each layer of the network keeps of a picture."""

from __future__ import annotations

import sys
from pathlib import Path

from impasto.cli.options.arguments import Parser, say, whole


def run(argv: list[str]) -> int:
    """Write the pictures and one page that shows them."""
    parser = Parser(
        prog="impasto inspect",
        description="For each of VGG-19's five blocks: the photo reconstructed from that layer "
        "alone, a texture synthesised from that layer's Gram matrix alone, and its activations.",
    )
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("--style", metavar="PAINTING", help="for the textures (default: PHOTO)")
    parser.add_argument("-o", "--output", metavar="DIR", required=True)
    parser.add_argument("--size", metavar="PX", type=whole(32, 1024), default=224, help="(224)")
    parser.add_argument("--iterations", metavar="N", type=whole(1, 10_000), default=60, help="(60)")
    parser.add_argument("--seed", metavar="N", type=whole(0, 2**63 - 1), default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--force", action="store_true", help="replace the files of an earlier look")
    options = parser.parse_args(argv)

    from impasto.image.files.decode import read_picture

    folder = Path(options.output)
    read = [Path(each) for each in (options.photo, options.style) if each]
    _check_folder(folder, read, overwrite=options.force)
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
    for line in write_inspection(inspection, folder):
        if not options.quiet:
            print(line, file=sys.stderr, flush=True)
    if not options.quiet:
        say(f"{folder / 'index.html'}")
    return 0


def _check_folder(folder: Path, read: list[Path], *, overwrite: bool) -> None:
    """A folder, or nothing yet, where no file that would be written is in the way."""
    from impasto.cli.options.output_files import check_targets
    from impasto.errors import InputError
    from impasto.explain.inspection_page import list_inspection_files

    try:
        if folder.is_dir():
            check_targets(list_inspection_files(folder), read, overwrite=overwrite)
        elif folder.exists():
            raise InputError(f"{folder}: is a file, a folder is needed")
    except OSError as error:
        raise InputError(f"{folder}: cannot be a folder ({error.strerror})") from None
