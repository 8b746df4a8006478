"""What a run will write, checked against what it reads before any work is done."""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import is_among, is_same_file
from impasto.image.files.encode import check_target

LONGEST_NAME = 255
"""Bytes in a file name, on every common file system."""


def default_output(photo: Path, paintings: Sequence[str]) -> Path:
    """``<photo>-<painting>.png`` beside the photo, cut where the file system would refuse it."""
    stem = "-".join([photo.stem, *(Path(each).stem for each in paintings)])
    while len(os.fsencode(f"{stem}.png")) > LONGEST_NAME:
        stem = stem[:-1]
    return photo.with_name(f"{stem}.png")


def output_from(options: argparse.Namespace) -> Path | None:
    """Where the result goes; none for standard output."""
    if options.output == "-":
        if options.json:
            raise InputError("-o - and --json both want standard output")
        if sys.stdout is None:
            raise InputError("-o -: standard output is closed, give a file or a pipe")
        return None
    if options.output is not None:
        return Path(options.output)
    if os.path.isdir(options.photo):  # noqa: PTH112 -- never raises
        raise InputError(f"{options.photo}: is a folder, not a picture")
    if options.photo == "-":
        raise InputError("a photo from standard input needs -o OUT")
    return default_output(Path(options.photo), list(dict.fromkeys(options.style)))


def check_targets(
    targets: Sequence[Path],
    inputs: Sequence[Path],
    *,
    overwrite: bool,
    continued: Path | None = None,
) -> None:
    """Refuse whatever would replace an original, another output, or a file nobody gave up.

    Args:
        targets: every file the run writes.
        inputs: every file it reads; these are never replaced.
        overwrite: whether existing targets may be replaced.
        continued: the checkpoint being gone on from, which may be replaced in any case.

    Raises:
        InputError, ResourceError: with the file's name; see also
            :func:`impasto.image.files.encode.check_target`.
    """
    for place, target in enumerate(targets):
        try:
            if is_among(target, inputs):
                raise InputError(f"{target}: is an input, originals are never replaced")
            ours = continued is not None and is_same_file(target, continued)
            check_target(target, overwrite=overwrite or ours)
        except OSError as error:
            raise InputError(f"{target}: cannot be written ({error.strerror})") from None
        if is_among(target, targets[:place]):
            raise InputError(f"{target}: is asked for twice, each output needs its own name")


def check_snapshots(folder: Path, pattern: str, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse a folder that cannot be one, or whose pictures would be replaced.

    Raises:
        InputError, ResourceError: with the folder's name.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise ResourceError(f"{folder}: is a file, a folder is needed for snapshots")
        there = list(folder.glob(pattern))
    except OSError as error:
        raise InputError(f"{folder}: cannot hold snapshots ({error.strerror})") from None
    for path in inputs:
        if is_among(path, there):
            raise InputError(f"{folder}: holds the input {path.name}, which a snapshot may replace")
    if there and not overwrite:
        raise InputError(f"{folder}: holds snapshots already ({there[0].name}); --force keeps on")


def check_no_run_in(checkpoint: Path) -> None:
    """Refuse to begin a run in the file that keeps another.

    Raises:
        InputError: with the file's name.
    """
    # As everything that torch saves. Unlike their likes in pathlib, both never raise.
    if os.path.isfile(checkpoint) and zipfile.is_zipfile(checkpoint):  # noqa: PTH113
        raise InputError(
            f"{checkpoint}: holds a run already; --resume {checkpoint} goes on, "
            "--force begins again"
        )
