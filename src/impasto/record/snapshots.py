"""Write a numbered PNG of the picture every few iterations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.image.files.atomic import make_folder
from impasto.image.files.encode import write_picture
from impasto.image.files.result_file import ResultFile

if TYPE_CHECKING:
    from impasto.engine.step import Step

PATTERN = "step-*.png"
"""Pattern of the written files; no other files in the folder are touched."""


class Snapshots:
    """Writes ``step-00100.png`` and so on into a folder, and always the last step."""

    def __init__(
        self,
        folder: Path,
        every: int | None = None,
        *,
        overwrite: bool = True,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """Create the folder.

        Args:
            folder: created if it does not exist.
            every: iterations between snapshots. None: a tenth of the run.
            overwrite: replace files of the same names.
            notice: called with one line if such a file is kept, and a snapshot has another name.

        Raises:
            ResourceError: the folder cannot be created.
        """
        make_folder(folder)
        self._folder = folder
        self._every = every
        self._overwrite = overwrite
        self._notice = notice
        self._files: dict[str, ResultFile] = {}

    def record(self, step: Step) -> None:
        """Write the picture of a step if a snapshot is due."""
        every = self._every or max(1, step.total // 10)
        if step.iteration % every == 0 or step.last:
            name = f"step-{step.iteration:0{max(5, len(str(step.total)))}d}.png"
            if name not in self._files:
                self._files[name] = ResultFile(
                    self._folder / name,
                    overwrite=self._overwrite,
                    notice=self._notice,
                    what="the snapshot",
                )
            self._files[name].write(partial(write_picture, step.picture()))
