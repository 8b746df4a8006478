"""Keep the state of a run in one file, which is complete whenever the process is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from impasto.errors import ImpastoError, InputError, ResourceError
from impasto.image.files.atomic import replace_atomically
from impasto.image.files.result_file import read_stamp
from impasto.optimize.solvers.solver import upgrade_state
from impasto.recipe.recipe import Recipe

NAME = "impasto checkpoint"
FORMAT, FORMAT_OF_0_1 = f"{NAME} 4", f"{NAME} 3"
HEAD_BYTES = 4096
"""Beginning of a checkpoint, in which its format is."""
RENAMED = {"seen": "totals", "begun": "start"}
"""Fields of version 0.1, and their current names."""
EVERY_S = 20.0
"""Seconds between checkpoints. The documented 30 leave room for the step in progress."""
FIRST_S = 5.0
"""Seconds until the first checkpoint."""


@dataclass(frozen=True)
class RunState:
    """The state of a run after an iteration.

    Attributes:
        recipe: the recipe as JSON.
        inputs: SHA-256 of the photo's and the paintings' pixels, in order.
        tile: side of the tiles in pixels. 0: no tiles.
        scale: index of the current pass.
        totals: the total loss of every iteration of that pass so far.
        iteration: number of iterations of the whole run so far.
        elapsed_s: seconds of work so far, over all sessions.
        solver: the state of the solver.
        start: the picture that the pass started from. None: no targets depend on it.
    """

    recipe: str
    inputs: list[str]
    tile: int
    scale: int
    totals: list[float]
    iteration: int
    elapsed_s: float
    solver: dict[str, Any]
    start: torch.Tensor | None = None


def save_state(
    state: RunState,
    path: Path,
    settle: Callable[[], None] = lambda: None,
    *,
    overwrite: bool = True,
) -> None:
    """Write a checkpoint atomically.

    Args:
        state: the state of the run.
        path: file of the checkpoint.
        settle: called after every tensor; see
            :meth:`impasto.engine.machine.storage.Storage.settle`.
        overwrite: replace an existing file.

    Raises:
        InputError: the file exists and must not be replaced.
        ResourceError: the folder cannot be written or the disk is full. An older checkpoint is
            kept.
    """
    fields = {name: getattr(state, name) for name in state.__dataclass_fields__}
    with replace_atomically(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        try:
            torch.save({"format": FORMAT, **fields}, cast(BinaryIO, _Settling(file, settle)))
        except RuntimeError as error:  # torch reports a full disk so
            raise ResourceError(f"the checkpoint cannot be written ({error})", where=path) from None


class _Settling:
    """A file that torch writes to, one tensor per call."""

    def __init__(self, file: BinaryIO, settle: Callable[[], None]) -> None:
        self._file = file
        self._settle = settle

    def write(self, data: bytes) -> int:
        count = self._file.write(data)
        self._settle()
        return count

    def flush(self) -> None:
        self._file.flush()


def load_state(path: Path) -> RunState:
    """Read a checkpoint. Nothing in it is executed, and its tensors stay in the file until used.

    Raises:
        InputError: there is no such file, or it is not a checkpoint.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise InputError("no such checkpoint", where=path) from None
    except Exception:  # torch raises many types for a damaged file
        raise InputError("is not an impasto checkpoint, or is damaged", where=path) from None
    form = data.pop("format", None) if isinstance(data, dict) else None
    if form not in (FORMAT, FORMAT_OF_0_1):
        raise InputError("is not an impasto checkpoint", where=path, expected=repr(FORMAT))
    data = {RENAMED.get(name, name): value for name, value in data.items()}
    try:
        data["solver"] = upgrade_state(data["solver"])
        return RunState(**data)
    except (KeyError, TypeError):
        raise InputError("is damaged: fields are missing", where=path) from None


def is_checkpoint(path: Path) -> bool:
    """Tell from its beginning whether a file is a checkpoint, perhaps a damaged one.

    Nothing is unpickled. Whatever this does not recognize may be somebody else's.
    """
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:  # torch writes an archive whose first entry names the format
        head = file.read(HEAD_BYTES)
    return head.startswith(b"PK\x03\x04") and NAME.encode() in head


class Keeper:
    """Writes checkpoints when they are due, given how long a step takes.

    Attributes:
        failure: why the last one that was due could not be written. None: it could, or none was.
    """

    def __init__(
        self,
        path: Path | None,
        settle: Callable[[], None] = lambda: None,
        every_s: float | None = None,
    ) -> None:
        self.failure: ImpastoError | None = None
        self._path = path
        self._stamp = None if path is None else read_stamp(path)
        """Of the file that may be replaced: the one before the run, or our own."""
        self._settle = settle
        self._every_s = EVERY_S if every_s is None else every_s
        self._last_step = time.monotonic()
        self._due = self._last_step + (min(FIRST_S, EVERY_S) if every_s is None else every_s)

    def check_folder(self) -> None:
        """Check before the run that there is a folder for the checkpoint.

        Raises:
            ResourceError: there is none.
        """
        if self._path is not None and not self._path.parent.is_dir():
            raise ResourceError("cannot be written (there is no such folder)", where=self._path)

    def offer(self, state: RunState) -> None:
        """Write the state if waiting for another step might take too long.

        A state that cannot be written does not end the run; the next one may succeed.
        """
        now = time.monotonic()
        step, self._last_step = now - self._last_step, now
        if self._path is not None and now + step >= self._due:
            try:
                self.keep(state)
            except ImpastoError as error:
                self.failure = error

    def keep(self, state: RunState) -> None:
        """Write the state now.

        Raises:
            InputError: somebody else has put a file there meanwhile, which is kept.
            ResourceError: the folder cannot be written or the disk is full.
        """
        if self._path is not None:
            self._due = time.monotonic() + self._every_s
            is_ours = self._stamp is not None and read_stamp(self._path) == self._stamp
            save_state(state, self._path, self._settle, overwrite=is_ours)
            self._stamp = read_stamp(self._path)
            self._due = time.monotonic() + self._every_s
            self.failure = None


def describe_recipe(recipe: Recipe) -> str:
    """Return the recipe as JSON, without the fields that do not affect pixels."""
    return recipe.model_dump_json(exclude={"name", "description", "snapshot_every", "dpi"})


def check_same_run(state: RunState, recipe: Recipe, inputs: list[str], path: Path) -> None:
    """Check that a state belongs to this run.

    Raises:
        InputError: it belongs to another recipe, or to other pictures.
    """
    if state.inputs != inputs:
        raise InputError("the checkpoint belongs to another photo, painting or mask", where=path)
    if state.recipe != describe_recipe(recipe):
        raise InputError(
            "the checkpoint belongs to a run with another recipe or size; resume it with the "
            "recipe and size that it was made with",
            where=path,
        )
