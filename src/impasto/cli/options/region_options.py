"""The flags about strength and regions, and what they name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import number

if TYPE_CHECKING:
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture


def add_strength_flag(group: argparse._ActionsContainer, usual: str = "default") -> None:
    """The one that :func:`strength_fields` reads; ``usual`` says when it need not be given."""
    group.add_argument(
        "--strength",
        metavar="S",
        action="append",
        type=number(0, 1),
        help=f"0 is the photo, 1 the full style ({usual}); one for all or one for each --style",
    )


def add_region_flags(group: argparse._ArgumentGroup) -> None:
    """To the main job's parser."""
    add_strength_flag(group)
    add = group.add_argument
    add(
        "--mask",
        metavar="M",
        action="append",
        default=[],
        help="white where the i-th --style goes (one --style more is for the rest, which is "
        "otherwise kept); or a word: rect:X,Y,W,H around an object, scribble:FILE, salient, "
        "person, face, auto[:COUNT]",
    )
    add(
        "--style-mask",
        metavar="M",
        action="append",
        default=[],
        help="white in the part of the i-th painting that counts; or none",
    )


def strength_fields(strengths: list[float] | None) -> dict[str, Any]:
    """The recipe's fields for ``--strength``."""
    if strengths and len(strengths) > 1:
        return {"style.strengths": strengths}
    return {"strength": strengths[0] if strengths else None}


def spell_out(options: argparse.Namespace) -> argparse.Namespace:
    """The options with ``--mask auto`` as the flags that it stands for, and a network's own styles.

    Raises:
        InputError, ResourceError, WeightsError: as of :func:`with_own_styles`.
    """
    from impasto.cli.options.own_styles import with_own_styles
    from impasto.segment.mask_words import expand_auto

    with_own_styles(options)
    options.mask, options.style, options.style_mask = expand_auto(
        options.mask, options.style, options.style_mask
    )
    return options


def mask_files(options: argparse.Namespace) -> list[str]:
    """Those that masks are read from."""
    from impasto.segment.mask_words import get_mask_file

    found = (get_mask_file(each) for each in (*options.mask, *options.style_mask) if each != "none")
    return [each for each in found if each]


def read_masks(
    options: argparse.Namespace, photo: Picture, paintings: list[Picture]
) -> tuple[list[Mask], list[Mask | None]]:
    """Of the photo and of the paintings, read or found."""
    from impasto.segment.mask_words import find_masks

    parts = [None if each == "none" else each for each in options.style_mask]
    return find_masks(photo, paintings, options.mask, parts)
