"""``impasto replay OUT.png``: the recipe found inside a picture, run again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli import stylize
from impasto.cli.arguments import Parser, say

if TYPE_CHECKING:
    from impasto.media.picture import Picture


def run(argv: list[str]) -> int:
    """Find the inputs, check that they are the ones, and make the picture again."""
    parser = Parser(
        prog="impasto replay",
        description="Make a picture again from the recipe inside it. Its photo and painting are "
        "looked for beside it and in the current folder.",
    )
    parser.add_argument("picture", metavar="OUT.png")
    parser.add_argument("-o", "--output", metavar="AGAIN.png", help="default: OUT-replay.png")
    parser.add_argument("--photo", metavar="FILE", help="where the photo is now")
    parser.add_argument(
        "--style", metavar="FILE", action="append", help="where the painting is now"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the output; accept changed inputs"
    )
    for flag in ("--quiet", "--json"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(argv)

    from impasto.errors import InputError
    from impasto.media.encode import check_target, output_format
    from impasto.record.provenance import read_provenance

    picture = Path(options.picture)
    provenance = read_provenance(picture)
    given = [options.photo, *(options.style or [])]
    if options.style and len(options.style) != len(provenance.inputs) - 1:
        raise InputError(
            f"the picture has {len(provenance.inputs) - 1} painting(s), --style for each"
        )
    given += [None] * (len(provenance.inputs) - len(given))
    output = Path(options.output or picture.with_name(f"{picture.stem}-replay{picture.suffix}"))
    output_format(output)
    check_target(output, overwrite=options.force)
    paths, pictures = [], []
    for (name, digest), path in zip(provenance.inputs, given, strict=True):
        found = Path(path) if path else _find(name, picture)
        paths.append(str(found))
        pictures.append(_checked(found, digest, force=options.force))
    painting = argparse.Namespace(
        photo=paths[0],
        style=paths[1:],
        device=options.device,
        weights=None,
        checkpoint=None,
        resume=None,
        depth=_depth(picture),
        json=options.json,
        quiet=options.quiet,
        force=options.force,
        no_embed=False,
        no_metadata=False,
    )
    return stylize.paint(painting, provenance.recipe, pictures[0], pictures[1:], output, [], [])


def _find(name: str, picture: Path) -> Path:
    from impasto.errors import InputError

    for folder in (picture.parent, Path.cwd()):
        if name and (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{name or 'an input without a file name'} is neither beside {picture} nor in the current "
        "folder: say where it is with --photo or --style"
    )


def _checked(path: Path, digest: str, *, force: bool) -> Picture:
    from impasto.errors import InputError
    from impasto.media.decode import read_picture

    picture = read_picture(path)
    if picture.sha256() != digest:
        message = f"{path}: is not the picture this was made from"
        if not force:
            raise InputError(f"{message}; --force uses it all the same")
        say(message)
    return picture


def _depth(path: Path) -> int:
    from impasto.media.decode import read_picture

    return 16 if read_picture(path).metadata.depth == 16 else 8
