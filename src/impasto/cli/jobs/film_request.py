"""Describe a film as the command line asks for it, and all that its frames depend on."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto._version import __version__
from impasto.cli.options.arguments import say
from impasto.encoders.weight_sources import hash_file
from impasto.engine.machine.hardware import choose_longer_side, resolve_device
from impasto.engine.sizes import SHORTEST
from impasto.errors import LimitError
from impasto.image.files.limits import Limits
from impasto.image.picture import Picture
from impasto.network.network_files import check_network_file, find_network_file
from impasto.optimize.checkpoint import describe_recipe
from impasto.recipe.recipe import Recipe
from impasto.video.clip.film_writer import needs_even_sides
from impasto.video.clip.frames import Clip
from impasto.video.clip.reading import list_numbered_files, names_numbered_clip
from impasto.video.clip.selection import FrameSource, Selection
from impasto.video.job.film_output import choose_film_size
from impasto.video.stabilize.stabilizer import STABILIZER_VERSION


@dataclass(frozen=True)
class FilmRequest:
    """A film to make.

    Attributes:
        options: the options of the command line.
        recipe: the recipe, with a size.
        clip: the source.
        paintings: the paintings to imitate.
        size: (width, height) of the film in pixels.
        output: the file of the film. None: raw frames on standard output.
    """

    options: argparse.Namespace
    recipe: Recipe
    clip: Clip
    paintings: list[Picture]
    size: tuple[int, int]
    output: Path | None

    @property
    def selection(self) -> Selection:
        """The selection of the clip's frames."""
        begin, end = self.options.range or (Fraction(0), None)
        return Selection(begin, end, self.options.every)

    @property
    def source(self) -> FrameSource:
        """The selected frames of the clip, at the size of the film."""
        return FrameSource(self.clip, self.selection, self.size)

    @property
    def has_lasting_folder(self) -> bool:
        """Whether the folder of its frames outlives the command."""
        return self.output is not None or self.options.work is not None

    def describe(self) -> dict[str, Any]:
        """Return everything that the frames depend on, as JSON."""
        options, selection = self.options, self.selection
        source: dict[str, Any] = {"name": Path(options.clip).name}
        if options.clip != "-" and not names_numbered_clip(options.clip):
            facts = os.stat(options.clip)  # noqa: PTH116
            source |= {"bytes": facts.st_size, "changed": facts.st_mtime_ns}
        elif options.clip != "-":
            changed = [each.stat().st_mtime_ns for each in list_numbered_files(options.clip)]
            source |= {"pictures": len(changed), "changed": max(changed)}
        return {
            "version": [__version__, STABILIZER_VERSION],
            "clip": source,
            "rate": str(self.clip.format.rate),
            "recipe": json.loads(describe_recipe(self.recipe)),
            "network": _hash_networks(self.recipe, options.weights),
            "painting": [each.compute_sha256() for each in self.paintings],
            "size": list(self.size),
            "stability": options.stability,
            "later": options.later,
            "range": [str(selection.begin), str(selection.end)],
            "every": selection.every,
            "passes": options.passes,
            "statistics": options.statistics,
        }


def _hash_networks(recipe: Recipe, weights: str | None) -> list[str]:
    """Hash the weights that the user named and the network that paints in one pass."""
    files = [] if weights is None else [check_network_file(Path(weights))]
    own = find_network_file(recipe.engine)
    return [hash_file(each) for each in (*files, *([] if own is None else [own]))]


def choose_size(
    clip: Clip, recipe: Recipe, options: argparse.Namespace, output: Path | None
) -> tuple[int, int]:
    """Choose the (width, height) of a film in pixels, and report what differs from the clip.

    Raises:
        LimitError: the film would be too large or too small.
    """
    form = clip.format
    longest = max(form.width, form.height)
    longer = recipe.size or choose_longer_side(longest, resolve_device(options.device))
    width, height = choose_film_size(form, longer, output)
    Limits().check_size(width, height, "the film")
    if min(width, height) < SHORTEST + 1:
        raise LimitError(
            f"the film would be {width}x{height} px, but its shorter side must have more than "
            f"{SHORTEST} px: ask for a larger `size`",
            limit=SHORTEST,
            field="size",
        )
    if options.quiet:
        return width, height
    if longer < longest and recipe.size is None:
        say(
            f"the clip is reduced from {form.width}x{form.height} to {width}x{height} px; "
            f"--size {longest} keeps its size"
        )
    if longer == longest and needs_even_sides(output) and (form.width % 2 or form.height % 2):
        say(
            f"the clip is cropped from {form.width}x{form.height} to {width}x{height} px, because "
            "this format requires even sides; .gif and numbered frames do not"
        )
    return width, height
