"""Write errors as the command line prints them: options go by their flags."""

from __future__ import annotations

from impasto.errors import ImpastoError

OTHER_NAMES = {
    "embed": "--no-embed",
    "keep_metadata": "--no-metadata",
    "masks": "--mask",
    "overwrite": "--force",
    "painting": "--style",
    "paintings": "--style",
    "photo": "PHOTO",
    "print_size": "--print",
    "schedule.total": "--iterations",
    "schedule.until": "--until",
    "start": "--init",
    "style.scale": "--style-scale",
    "style.weights": "--style-weight",
    "style_masks": "--style-mask",
    "style_weights": "--style-weight",
}
"""Flags that are not spelled like the option's Python name."""


def describe_error(error: BaseException) -> str:
    """Write an error's message with flags in place of Python names."""
    return error.describe(name_flag) if isinstance(error, ImpastoError) else str(error)


def name_flag(field: str) -> str:
    """Return the flag of an option.

    Args:
        field: the option's keyword in Python, or its dotted key in a recipe.
    """
    if field in OTHER_NAMES:
        return OTHER_NAMES[field]
    return f"--set {field}" if "." in field else "--" + field.replace("_", "-")
