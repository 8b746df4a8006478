"""The pictures that a command names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.options.arguments import notice_for

if TYPE_CHECKING:
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe


def read_inputs(options: argparse.Namespace, recipe: Recipe) -> tuple[Picture, list[Picture]]:
    """The photo and the paintings; the start's picture is read too, to see that it can be."""
    photo = _read_photo(options)
    paintings = [_read(path, options) for path in options.style]
    if recipe.start.image is not None:
        _read(recipe.start.image, options)
    return photo, paintings


def _read_photo(options: argparse.Namespace) -> Picture:
    from impasto.errors import InputError
    from impasto.image.files.decode import read_picture

    if options.photo != "-":
        return _read(options.photo, options)
    if sys.stdin is None:
        raise InputError("-: standard input is closed, give the photo's path or pipe it in")
    return read_picture(sys.stdin.buffer, notice=notice_for(quiet=options.quiet))


def _read(path: str, options: argparse.Namespace) -> Picture:
    from impasto.image.files.decode import read_picture

    return read_picture(Path(path), notice=notice_for(quiet=options.quiet))
