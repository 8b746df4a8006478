"""Define the flags that describe a recipe, and build the recipe from them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import accept_integer, accept_number, say
from impasto.cli.options.region_options import make_strength_fields
from impasto.image.print_size import PrintSize

if TYPE_CHECKING:
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe

QUALITIES = ("draft", "standard", "best")
STEP_FLAGS = ("checkpoint", "resume", "snapshots", "timelapse", "loss_plot")
"""Flags that store or show the steps of a run."""


def add_recipe_flags(group: argparse._ArgumentGroup) -> None:
    """Add the flags that :func:`build_recipe` reads, except ``--snapshot-every``."""
    add = group.add_argument
    add(
        "--style",
        metavar="PAINTING",
        action="append",
        help='painting to imitate: a file, a name such as "starry night" (see `impasto styles '
        'list`), or "words: blue woodcut" to draw one (see `impasto words`); repeat to blend '
        "several. Optional for a network with its own paintings",
    )
    add(
        "--library",
        metavar="DIR",
        action="append",
        help="folder of paintings that --style may name; repeatable (default: the variable "
        "IMPASTO_LIBRARY). The paintings that ship with impasto can always be named",
    )
    add_blend_flags(group)
    add(
        "--colors",
        choices=("style", "content", "luminance", "match"),
        help="style: colors of the painting (default); content: colors of the photo; luminance: "
        "colors of the photo by the classic method; match: colors of the painting, fitted to the "
        "photo first",
    )
    add(
        "--size",
        metavar="PX",
        type=accept_integer(16, 65_535),
        help="longer side of the result (default: the photo's, up to 768 on a CPU and 1536 on a "
        "GPU)",
    )
    add(
        "--print",
        metavar="SIZE",
        type=PrintSize.parse,
        help="print size instead of --size: 60x40cm@300dpi fits that sheet in either orientation, "
        "60cm@300dpi sets the longer side; units are cm, mm and in",
    )
    add(
        "--quality",
        choices=QUALITIES,
        help="speed/quality trade-off (default: standard); see --recipe for more",
    )
    add(
        "--recipe",
        metavar="NAME|FILE",
        help="a recipe listed by `impasto recipes`, a .toml file, or a network's .safetensors file",
    )
    add(
        "--iterations",
        metavar="N",
        type=accept_integer(1, 1_000_000),
        help="total iterations over all scales",
    )
    add(
        "--until",
        choices=("iterations", "converged"),
        help="converged: end a scale early when ten iterations improve the loss by less than 1 %%",
    )
    add(
        "--init",
        metavar="START",
        help="starting picture: content, noise, blend, style, draft, or a file",
    )
    add(
        "--seed",
        metavar="N",
        type=accept_integer(0, 2**63 - 1),
        help="seed of the noise in the starting picture",
    )
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        help="set any field of the recipe, such as style.layers.relu3_1=0.5; repeatable",
    )


def add_blend_flags(container: argparse._ActionsContainer) -> None:
    """Add the weights of paintings in a blend, and the size of their strokes."""
    container.add_argument(
        "--style-weight",
        metavar="W",
        action="append",
        type=accept_number(0),
        help="weight of a painting in a blend; give one for each --style",
    )
    container.add_argument(
        "--style-scale",
        metavar="S",
        type=accept_number(0.1, 8),
        help="stroke size: larger above 1, finer below 1 (default: 1)",
    )


def build_recipe(options: argparse.Namespace) -> Recipe:
    """Build the recipe that the flags describe.

    Raises:
        InputError: flags contradict each other.
        RecipeError: the recipe does not exist, or a value is invalid.
    """
    from impasto.errors import InputError
    from impasto.recipe.recipe import load_recipe

    if options.quality and options.recipe:
        raise InputError("both choose a recipe; give one of them", what="--quality and --recipe")
    if options.print and options.size:
        raise InputError("both choose the size; give one of them", what="--size and --print")
    flags: dict[str, Any] = {
        "size": options.size,
        "seed": options.seed,
        "schedule.total": options.iterations,
        "schedule.until": options.until,
        "style.scale": options.style_scale,
        "colors": options.colors,
        "style.weights": options.style_weight,
        **make_strength_fields(options.strength),
        "snapshot_every": options.snapshot_every,
        **(_make_start_fields(options.init) if options.init else {}),
    }
    recipe = load_recipe(options.recipe or options.quality or "standard")
    flags = {key: value for key, value in flags.items() if value is not None}
    settings = parse_settings(options.set or [], flags, has_print=options.print is not None)
    recipe = recipe.with_changes(flags | settings)
    if "-" in (*options.mask, *options.style_mask):
        raise InputError("only the photo can come from standard input", where="--mask -")
    recipe.check_counts(len(options.style), len(options.mask), len(options.style_mask))
    return recipe


def _make_start_fields(init: str) -> dict[str, Any]:
    match init:
        case "content" | "style" | "draft":
            return {"start": {"base": init}}
        case "noise":
            return {"start": {"noise_ratio": 1.0}}
        case "blend":
            return {"start": {"noise_ratio": 0.5}}
    return {"start": {"base": "image", "image": init}}


def parse_settings(
    texts: Sequence[str], flags: Mapping[str, Any], *, has_print: bool
) -> dict[str, Any]:
    """Parse the values of ``--set``.

    Args:
        texts: ``KEY=VALUE`` each.
        flags: the fields that other flags set.
        has_print: whether ``--print`` is one of these flags.

    Raises:
        InputError: another flag sets the same field.
        RecipeError: a text is not KEY=VALUE.
    """
    from impasto.errors import InputError
    from impasto.recipe.fields import parse_setting

    settings = dict(parse_setting(text) for text in texts)
    for key in settings:
        if key in ("size", "dpi") and has_print:
            raise InputError("cannot be combined", what=f"--set {key} and --print")
        if key in flags or key.split(".")[0] in flags:
            raise InputError("cannot be combined", what=f"--set {key} and another flag for it")
    return settings


def check_step_flags(
    recipe: Recipe, options: argparse.Namespace, flags: Sequence[str] = STEP_FLAGS
) -> None:
    """Check that flags about steps are not used with a network, which has none.

    Raises:
        InputError: one of them is.
    """

    for flag in flags:
        if not recipe.capabilities.iterates and getattr(options, flag):
            raise recipe.make_unused_error(f"`{flag}`", field=flag)


def apply_print_size(recipe: Recipe, options: argparse.Namespace, photo: Picture) -> Recipe:
    """Return the recipe with the size and resolution of ``--print``, if it was given."""
    size: PrintSize | None = options.print
    if size is None:
        return recipe
    side = size.compute_longer_side(photo.width, photo.height)
    if not options.quiet:
        say(f"the longer side of {side} px prints at {side / size.dpi * 2.54:.1f} cm")
    return recipe.with_changes({"size": side, "dpi": size.dpi})
