"""Define the flags about strength and regions, and find the masks that they name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import accept_number

if TYPE_CHECKING:
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture


def add_strength_flag(group: argparse._ActionsContainer, default: str = "1") -> None:
    """Add the flag that :func:`make_strength_fields` reads.

    Args:
        group: the parser or group that gets it.
        default: describes the value without the flag.
    """
    group.add_argument(
        "--strength",
        metavar="S",
        action="append",
        type=accept_number(0, 1),
        help="strength of the style, from 0 (the photo) to 1 (full style); give one for all or one "
        f"for each --style (default: {default})",
    )


def add_region_flags(group: argparse._ArgumentGroup) -> None:
    """Add ``--strength``, ``--mask`` and ``--style-mask``."""
    add_strength_flag(group)
    add = group.add_argument
    add(
        "--mask",
        metavar="M",
        action="append",
        default=[],
        help="mask of the photo, white where the --style at the same position applies. One "
        "additional --style paints the rest, which is kept otherwise. A file, or rect:X,Y,W,H "
        "around an object, scribble:FILE, salient, person, face or auto[:COUNT]",
    )
    add(
        "--style-mask",
        metavar="M",
        action="append",
        default=[],
        help="mask of the painting at the same position, white in the part to imitate; a file or "
        "none",
    )


def make_strength_fields(strengths: list[float] | None) -> dict[str, Any]:
    """Return the fields of the recipe that ``--strength`` sets."""
    if strengths and len(strengths) > 1:
        return {"style.strengths": strengths}
    return {"strength": strengths[0] if strengths else None}


def list_mask_files(options: argparse.Namespace) -> list[str]:
    """Return the files from which masks are read."""
    from impasto.segment.mask_words import get_mask_file

    files = (get_mask_file(each) for each in (*options.mask, *options.style_mask) if each != "none")
    return [each for each in files if each]


def read_masks(
    options: argparse.Namespace, photo: Picture, paintings: list[Picture]
) -> tuple[list[Mask], list[Mask | None]]:
    """Read or find the masks of the photo and of the paintings."""
    from impasto.segment.mask_words import find_masks

    parts = [None if each == "none" else each for each in options.style_mask]
    return find_masks(photo, paintings, options.mask, parts)
