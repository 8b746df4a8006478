"""Check the files that a run writes against those that it reads, before any work."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from impasto.errors import InputError, ResourceError
from impasto.image.files.atomic import is_among, is_same_file
from impasto.image.files.decode import explain_missing
from impasto.image.files.encode import check_target

LONGEST_NAME = 255
"""Longest file name in bytes on common file systems."""


def make_output_name(photo: Path, paintings: Sequence[str]) -> Path:
    """Return ``<photo>-<painting>.png`` next to the photo, shortened to what file systems allow."""
    stem = "-".join([photo.stem, *(Path(each).stem for each in paintings)])
    while len(os.fsencode(f"{stem}.png")) > LONGEST_NAME:
        stem = stem[:-1]
    return photo.with_name(f"{stem}.png")


def check_present(path: Path) -> None:
    """Check that an input exists, before its folder is blamed as that of the output.

    Raises:
        ImageError: it does not; the message says what is wrong with the path.
    """
    if not os.path.lexists(path):
        raise explain_missing(path)


def choose_output(options: argparse.Namespace) -> Path | None:
    """Return the file of the result. None: standard output."""
    if options.output == "-":
        if options.json:
            raise InputError(
                "both write to standard output; use one of them", what="-o - and --json"
            )
        if sys.stdout is None:
            raise InputError("standard output is closed", where="-o -", expected="a file or a pipe")
        return None
    if options.output is not None:
        return Path(options.output)
    if os.path.isdir(options.photo):  # noqa: PTH112 -- never raises
        raise InputError("is a folder", where=options.photo, expected="a picture")
    if options.photo == "-":
        raise InputError("requires -o OUT", what="a photo from standard input")
    check_present(Path(options.photo))
    return make_output_name(Path(options.photo), list(dict.fromkeys(options.style)))


def check_targets(
    targets: Sequence[Path],
    inputs: Sequence[Path],
    *,
    overwrite: bool,
    continued: Path | None = None,
) -> None:
    """Check that no target replaces an input, another target, or an existing file.

    Args:
        targets: every file that the run writes.
        inputs: every file that it reads. These are never replaced.
        overwrite: whether existing targets may be replaced.
        continued: the checkpoint that the run resumes from, which it may always replace.

    Raises:
        InputError, ResourceError: a target cannot be written, see
            :func:`impasto.image.files.encode.check_target`.
    """
    for place, target in enumerate(targets):
        try:
            if is_among(target, inputs):
                raise InputError("is an input, and inputs are never replaced", where=target)
            ours = continued is not None and is_same_file(target, continued)
            check_target(target, overwrite=overwrite or ours)
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", where=target) from None
        if is_among(target, targets[:place]):
            raise InputError("is named twice; every output needs its own name", where=target)


def check_snapshots(folder: Path, pattern: str, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Check that a folder can take snapshots without replacing other pictures.

    Raises:
        InputError, ResourceError: it cannot.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise ResourceError("is a file, but snapshots need a folder", where=folder)
        there = list(folder.glob(pattern))
    except OSError as error:
        raise InputError(
            f"cannot be a folder for snapshots ({error.strerror})", where=folder
        ) from None
    for path in inputs:
        if is_among(path, there):
            raise InputError(
                f"contains the input {path.name}, which a snapshot might replace", where=folder
            )
    if there and not overwrite:
        raise InputError(
            f"already contains snapshots ({there[0].name}); --force replaces them", where=folder
        )


def check_checkpoint(path: Path) -> None:
    """Check that a file can be a checkpoint, before torch is loaded to read it.

    Raises:
        InputError: it cannot.
    """
    if not zipfile.is_zipfile(path):  # never raises; torch saves zip files
        raise InputError("is not an impasto checkpoint, or is damaged", where=path)


def silence_matplotlib() -> None:
    """Keep its lines about a home folder that cannot be written off standard error."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def check_no_run_in(checkpoint: Path) -> None:
    """Check that a new run does not replace the checkpoint of another run.

    Raises:
        InputError: the file is a checkpoint.
    """
    # torch saves zip files. Unlike the methods of pathlib, neither function raises.
    if os.path.isfile(checkpoint) and zipfile.is_zipfile(checkpoint):  # noqa: PTH113
        raise InputError(
            f"already contains a run; --resume {checkpoint} continues it, --force starts a new one",
            where=checkpoint,
        )
