"""A film as the command line asks for it, and everything that its frames depend on."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto._version import __version__
from impasto.encoders.sources import hash_file
from impasto.image.picture import Picture
from impasto.network.network_files import find_network_file, network_there
from impasto.optimize.checkpoint import describe_recipe
from impasto.recipe.recipe import Recipe
from impasto.video.clip.frames import Clip
from impasto.video.clip.reading import NUMBER_PATTERN, list_numbered_files
from impasto.video.clip.selection import FrameSource, Selection
from impasto.video.stabilize.stabilizer import STABILIZER_VERSION


@dataclass(frozen=True)
class Film:
    """One to make.

    Attributes:
        options: of the command line.
        recipe: with its size.
        clip: the source.
        paintings: the styles.
        size: (width, height) of the film.
        output: none: raw frames to standard output.
    """

    options: argparse.Namespace
    recipe: Recipe
    clip: Clip
    paintings: list[Picture]
    size: tuple[int, int]
    output: Path | None

    @property
    def selection(self) -> Selection:
        """Of the clip's frames."""
        begin, end = self.options.range or (Fraction(0), None)
        return Selection(begin, end, self.options.every)

    @property
    def source(self) -> FrameSource:
        """The selected frames of the clip, at the size of the film."""
        return FrameSource(self.clip, self.selection, self.size)

    @property
    def is_kept(self) -> bool:
        """Whether its frames are in a folder that outlives the command."""
        return self.output is not None or self.options.work is not None

    def facts(self) -> dict[str, Any]:
        """Everything that the frames depend on."""
        options, selection = self.options, self.selection
        source: dict[str, Any] = {"name": Path(options.clip).name}
        if options.clip != "-" and not NUMBER_PATTERN.search(options.clip):
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
            "network": _network(self.recipe, options.weights),
            "painting": [each.compute_sha256() for each in self.paintings],
            "size": list(self.size),
            "stability": options.stability,
            "later": options.later,
            "range": [str(selection.begin), str(selection.end)],
            "every": selection.every,
            "passes": options.passes,
            "statistics": options.statistics,
        }


def _network(recipe: Recipe, weights: str | None) -> list[str]:
    """Hashes of the files of weights that the user named, or that paint in one pass."""
    files = [] if weights is None else [network_there(Path(weights))]
    own = find_network_file(recipe.engine)
    return [hash_file(each) for each in (*files, *([] if own is None else [own]))]
