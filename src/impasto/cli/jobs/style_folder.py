"""Bring the index of a folder of paintings up to date, and say what changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.options.arguments import say

if TYPE_CHECKING:
    from impasto.library.style_index import StyleIndex


def update_style_folder(folder: Path) -> StyleIndex:
    """Measure what is new or has changed in a folder, and return its index.

    Raises:
        InputError: there is no such folder, or no picture in it can be read.
        ResourceError: the index cannot be written.
    """
    from impasto.cli.reports.error_text import describe_error
    from impasto.errors import InputError, format_count
    from impasto.library.style_index import update_index
    from impasto.library.whitened_code import StyleCoder

    def report(number: int, total: int) -> None:
        if number % 50 == 0 and number < total:
            say(f"{number} of {total} measured")

    update = update_index(folder, StyleCoder, report)
    for name, error in update.unreadable:
        say(f"{name} is left out: {describe_error(error)}")
    if update.fresh or update.gone:
        say(
            f"{folder}: {format_count(update.fresh, 'painting')} measured, {update.gone} gone, "
            f"{len(update.index.names)} in the index"
        )
    if not update.index.names:
        raise InputError("contains no picture that can be read", where=folder)
    return update.index
