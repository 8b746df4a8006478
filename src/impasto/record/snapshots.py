"""A numbered PNG every so many iterations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from impasto.image.files.atomic import make_folder
from impasto.image.files.encode import write_picture

if TYPE_CHECKING:
    from impasto.engine.step import Step

PATTERN = "step-*.png"
"""Of the files written into the folder, and of no others."""


class Snapshots:
    """Writes ``step-00100.png`` and so on into a folder; the last step is always written."""

    def __init__(self, folder: Path, every: int | None = None) -> None:
        """Make the folder.

        Args:
            folder: created if it is not there.
            every: iterations between snapshots; none: a tenth of the run.

        Raises:
            ResourceError: the folder cannot be made.
        """
        make_folder(folder)
        self._folder = folder
        self._every = every

    def see(self, step: Step) -> None:
        """Write the step's picture if it is due."""
        every = self._every or max(1, step.total // 10)
        if step.iteration % every == 0 or step.last:
            name = f"step-{step.iteration:0{max(5, len(str(step.total)))}d}.png"
            write_picture(step.picture(), self._folder / name, overwrite=True)
