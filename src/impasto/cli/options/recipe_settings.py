"""What changes a recipe field by field (``--set``) or once the photo is known (``--print``)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import say

if TYPE_CHECKING:
    from impasto.image.picture import Picture
    from impasto.image.print_size import PrintSize
    from impasto.recipe.recipe import Recipe

STEPS = ("checkpoint", "resume", "snapshots", "timelapse", "loss_plot")
"""Flags that keep or show a run's steps."""


def settings_from(
    texts: Sequence[str], asked: Mapping[str, Any], *, printed: bool
) -> dict[str, Any]:
    """The fields that ``--set`` asks for.

    Args:
        texts: ``KEY=VALUE`` each.
        asked: by other flags.
        printed: whether ``--print`` is among them.

    Raises:
        InputError, RecipeError: not KEY=VALUE, or another flag chooses the same.
    """
    from impasto.errors import InputError
    from impasto.recipe.fields import parse_setting

    settings = dict(parse_setting(text) for text in texts)
    for key in settings:
        if key in ("size", "dpi") and printed:
            raise InputError(f"--set {key} and --print both choose it: give one of them")
        if key in asked or key.split(".")[0] in asked:
            raise InputError(f"--set {key} and another flag both choose it: give one of them")
    return settings


def check_steps(recipe: Recipe, options: argparse.Namespace, flags: Sequence[str] = STEPS) -> None:
    """That flags which are about a run's steps are not given for a network.

    Raises:
        InputError: one of them is.
    """
    from impasto.engine.registry import find_capabilities
    from impasto.errors import InputError

    for flag in flags:
        if not find_capabilities(recipe).iterates and getattr(options, flag):
            raise InputError(
                f"recipe {recipe.name!r} uses a network, which paints in one pass and does not use "
                f"`{flag}`; the recipe sketch is the quickest that does",
                field=flag,
            )


def for_print(recipe: Recipe, options: argparse.Namespace, photo: Picture) -> Recipe:
    """The recipe at the size and resolution that ``--print`` asks for, if it does."""
    size: PrintSize | None = options.print
    if size is None:
        return recipe
    side = size.compute_longer_side(photo.width, photo.height)
    if not options.quiet:
        say(f"a longer side of {side} px prints at {side / size.dpi * 2.54:.1f} cm")
    return recipe.with_changes({"size": side, "dpi": size.dpi})
